import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core import mail as outbox
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from accounts.models import AccountMail, User
from accounts.pseudonyms import make_pseudonym
from api.models import AnsweredCall
from audit.models import Difference
from audit.reconciliation import reconcile
from audit.services import audit_orders
from events_out.feed import read_horizon
from events_out.models import Delivery, DeliveryTry, Endpoint
from orders.checkout import place_order
from orders.mails import send_due_mails
from orders.models import ArchivedOrder, Order, OrderEvent, OrderMail
from orders.refund_answers import record_refund
from payments.models import Payment, Refund, Transfer
from payments.refunds import refund_payment
from payments.webhook_models import WebhookEvent
from privacy.archive import archive_orders
from privacy.erasure import (
    STEPS,
    DisputeIsOpen,
    ErasureRefused,
    IsStaff,
    OrderIsPending,
    RefundIsOpen,
    erase_customer,
    find_left,
)
from privacy.exporting import export_customer
from privacy.models import Erasure
from tests.audit.dying import die_at
from tests.builders import everything, make_checkout, make_endpoint, make_order, request_refund, tamper
from tests.concurrency.race import close_after
from tests.locks import is_waiting
from tests.privacy.aging import age_everything, end_order
from tests.waiting import wait_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateway", "empty_ledger")]
committed = pytest.mark.django_db(transaction=True)  # for an audit, another process, or a refusal of PostgreSQL
ANN = "ann@example.com"
MARK = "Melusine"  # in whatever anybody wrote of her
ODD = ["[]", "null", "7", '"metadata"', "{}"]  # answers of other shapes, with nothing of hers


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("staff@example.com", is_staff=True)


@pytest.fixture
def ann() -> User:
    return User.objects.create_user(
        ANN, "a long passphrase", first_name=MARK, last_name=MARK, verified_email=ANN, last_login=timezone.now()
    )


@pytest.fixture
def order(ann: User, staff: User) -> Order:
    """Her confirmed order, and in every other place something of her."""
    order = end_order(make_order(email=ANN, user=ann, metadata={"address": MARK}))
    end_order(make_order(email=ANN))
    note_everywhere(order, staff)
    tell_everywhere(order)
    leave_account_traces(ann, staff)
    return order


def note_everywhere(order: Order, staff: User) -> None:
    """What staff, and the provider in its errors, have written of her."""
    order.add_event(OrderEvent.Kind.RECONCILED, actor=staff, note=MARK, remedy="reviewed")
    Payment.objects.update(last_error=MARK)
    Refund.objects.update(last_error=MARK)
    difference: dict[str, Any] = {"kind": "amount_differs", "gateway": "stripe", "provider_id": "pi_2"}
    resolved = {"resolution": "reviewed", "resolved_at": timezone.now(), "occurred_at": timezone.now(), "actor": staff}
    Difference.objects.create(**difference, **resolved, reference=order.code, note=MARK, last_error=MARK)
    transfer: dict[str, Any] = {"provider_id": "B-1", "amount": 1, "currency": "GBP", "arrived_on": timezone.now()}
    Transfer.objects.create(**transfer, reference=order.code, note=MARK)


def tell_everywhere(order: Order) -> None:
    """What the provider told us of her, what the API answered, and what those said who were told."""
    billing = {"id": "ch_1", "payment_intent": "pi_1", "billing_details": {"email": "Ann@example.com", "name": MARK}}
    body = json.dumps({"data": {"object": billing}})
    for number, reference in enumerate((order.code, "")):
        event = {"event_id": f"evt_{number}", "reference": reference, "body": body}
        WebhookEvent.objects.create(provider="stripe", type="x", **event)
    answer = json.dumps({"code": order.code, "metadata": {"address": MARK}})
    AnsweredCall.objects.create(client="", address="/api/v1/orders", key="k", body_hash="", status=201, answer=answer)
    delivery = {"event": order.events.first(), "order": order, "deliver_after": None, "delivered_at": Now()}
    told = Delivery.objects.create(endpoint=make_endpoint(), **delivery, answer=MARK, last_error=MARK)
    DeliveryTry.objects.create(delivery=told, error=MARK)


