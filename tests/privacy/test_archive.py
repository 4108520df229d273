import hashlib
import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from accounts.pseudonyms import make_pseudonym
from audit.models import Difference
from audit.reconciliation import reconcile
from audit.remedies import NotRemedied, adopt_difference, propose_remedy, review_difference
from audit.services import audit_orders
from events_out.feed import move_horizon
from events_out.models import Delivery, DeliveryTry, Endpoint
from orders.models import ArchivedOrder, Order, OrderEvent, OrderMail
from orders.refund_answers import record_refund
from payments.disputes import UnknownCharge, look_up_dispute
from payments.models import Payment, Refund, Transfer, WebhookEvent
from payments.refunds import refund_payment
from privacy import archive
from privacy.archive import archive_orders
from privacy.archive_files import write_archive
from privacy.archived import find_damage
from privacy.erasure import erase_customer
from privacy.records import describe_orders
from privacy.tasks import archive_orders as archive_task
from tests.audit.dying import die_at
from tests.builders import everything, make_endpoint, make_order, request_refund, stock_of, tamper
from tests.locks import holding
from tests.privacy.aging import YEAR, age_events, age_everything, end_order, list_codes
from tests.provider import Provider

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateway", "empty_ledger")]
committed = pytest.mark.django_db(transaction=True)  # for an audit, another process, or a refusal of PostgreSQL
LEAST = 180  # days


def read_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def make_confirmed(**fields: Any) -> Order:
    return end_order(make_order({"MUG": 3}, **fields))


def make_history() -> list[Order]:
    """A confirmed order and a cancelled one, of long ago."""
    confirmed = make_confirmed()
    declined = make_order(payment_method="pm_card_visa_chargeDeclined", email="bob@example.com")
    cancelled = end_order(declined, Payment.Status.DECLINED)
    age_everything()
    return [confirmed, cancelled]


def give_back(order: Order) -> None:
    """A unit and its money."""
    refund = request_refund(order, units=1)
    refund_payment(key=refund.key)
    record_refund(key=refund.key)
    age_events(like="refund%")
    OrderMail.objects.update(sent_at=Now())


def assert_all_agrees() -> None:
    assert audit_orders()["violations"] == []
    reconcile()
    assert not Difference.objects.unresolved().exists()


@committed
def test_an_order_is_written_to_a_file_and_goes(tmp_path: Path) -> None:
    confirmed, cancelled = make_history()
    give_back(confirmed)
    move_horizon()
    stock = stock_of("MUG")
    assert_all_agrees()

    assert archive_orders(days=LEAST, folder=tmp_path) == 2

    assert (list_codes(), stock_of("MUG")) == (set(), stock)
    assert not OrderEvent.objects.exists()
    assert not OrderMail.objects.exists()
    [path] = tmp_path.glob("*.jsonl")
    assert path.name == f"orders-{confirmed.created_at - timedelta(days=YEAR):%Y-%m-%d}-{confirmed.code}.jsonl"
    assert set(ArchivedOrder.objects.values_list("code", "file")) == {
        (confirmed.code, path.name),
        (cancelled.code, path.name),
    }
    assert_all_agrees()
    assert archive_orders(days=LEAST, folder=tmp_path) == 0


def test_a_line_has_the_whole_order_and_nobodys_name(tmp_path: Path) -> None:
    order = make_confirmed()
    staff = User.objects.create_user("staff@example.com")
    tamper('UPDATE orders_order SET metadata = \'{"address": "Elm Street 1"}\'')
    order.add_event(OrderEvent.Kind.RECONCILED, actor=staff, note="Ann phoned.", remedy="reviewed")
    Payment.objects.update(last_error="no such customer: ann@example.com")
    age_everything()

    archive_orders(days=LEAST, folder=tmp_path)

    [record] = read_lines(tmp_path)
    assert record["order"]["code"] == order.code
    assert (record["order"]["total"], record["order"]["status"]) == (1500, "CONFIRMED")
    assert [(line["sku"], line["quantity"], line["price"]) for line in record["lines"]] == [("MUG", 3, 500)]
    assert [payment["provider_id"] for payment in record["payments"]] == [order.payment.provider_id]
    assert [event["kind"] for event in record["events"]] == ["placed", "confirmed", "reconciled"]
    assert record["events"][2]["data"]["note"] == "[erased]"
    assert [mail["kind"] for mail in record["mails"]] == ["confirmed"]
    assert record["order"]["email"].endswith("@erased.invalid")
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert not any(word in text for word in ("ann@", "Ann phoned", "Elm Street"))


def test_the_checksum_is_as_sha256sum_reads_it(tmp_path: Path) -> None:
    make_history()
    archive_orders(days=LEAST, folder=tmp_path)

    [path] = tmp_path.glob("*.jsonl")
    checksum = path.with_name(f"{path.name}.sha256")
    assert checksum.read_text() == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
    assert (
        subprocess.run(["sha256sum", "-c", checksum.name], cwd=tmp_path, capture_output=True, check=False).returncode
        == 0
    )
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600] * 2


