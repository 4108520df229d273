import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.exceptions import Ignore
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from audit.ledger import AUDIT_LOCK, LEDGERS, AuditIsRunning, copied_ledger, lock_ledgers
from audit.models import Difference
from audit.reconciliation import Reconciliation, reconcile, record_differences
from audit.services import record_audit
from audit.tasks import reconcile as reconcile_task
from orders.models import Order
from orders.services import finalize_order
from payments.gateway import GatewayUnavailable
from payments.models import Payment
from payments.services import charge_payment
from tests.audit.tampering import GHOST
from tests.builders import answer_payment, everything, make_order, tamper
from tests.locks import holding
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]
DECLINED = "pm_card_visa_chargeDeclined"
Found = tuple[str, str, int, int]


def end_order(payment_method: str = "pm_card_visa") -> Order:
    order = make_order(payment_method=payment_method)
    charge_payment(reference=order.code)
    return finalize_order(code=order.code)


def found() -> list[Found]:
    """The open differences: kind, reference, amount at the provider, amount here."""
    fields = ("kind", "reference", "amount_there", "amount_here")
    return list(Difference.objects.unresolved().order_by("pk").values_list(*fields))


def rows() -> list[Any]:
    return list(Difference.objects.order_by("pk").values())


def test_honest_orders_and_orders_in_flight_are_no_difference() -> None:
    end_order()
    end_order(DECLINED)
    make_order()
    lost = make_order(payment_method="pm_sandbox_drop")
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=lost.code)
    before = everything()

    done = reconcile()

    assert done == Reconciliation(charges=2, matched=1, opened=0, closed=0)
    assert found() == []
    assert everything() == before


@pytest.mark.parametrize("status", ["CONFIRMED", "CANCELLED", "PENDING"])
def test_a_charge_made_by_hand_is_found_whatever_its_order_is(provider: Provider, status: str) -> None:
    order = make_order() if status == "PENDING" else end_order(DECLINED if status == "CANCELLED" else "pm_card_visa")
    provider.charge_again(order.code, amount=order.total)

    reconcile()

    assert found() == [("missing_here", order.code, order.total, 0)]


@pytest.mark.parametrize("reference", [GHOST, ""])
def test_money_of_no_order_is_found(provider: Provider, reference: str) -> None:
    end_order()
    provider.charge_again(reference, amount=700)

    reconcile()

    assert found() == [("missing_here", reference, 700, 0)]


def test_a_payment_whose_charge_is_gone_is_found(provider: Provider) -> None:
    order = end_order()
    provider.forget_everything()
    end_order()

    reconcile()

    assert found() == [("missing_there", order.code, 0, order.total)]


def test_a_payment_that_was_answered_after_the_list_was_read_is_not_looked_for_in_it() -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    tamper("UPDATE payments_payment SET answered_at = now() + interval '1 minute'")

    reconcile()

    assert found() == []


@pytest.mark.parametrize(
    "sql",
    ["UPDATE payments_payment SET amount = amount + 1", "UPDATE payments_payment SET currency = 'EUR'"],
)
def test_a_charge_of_another_amount_or_currency_is_found(sql: str) -> None:
    order = end_order()
    tamper(sql)
    payment = Payment.objects.get()

    reconcile()

    assert found() == [("amount_differs", order.code, order.total, payment.amount)]
    difference = Difference.objects.get()
    assert (difference.currency_there, difference.currency_here) == ("GBP", payment.currency)


@pytest.mark.parametrize("status", Payment.ASKED)
def test_a_wrong_amount_whose_payment_waits_for_an_answer_is_found(provider: Provider, status: Payment.Status) -> None:
    order = make_order()
    answer_payment(order, status)
    provider.charge_again(order.code, amount=order.total - 1)

    reconcile()

    assert found() == [("amount_differs", order.code, order.total - 1, order.total)]
    assert finalize_order(code=order.code).status == "PENDING"