def leave_account_traces(ann: User, staff: User) -> None:
    """A mail, a change by staff, and a session."""
    AccountMail.objects.create(kind="reset", email=ANN, language="en")
    change = {"content_type": ContentType.objects.get_for_model(User), "object_id": str(ann.pk), "object_repr": ANN}
    LogEntry.objects.create(user=staff, **change, action_flag=CHANGE, change_message=MARK)
    Client().force_login(ann)


def read_all_texts() -> str:
    """Every row of every table, as text; sessions decoded."""
    texts = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            cursor.execute(f'SELECT row::text FROM "{model._meta.db_table}" row')  # noqa: S608
            texts += [text for (text,) in cursor.fetchall()]
    texts += [json.dumps(session.get_decoded()) for session in Session.objects.all()]
    return "\n".join(texts).lower()


def all_rows() -> list[Any]:
    models = (User, AccountMail, WebhookEvent, AnsweredCall, Difference, LogEntry, Session, Erasure)
    return [everything(), *(list(model._default_manager.order_by("pk").values()) for model in models)]


@committed
def test_nothing_of_the_person_is_left_and_the_books_agree(order: Order, ann: User) -> None:
    before = read_all_texts()
    assert (ANN in before, MARK.lower() in before) == (True, True)
    money = list(Payment.objects.order_by("pk").values_list("amount", "provider_id", "status"))
    clean = audit_orders()["violations"]

    counts = erase_customer(email=ANN)

    after = read_all_texts()
    assert [line for line in after.splitlines() if ANN in line or MARK.lower() in line] == []
    assert counts.keys() == {*STEPS, "sessions"} - {"archived_orders"}
    assert list(Payment.objects.order_by("pk").values_list("amount", "provider_id", "status")) == money
    assert audit_orders()["violations"] == clean
    assert set(Order.objects.values_list("email", flat=True)) == {make_pseudonym(ANN)}


@committed
def test_what_the_law_and_the_ledger_need_stays(order: Order) -> None:
    erase_customer(email=ANN)

    order.refresh_from_db()
    assert (order.total, order.status, order.lines.get().sku) == (500, "CONFIRMED", "MUG")
    assert order.events.get(kind="reconciled").data == {"note": "[erased]", "remedy": "reviewed"}
    assert WebhookEvent.objects.filter(event_id="evt_0").exists()
    reconcile()
    assert not Difference.objects.unresolved().filter(kind="missing_here").exists()


def test_the_account_is_closed(ann: User, order: Order) -> None:
    visitor = Client()
    visitor.force_login(ann)

    erase_customer(email=ANN)

    ann.refresh_from_db()
    assert (ann.is_active, ann.has_usable_password(), ann.email) == (False, False, f"account-{ann.pk}@erased.invalid")
    assert not Session.objects.exists()
    assert visitor.get("/orders/").status_code == 302


def test_the_session_of_a_guest_who_ordered_ends_and_others_stay() -> None:
    end_order(make_order(email=ANN))
    for email in (ANN, "bob@example.com"):
        visitor = Client()
        session = visitor.session
        session["email"] = email
        session.save()
    Session.objects.update(expire_date=Now() + timedelta(days=1))  # so they were written long before the erasure

    assert erase_customer(email=ANN)["sessions"] == 1

    assert [session.get_decoded() for session in Session.objects.all()] == [{"email": "bob@example.com"}]


def test_a_mail_that_was_not_sent_is_sent_to_nobody(order: Order) -> None:
    OrderMail.objects.update(sent_at=None)

    erase_customer(email=ANN)

    assert not OrderMail.objects.filter(sent_at=None).exists()


@committed
def test_what_is_refunded_later_is_mailed_to_nobody(order: Order) -> None:
    erase_customer(email=ANN)
    refund = request_refund(order, amount=100)
    refund_payment(key=refund.key)
    record_refund(key=refund.key)

    assert OrderMail.objects.filter(kind="refunded", sent_at=None).exists()
    assert send_due_mails() == 0

    assert outbox.outbox == []
    assert not OrderMail.objects.filter(sent_at=None).exists()