def need_review(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(needs_review=True)


def open_dispute(order: Order) -> None:
    tamper(
        "INSERT INTO payments_dispute (payment_id, gateway, provider_id, amount, currency, reason, status, opened_at)"
        " SELECT id, 'stripe', 'dp_1', 100, 'GBP', 'fraudulent', 'OPEN', now() FROM payments_payment"
    )


def open_refund(order: Order) -> None:
    request_refund(order, amount=100)
    age_events(like="refund%")


def open_difference(order: Order) -> None:
    Difference.objects.create(
        kind="refund_differs", gateway="stripe", provider_id="pi_1", reference=order.code, occurred_at=timezone.now()
    )


def hear_of_it(order: Order) -> None:
    WebhookEvent.objects.create(
        provider="stripe", event_id="evt_1", type="x", reference=order.code, body="{}", process_after=timezone.now()
    )


def owe_a_mail(order: Order) -> None:
    order.mails.update(sent_at=None)


def happen_lately(order: Order) -> None:
    order.add_event(OrderEvent.Kind.RECONCILED, remedy="reviewed")


def wait_for_an_endpoint(order: Order) -> None:
    Endpoint.objects.create(name="Warehouse", url="https://example.com", types=["order.confirmed"], planned_through=0)


def wait_for_a_switched_off_endpoint(order: Order) -> None:
    wait_for_an_endpoint(order)
    Endpoint.objects.update(is_on=False)


def wait_for_a_delivery(order: Order) -> None:
    Delivery.objects.create(endpoint=make_endpoint(), event=order.events.first(), order=order)


def wait_for_the_horizon(order: Order) -> None:
    tamper("UPDATE events_out_horizon SET readable_through = 0")


@pytest.mark.parametrize(
    "happens",
    [
        need_review,
        open_dispute,
        open_refund,
        open_difference,
        hear_of_it,
        owe_a_mail,
        happen_lately,
        wait_for_an_endpoint,
        wait_for_a_switched_off_endpoint,
        wait_for_a_delivery,
        wait_for_the_horizon,
    ],
    ids=lambda happens: happens.__name__,
)
def test_an_order_to_which_something_is_to_happen_stays(happens: Any, tmp_path: Path) -> None:
    order = make_confirmed()
    age_everything()
    happens(order)
    before = everything()

    assert archive_orders(days=LEAST, folder=tmp_path) == 0

    assert (everything(), list(tmp_path.iterdir())) == (before, [])


@committed
def test_an_order_that_somebody_has_locked_is_left_to_the_next_run(tmp_path: Path) -> None:
    held, free = make_history()

    with holding("SELECT FROM orders_order WHERE code = %s FOR UPDATE", held.code):
        assert archive_orders(days=LEAST, folder=tmp_path) == 1
        assert list_codes() == {held.code}

    assert archive_orders(days=LEAST, folder=tmp_path) == 1
    assert {record["order"]["code"] for record in read_lines(tmp_path)} == {held.code, free.code}


def test_orders_that_are_young_or_pending_stay(tmp_path: Path) -> None:
    pending = make_order()
    age_everything()
    young = make_confirmed()

    assert archive_orders(days=LEAST, folder=tmp_path) == 0

    assert list_codes() == {pending.code, young.code}


def test_deliveries_that_are_over_go_with_their_order(tmp_path: Path) -> None:
    order = make_confirmed()
    delivery = Delivery.objects.create(endpoint=make_endpoint(), event=order.events.first(), order=order)
    Delivery.objects.filter(pk=delivery.pk).update(deliver_after=None, delivered_at=Now())
    DeliveryTry.objects.create(delivery=delivery)
    age_everything()
    Endpoint.objects.update(planned_through=order.events.order_by("pk").last().pk)  # type: ignore[union-attr]

    assert archive_orders(days=LEAST, folder=tmp_path) == 1

    assert not Delivery.objects.exists()


DIES = [
    ("after", "privacy.archive_files._write", "a file is written, the other is not"),
    ("after", "privacy.archive.write_archive", "the file is written, no row has gone"),
    ("after", "privacy.archive._remove_orders", "the rows have gone, nothing is committed"),
]


@pytest.mark.parametrize(("moment", "target", "words"), DIES, ids=[words for *_, words in DIES])
@committed
def test_an_archive_that_is_killed_has_removed_nothing_and_is_repeated(
    tmp_path: Path, moment: str, target: str, words: str
) -> None:
    orders = make_history()
    before = everything()

    die_at(moment, target, "tests.privacy.test_archive.archive_to", folder=str(tmp_path))

    assert everything() == before
    assert archive_orders(days=LEAST, folder=tmp_path) == 2
    assert [record["order"]["code"] for record in read_lines(tmp_path)] == [order.code for order in orders]
    assert list(find_damage(tmp_path)) == []
    assert_all_agrees()


def archive_to(folder: str) -> int:
    return archive_orders(days=LEAST, folder=Path(folder))


@committed
def test_control_an_archive_that_removes_first_loses_orders(tmp_path: Path) -> None:
    make_history()

    die_at(
        "before",
        "tests.privacy.test_archive.write_archive",
        "tests.privacy.test_archive.remove_first",
        folder=str(tmp_path),
    )

    assert (list_codes(), read_lines(tmp_path)) == (set(), [])
    assert [file for file, _ in find_damage(tmp_path)] == ["orders.jsonl"]


def remove_first(folder: str) -> None:
    """As if the rows went before the file was on the disk."""
    orders = list(Order.objects.all())
    archive._remove_orders(orders, file="orders.jsonl")
    write_archive(Path(folder) / "orders.jsonl", describe_orders([order.code for order in orders]))


def test_a_file_that_can_not_be_written_removes_nothing(tmp_path: Path) -> None:
    make_history()
    before = everything()

    with pytest.raises(OSError, match="missing"):
        archive_orders(days=LEAST, folder=tmp_path / "missing")

    assert everything() == before


@pytest.mark.parametrize("table", ["orders_order", "orders_orderline", "orders_orderevent"])
@committed
def test_postgresql_lets_no_row_go_before_its_order_is_archived(table: str) -> None:
    make_confirmed()
    before = everything()

    with pytest.raises(IntegrityError, match="until its order is archived"):
        Order.objects.raw(f"DELETE FROM {table} RETURNING id")[0]  # noqa: S608

    assert everything() == before


def test_batches_are_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_history()
    monkeypatch.setattr(archive, "BATCH", 1)

    assert [archive_orders(days=LEAST, folder=tmp_path) for _ in range(3)] == [1, 1, 0]

    assert len(list(tmp_path.glob("*.jsonl"))) == 2


@committed
def test_no_column_that_an_erasure_empties_is_in_a_file(tmp_path: Path) -> None:
    order = make_confirmed()
    Transfer.objects.create(
        provider_id="B-1", reference=order.code, amount=1, currency="GBP", arrived_on=timezone.now(), note="Melusine"
    )
    give_back(order)
    Payment.objects.update(last_error="Melusine")
    Refund.objects.update(last_error="Melusine")
    age_everything()

    assert archive_orders(days=LEAST, folder=tmp_path) == 1

    [record] = read_lines(tmp_path)
    assert "Melusine" not in json.dumps(record)
    assert [len(record[part]) for part in ("payments", "refunds", "transfers")] == [1, 1, 1]


def test_a_person_who_was_erased_has_the_same_name_in_the_archive(tmp_path: Path) -> None:
    make_confirmed(email="ann@example.com")
    erase_customer(email="ann@example.com")
    age_everything()

    archive_orders(days=LEAST, folder=tmp_path)

    assert read_lines(tmp_path)[0]["order"]["email"] == make_pseudonym("ann@example.com")
    assert ArchivedOrder.objects.get().customer == ""


@committed
def test_what_happens_to_money_of_an_archived_order_is_for_a_person(tmp_path: Path, provider: Provider) -> None:
    order, staff = make_confirmed(), User.objects.create_user("staff@example.com")
    age_everything()
    archive_orders(days=LEAST, folder=tmp_path)
    provider.refund(str(order.payment.provider_id), amount=100)
    dispute = provider.open_dispute(str(order.payment.provider_id))
    before = everything()

    reconcile()

    assert {found.kind for found in Difference.objects.unresolved()} >= {"refund_differs", "dispute_differs"}
    for difference in Difference.objects.unresolved():
        assert (difference.reference, propose_remedy(difference)) == (order.code, "review")
        with pytest.raises(NotRemedied, match="archived"):
            adopt_difference(pk=difference.pk, actor=staff, note="She phoned.")
        review_difference(pk=difference.pk, actor=staff, note="She phoned.")
    with pytest.raises(UnknownCharge, match="is archived"):
        look_up_dispute(gateway="stripe", provider_id=dispute)
    assert everything() == before
    assert audit_orders()["ok"]


def test_the_task_archives_only_where_the_settings_ask_for_it(tmp_path: Path, settings: LazySettings) -> None:
    make_history()
    archive_task()
    assert len(list_codes()) == 2

    settings.ORDER_DAYS, settings.ARCHIVE_DIR = LEAST, str(tmp_path)
    archive_task()

    assert list_codes() == set()


def test_the_command_counts_and_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_history()

    call_command("archive_orders", "--older-than", "180", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out) == {"older_than": 180, "found": 2, "archived": 0}
    assert len(list_codes()) == 2

    call_command("archive_orders", "--older-than", "180", "--to", str(tmp_path))
    assert capsys.readouterr().out == "2 orders archived.\n"
    assert list_codes() == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--older-than DAYS"),
        (["--older-than", "179"], "180"),
        (["--older-than", "180"], "--to DIR"),
        (["--older-than", "180", "--to", "/nowhere"], "--to DIR"),
    ],
)
def test_the_command_refuses_what_it_can_not_do(arguments: list[str], words: str) -> None:
    make_history()
    before = everything()

    with pytest.raises(CommandError, match=words):
        call_command("archive_orders", *arguments)

    assert everything() == before