def test_a_charge_whose_reference_was_changed_is_missing_on_both_sides(provider: Provider) -> None:
    order = end_order()
    provider.execute("UPDATE payment_intent SET metadata = '{}'")

    reconcile()

    assert sorted(found()) == [("missing_here", "", order.total, 0), ("missing_there", order.code, 0, order.total)]


def test_differences_of_every_kind_are_found_and_nothing_else(provider: Provider) -> None:
    gone = end_order()
    provider.forget_everything()
    other_amount, twice = end_order(), end_order()
    tamper("UPDATE payments_payment SET amount = amount + 1 WHERE id = %s", other_amount.payment_id)
    provider.charge_again(twice.code, amount=300)
    for _ in range(3):
        end_order()

    done = reconcile()

    assert done == Reconciliation(charges=6, matched=4, opened=3, closed=0)
    assert {(kind, reference) for kind, reference, *_ in found()} == {
        ("missing_there", gone.code),
        ("amount_differs", other_amount.code),
        ("missing_here", twice.code),
    }


def test_a_repeat_finds_the_same_rows_again(provider: Provider) -> None:
    provider.charge_again(GHOST, amount=700)
    reconcile()
    before = rows()

    done = reconcile()

    assert (done.opened, done.closed) == (0, 0)
    assert [row | {"last_seen_at": None} for row in rows()] == [row | {"last_seen_at": None} for row in before]
    assert rows()[0]["last_seen_at"] > before[0]["last_seen_at"]


def test_a_difference_that_has_gone_is_closed_by_itself(provider: Provider) -> None:
    provider.charge_again(GHOST, amount=700)
    reconcile()

    provider.forget_everything()
    done = reconcile()

    assert (done.opened, done.closed) == (0, 1)
    difference = Difference.objects.get()
    assert (difference.resolution, difference.actor) == ("gone", None)
    assert difference.resolved_at
    assert difference.resolved_at > difference.last_seen_at


def test_a_difference_that_comes_back_is_a_new_one(provider: Provider) -> None:
    order = end_order()
    tamper("UPDATE payments_payment SET status = 'SUCCEEDED', provider_id = provider_id || 'x'")
    reconcile()
    tamper("UPDATE payments_payment SET provider_id = left(provider_id, -1)")
    reconcile()
    assert found() == []

    tamper("UPDATE payments_payment SET provider_id = provider_id || 'x'")
    reconcile()

    assert sorted(found()) == [
        ("missing_here", order.code, order.total, 0),
        ("missing_there", order.code, 0, order.total),
    ]
    assert Difference.objects.count() == 4


def test_a_shorter_list_closes_nothing_that_it_would_not_show(provider: Provider) -> None:
    provider.charge_again(GHOST, amount=700)
    provider.execute("UPDATE payment_intent SET created = created - interval '9 days'")
    old = end_order()
    tamper("UPDATE payments_payment SET created_at = created_at - interval '9 days', provider_id = 'pi_none'")
    provider.execute("DELETE FROM payment_intent WHERE created > now() - interval '1 day'")
    reconcile()
    before = found()
    assert len(before) == 2
    end_order()

    done = reconcile(since=datetime.now(UTC) - timedelta(days=2))

    assert done == Reconciliation(charges=1, matched=1, opened=0, closed=0)
    assert found() == before
    assert old.code in {reference for _, reference, *_ in before}


def test_a_provider_that_cannot_be_asked_changes_nothing(provider: Provider) -> None:
    provider.charge_again(GHOST, amount=700)
    reconcile()
    before = rows()
    provider.forget_everything()
    provider.control(fault="down")

    with pytest.raises(GatewayUnavailable):
        reconcile()

    assert rows() == before


def test_a_list_that_breaks_off_half_way_closes_nothing(provider: Provider) -> None:
    provider.charge_again(GHOST, amount=700)
    reconcile()
    before = rows()

    with lock_ledgers(), pytest.raises(GatewayUnavailable), copied_ledger(within=0) as copy:
        record_differences(copy)

    assert rows() == before