@pytest.mark.parametrize(
    "body",
    [
        f"{ANN} {MARK}",
        f'["{ANN}", "{MARK}"]',
        f'"{ANN} {MARK}"',
        f'{{"data": "{ANN} {MARK}"}}',
        f'{{"data": ["{ANN}", "{MARK}"]}}',
        f'{{"data": {{"object": "{ANN} {MARK}"}}}}',
        f'{{"data": {{"object": ["{ANN}", "{MARK}"]}}, "note": "{MARK}"}}',
        f'{{"data": {{"object": {{"id": {{"{ANN}": "{MARK}"}}}}}}}}',
        f"{'[' * 100_000}{ANN} {MARK}",
    ],
    ids=lambda body: body[:40],
)
def test_what_was_told_is_erased_whatever_its_shape(order: Order, body: str) -> None:
    odd = WebhookEvent.objects.create(provider="stripe", event_id="evt_odd", type="x", reference="", body=body)
    kept = AnsweredCall.objects.get()
    others = [AnsweredCall(client="", address=f"/{order.code}", key=shape, status=200, answer=shape) for shape in ODD]
    AnsweredCall.objects.bulk_create(others)

    erase_customer(email=ANN)

    odd.refresh_from_db()
    kept.refresh_from_db()
    assert json.loads(odd.body) == {"data": {"object": {}}}
    assert json.loads(kept.answer)["metadata"] == {}
    assert MARK.lower() not in read_all_texts()
    assert list(AnsweredCall.objects.filter(key__in=ODD).order_by("pk").values_list("answer", flat=True)) == ODD


def test_others_lose_nothing(order: Order) -> None:
    bob = end_order(make_order(email="bob@example.com", metadata={"address": "Elm Street 1"}))

    erase_customer(email=ANN)

    bob.refresh_from_db()
    assert (bob.email, bob.metadata) == ("bob@example.com", {"address": "Elm Street 1"})


def tell_of(email: str) -> None:
    """The provider tells of it, staff change its account, and it asks for a link."""
    body = json.dumps({"data": {"object": {"id": "ch_3", "billing_details": {"email": email}}}})
    WebhookEvent.objects.create(provider="stripe", event_id=f"evt_{email}", type="x", body=body)
    answer = json.dumps({"text": f"for {email}", "metadata": {"of": email}})
    AnsweredCall.objects.create(client="", address="/", key=email, body_hash="", status=201, answer=answer)
    AccountMail.objects.create(kind="reset", email=email, language="en")
    bob = User.objects.create_user(email, verified_email=email)
    LogEntry.objects.log_actions(bob.pk, User.objects.filter(pk=bob.pk), CHANGE, change_message="x")
    ArchivedOrder.objects.create(code=f"A-{len(email)}", customer=make_pseudonym(email), file="x")


@pytest.mark.parametrize("other", ["bob@example.com", "jo-ann@example.com", "joann@example.com", "ann@example.com.au"])
def test_what_is_of_another_address_is_neither_told_nor_lost(order: Order, ann: User, other: str) -> None:
    """She may order for whom she likes, and an address may have hers in it."""
    end_order(make_order(email="bob@example.com", user=ann))
    tell_of(other)
    theirs = find_rows_of(other)
    assert [len(rows) for rows in theirs] == [1] * 6

    held = export_customer(email=ANN)
    erase_customer(email=ANN)

    assert other not in json.dumps({**held, "orders": []}, default=str)
    assert find_rows_of(other) == theirs


def find_rows_of(email: str) -> list[list[Any]]:
    places = [
        WebhookEvent.objects.filter(body__contains=f'"{email}"'),
        AnsweredCall.objects.filter(answer__contains=f'"{email}"'),
        AccountMail.objects.filter(email=email),
        User.objects.filter(email=email, verified_email=email),
        LogEntry.objects.filter(object_repr=email),
        ArchivedOrder.objects.filter(customer=make_pseudonym(email)),
    ]
    return [list(rows.values()) for rows in places]


def test_an_order_of_the_account_is_erased_whatever_its_address(ann: User) -> None:
    order = end_order(make_order(email="bob@example.com", user=ann, metadata={"address": MARK}))

    erase_customer(email=ANN)

    order.refresh_from_db()
    assert (order.email, order.metadata) == (make_pseudonym(ANN), {})


def test_what_an_archived_order_has_left_here_is_erased(order: Order, tmp_path: Path) -> None:
    age_everything()
    Endpoint.objects.update(planned_through=read_horizon())
    assert archive_orders(days=180, folder=tmp_path) == 2

    erase_customer(email=ANN)

    assert MARK.lower() not in read_all_texts()


@committed
def test_an_order_is_cancelled_while_its_customer_is_erased() -> None:
    ann = User.objects.create_user(ANN)
    order = make_order(email=ANN, user=ann)
    erasing = Thread(target=close_after(lambda: erase_customer(email=ANN)))
    with closing(connection.copy()) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("SELECT FROM orders_order WHERE code = %s FOR UPDATE", [order.code])
        erasing.start()
        wait_for(is_waiting, "the erasure, which waits for the order")
        cursor.execute("SELECT FROM accounts_user WHERE id = %s FOR KEY SHARE NOWAIT", [ann.pk])  # as its event does
        other.rollback()
    erasing.join()


@committed
def test_nobody_waits_while_all_sessions_are_read() -> None:
    ann = User.objects.create_user(ANN)
    with ThreadPoolExecutor(1) as pool, closing(connection.copy()) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
        erasing = pool.submit(close_after(lambda: erase_customer(email=ANN)))
        wait_for(is_waiting, "the erasure, which reads the sessions")
        cursor.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE NOWAIT", [ann.pk])
        other.rollback()

    assert erasing.result() == {"accounts": 1}


@committed
def test_a_session_that_is_written_after_all_were_read_ends_too(settings: LazySettings) -> None:
    settings.CLOCK_SKEW = 0
    order = end_order(make_order(email=ANN))
    with ThreadPoolExecutor(1) as pool, closing(connection.copy()) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("SELECT FROM orders_order WHERE code = %s FOR UPDATE", [order.code])
        erasing = pool.submit(close_after(lambda: erase_customer(email=ANN)))
        wait_for(is_waiting, "the erasure, which has read the sessions and waits for the order")
        session = Client().session
        session["email"] = ANN
        session.save()
        other.rollback()

    assert erasing.result()["sessions"] == 1
    assert not Session.objects.exists()