def test_a_gateway_that_the_shop_has_no_more_is_not_compared(settings: LazySettings) -> None:
    end_order()
    settings.PAYMENT_GATEWAYS = {"other": settings.PAYMENT_GATEWAYS["stripe"]}
    tamper("UPDATE payments_payment SET gateway = 'gone'")

    reconcile()

    assert [kind for kind, *_ in found()] == ["missing_here"]  # the charge, by the gateway's other name


def test_the_scheduled_audit_writes_down_what_differs_too(provider: Provider) -> None:
    order = end_order()
    provider.charge_again(order.code, amount=300)

    assert not record_audit().ok

    assert found() == [("missing_here", order.code, 300, 0)]


def test_only_one_reads_the_ledgers_at_a_time(provider: Provider) -> None:
    provider.charge_again(GHOST, amount=700)
    with holding("SELECT pg_advisory_lock(%s, %s)", AUDIT_LOCK, LEDGERS):
        with pytest.raises(AuditIsRunning):
            reconcile()
        with pytest.raises(Ignore):
            reconcile_task()
        with pytest.raises(CommandError, match="Nothing was compared") as end:
            call_command("reconcile")

    assert end.value.returncode == 2
    assert rows() == []


def test_the_scheduled_audit_waits_for_no_reconciliation_and_leaves_the_differences_to_it(provider: Provider) -> None:
    provider.charge_again(GHOST, amount=700)
    with holding("SELECT pg_advisory_lock(%s, %s)", AUDIT_LOCK, LEDGERS):
        run = record_audit()

    assert [(broken["invariant"], broken["codes"]) for broken in run.report["violations"]] == [("A6", [GHOST])]
    assert rows() == []
    record_audit()
    assert [reference for _, reference, *_ in found()] == [GHOST]


def test_the_command_exits_1_while_a_difference_is_open(provider: Provider, capsys: pytest.CaptureFixture[str]) -> None:
    end_order()
    call_command("reconcile", "--json")
    clean = {"ok": True, "charges": 1, "matched": 1, "opened": 0, "closed": 0, "open": 0, "differences": []}
    assert json.loads(capsys.readouterr().out) == clean

    provider.charge_again(GHOST, amount=700)
    for opened in (1, 0):
        with pytest.raises(SystemExit) as end:
            call_command("reconcile", "--json")
        assert end.value.code == 1
        report = json.loads(capsys.readouterr().out)
        assert (report["opened"], report["open"]) == (opened, 1)
        assert [found["reference"] for found in report["differences"]] == [GHOST]
    with pytest.raises(SystemExit):
        call_command("reconcile")
    assert f"of {GHOST}: £7.00 at the provider (stripe), nothing here." in capsys.readouterr().out


def test_the_command_exits_2_when_nothing_could_be_compared(provider: Provider) -> None:
    provider.control(fault="down")
    with pytest.raises(CommandError, match="Nothing is known: ") as end:
        call_command("reconcile")
    assert end.value.returncode == 2


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", ""])
def test_the_command_takes_dates_only(since: str) -> None:
    with pytest.raises(CommandError, match="is not a date"):
        call_command("reconcile", "--since", since)


def test_the_command_compares_from_the_day_it_is_told(provider: Provider) -> None:
    provider.charge_again(GHOST, amount=700)
    provider.execute("UPDATE payment_intent SET created = created - interval '9 days'")

    call_command("reconcile", "--since", f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}")
    with pytest.raises(SystemExit):
        call_command("reconcile")


def test_the_task_is_no_success_while_another_reads_or_nobody_answers(provider: Provider) -> None:
    provider.control(fault="down")
    with pytest.raises(Ignore):
        reconcile_task()

    provider.control()
    reconcile_task()