@committed
@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_checkout_and_the_erasure_of_its_customer_wait_for_each_other(
    is_guarded: bool, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control shows what a checkout leaves for which an erasure doesn't wait."""
    settings.SHOP_MAX_UNPAID = 3
    end_order(make_order(email=ANN))
    if not is_guarded:
        monkeypatch.setattr("privacy.erasure.lock_customer", lambda customer: None)
    with ThreadPoolExecutor(2) as pool, closing(connection.copy()) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("SELECT FROM catalog_stock FOR UPDATE")
        placing = pool.submit(close_after(lambda: place_order(make_checkout(email=ANN))))
        wait_for(is_waiting, "the checkout, which waits for the stock")
        erasing = pool.submit(close_after(lambda: erase_customer(email=ANN)))
        wait_for(lambda: is_waiting(2) or erasing.done(), "the erasure")
        other.rollback()
        placed, _ = placing.result()
        erased = erasing.result()

    emails = set(Order.objects.values_list("email", flat=True))
    if is_guarded:
        assert isinstance(erased, OrderIsPending)
        assert emails == {ANN}
    else:
        assert erased["orders"] == 1
        assert emails == {ANN, make_pseudonym(ANN)}
        assert find_left(email=ANN) == (placed.code,)


@committed
def test_an_order_that_a_program_places_during_an_erasure_is_told_afterwards() -> None:
    end_order(make_order(email=ANN))

    def erase() -> tuple[str, ...]:
        erase_customer(email=ANN)
        return find_left(email=ANN)

    with ThreadPoolExecutor(1) as pool, closing(connection.copy()) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("LOCK TABLE privacy_erasure IN EXCLUSIVE MODE")  # which an erasure writes to last
        erasing = pool.submit(close_after(erase))
        wait_for(is_waiting, "the erasure")
        late = make_order(email=ANN, limited=False)
        other.rollback()

    assert erasing.result() == (late.code,)


@pytest.fixture
def late(order: Order) -> Order:
    """An order that is Ann's by the end of her erasure, and not yet at its beginning."""
    late = make_order(email="bob@example.com")
    body = f"BEGIN UPDATE orders_order SET email = '{ANN}' WHERE code = '{late.code}'; RETURN NULL; END"  # noqa: S608
    tamper(f"CREATE FUNCTION come_late() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    tamper("CREATE TRIGGER late AFTER INSERT ON privacy_erasure FOR EACH ROW EXECUTE FUNCTION come_late()")
    return late


def test_the_command_and_the_page_say_that_an_order_was_placed_meanwhile(late: Order, admin_client: Client) -> None:
    told = f"Placed meanwhile: {late.code}. Erase again once they have ended."

    page = admin_client.post("/admin/privacy/erasure/add/", {"email": ANN, "confirmed": "on"}, follow=True)
    Order.objects.filter(pk=late.pk).update(email="bob@example.com")
    end_order(make_order(email=ANN))
    with pytest.raises(CommandError) as refused:
        call_command("erase_customer", ANN, "--no-input")

    assert told in page.text
    assert str(refused.value) == told
    assert Order.objects.filter(email=ANN).count() == 1


@pytest.mark.parametrize("spelling", ["ANN@example.com", "  Ann@EXAMPLE.com "])
def test_the_email_is_read_as_everywhere_else(order: Order, spelling: str) -> None:
    assert erase_customer(email=spelling)["orders"] == 2


def test_a_repeat_changes_nothing(order: Order) -> None:
    erase_customer(email=ANN)
    before = all_rows()

    assert erase_customer(email=ANN) == {}

    assert all_rows() == before


def test_who_comes_back_and_is_erased_again_has_the_same_pseudonym(order: Order) -> None:
    erase_customer(email=ANN)
    User.objects.create_user(ANN)
    end_order(make_order(email=ANN))

    erase_customer(email=ANN)

    assert Order.objects.filter(email=make_pseudonym(ANN)).count() == 3


def test_an_erasure_says_who_did_it_and_not_whose(order: Order, staff: User) -> None:
    erase_customer(email=ANN, actor=staff)

    done = Erasure.objects.get()
    assert (done.actor, done.customer) == (staff, make_pseudonym(ANN))
    assert done.counts["orders"] == 2


def leave_pending(order: Order) -> None:
    make_order(email=ANN)


def leave_a_refund_open(order: Order) -> None:
    request_refund(order, amount=100)


def leave_a_dispute_open(order: Order) -> None:
    tamper(
        "INSERT INTO payments_dispute (payment_id, gateway, provider_id, amount, currency, reason, status, opened_at)"
        " SELECT payment_id, 'stripe', 'dp_1', 100, 'GBP', 'fraudulent', 'OPEN', now() FROM orders_order"
        " ORDER BY id LIMIT 1"
    )


def make_her_staff(order: Order) -> None:
    User.objects.filter(email=ANN).update(is_staff=True)


@pytest.mark.parametrize(
    ("leave", "refusal", "code"),
    [
        (leave_pending, OrderIsPending, "order_pending"),
        (leave_a_refund_open, RefundIsOpen, "refund_open"),
        (leave_a_dispute_open, DisputeIsOpen, "dispute_open"),
        (make_her_staff, IsStaff, "account_of_staff"),
    ],
)
def test_an_erasure_is_refused_while_something_is_open(
    order: Order, leave: Any, refusal: type[ErasureRefused], code: str
) -> None:
    leave(order)
    before = all_rows()

    with pytest.raises(refusal):
        erase_customer(email=ANN)
    with pytest.raises(CommandError, match=code):
        call_command("erase_customer", ANN, "--no-input")

    assert all_rows() == before


def test_no_email_is_refused() -> None:
    with pytest.raises(ValidationError):
        erase_customer(email="ann")


@committed
def test_an_erasure_that_is_killed_has_erased_nothing_and_is_repeated(order: Order) -> None:
    before = all_rows()

    die_at("before", "privacy.erasure.find_log_entries", "privacy.erasure.erase_customer", email=ANN)

    assert all_rows() == before
    assert erase_customer(email=ANN)["orders"] == 2


@committed
def test_postgresql_lets_nothing_of_an_event_or_a_transfer_change_but_its_note(order: Order) -> None:
    before = everything()

    for statement in (
        "UPDATE orders_orderevent SET data = '{}'",
        "UPDATE orders_orderevent SET kind = 'swept'",
        "UPDATE orders_orderevent SET data = data || '{\"note\": \"[erased]\"}' WHERE kind = 'placed'",
        "UPDATE payments_transfer SET amount = 2",
        "UPDATE payments_transfer SET note = 'She paid.'",
        "DELETE FROM payments_transfer",
    ):
        with pytest.raises(IntegrityError, match="append-only"), connection.cursor() as cursor:
            cursor.execute(statement)

    assert everything() == before


def test_a_dry_run_says_what_would_be_erased(order: Order, capsys: pytest.CaptureFixture[str]) -> None:
    before = all_rows()

    call_command("erase_customer", ANN, "--dry-run")

    assert capsys.readouterr().out.startswith("To erase: 2 orders, 1 notes, ")
    assert all_rows() == before


def test_the_command_asks_first(
    order: Order, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = all_rows()
    monkeypatch.setattr("builtins.input", lambda prompt: "no")
    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("erase_customer", ANN)
    assert all_rows() == before

    monkeypatch.setattr("builtins.input", lambda prompt: "erase")
    call_command("erase_customer", ANN)

    assert "Erased: 2 orders" in capsys.readouterr().out


# The export


def test_an_export_has_everything_that_an_erasure_erases(order: Order) -> None:
    held = export_customer(email="Ann@example.com")

    assert held["account"]["first_name"] == MARK
    assert "password" not in held["account"]
    assert [len(found["lines"]) for found in held["orders"]] == [1, 1]
    assert held["orders"][0]["order"]["metadata"] == {"address": MARK}
    assert held["orders"][0]["payments"][0]["provider_id"] == order.payment.provider_id
    for place in ("account_mails", "webhook_events", "deliveries", "differences", "answered_calls", "sessions"):
        assert held[place], place
    assert [entry["object_repr"] for entry in held["log_entries"]] == [ANN]


def test_an_export_has_nothing_by_which_somebody_could_log_in(order: Order, client: Client) -> None:
    client.force_login(User.objects.get(email=ANN))
    session = client.session
    session["_password_reset_token"] = session["cart"] = "c1f2a3"
    session.save()

    held = export_customer(email=ANN)

    assert {"cart": "c1f2a3"} in [found["data"] for found in held["sessions"]]
    assert not any(name.startswith("_") for found in held["sessions"] for name in found["data"])


def test_an_export_has_nothing_of_others_and_changes_nothing(order: Order) -> None:
    make_order(email="bob@example.com")
    before = all_rows()

    text = json.dumps(export_customer(email=ANN), default=str)

    assert "bob@example.com" not in text
    assert all_rows() == before


def test_of_nobody_there_is_nothing() -> None:
    held = export_customer(email="nobody@example.com")

    assert {name for name, value in held.items() if value} == {"email", "exported_at"}


def test_the_command_erases_nothing_where_nobody_can_answer(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    before = all_rows()
    monkeypatch.setattr("sys.stdin", StringIO())
    with pytest.raises(CommandError, match="Say --no-input"):
        call_command("erase_customer", ANN)
    assert all_rows() == before


def test_the_export_is_a_file_for_its_writers_eyes(
    order: Order, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ann.json"

    call_command("export_customer", ANN, "--to", str(path))

    assert json.loads(path.read_text())["email"] == ANN
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="exists"):
        call_command("export_customer", ANN, "--to", str(path))
