import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.exceptions import Ignore
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from audit import ledger
from audit.ledger import AUDIT_LOCK, AUDITS, AuditIsRunning
from audit.models import AuditRun
from audit.services import audit_orders, record_audit
from audit.tasks import record_audit as audit_task
from orders.models import Order
from orders.refund_answers import record_refund
from orders.services import finalize_order
from payments.gateway import Charge, GatewayUnavailable
from payments.refunds import refund_payment
from payments.services import charge_payment
from payments.stripe import StripeGateway
from tests.audit.tampering import add_event
from tests.builders import make_order, make_product, request_refund, tamper
from tests.concurrency.race import race
from tests.locks import holding
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]
DECLINED = "pm_card_visa_chargeDeclined"


def end_order(payment_method: str = "pm_card_visa") -> Order:
    order = make_order({"MUG": 2}, payment_method=payment_method)
    charge_payment(reference=order.code)
    return finalize_order(code=order.code)


@contextmanager
def without_index(name: str) -> Iterator[None]:
    """A unique index of events is away, and in the end the events."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [name])
        (definition,) = cursor.fetchone()
        cursor.execute(f"DROP INDEX {name}")
    try:
        yield
    finally:
        tamper("DELETE FROM orders_orderevent")
        tamper(definition)


def violations() -> list[tuple[str, list[str]]]:
    return [(violation["invariant"], violation["codes"]) for violation in audit_orders()["violations"]]


def test_the_audit_of_honest_orders_is_clean() -> None:
    make_product("MUG")
    end_order()
    end_order(DECLINED)
    make_order()

    report = audit_orders()

    assert report == {
        "ok": True,
        "checked": {"orders": 3, "lines": 3, "stocks": 1, "movements": 6, "charges": 1, "needs_review": 0},
        "violations": [],
    }


@pytest.mark.parametrize(
    "sql", ["UPDATE catalog_stock SET on_hand = on_hand - 1", "UPDATE catalog_stock SET reserved = reserved + 1"]
)
def test_a1_a_unit_that_no_movement_explains(sql: str) -> None:
    end_order()
    tamper(sql)
    assert violations() == [("A1", ["MUG"])]


@pytest.mark.parametrize(
    "sql",
    ["UPDATE payments_payment SET currency = 'EUR'", "UPDATE payments_payment SET amount = amount + 1"],
)
def test_a2_an_order_whose_payment_is_of_something_else(sql: str) -> None:
    order = make_order()
    tamper(sql)
    assert violations() == [("A2", [order.code])]


def test_a3_a_confirmed_order_without_its_charge() -> None:
    order = make_order()
    tamper("UPDATE payments_payment SET status = 'SUCCEEDED', provider_id = 'pi_none', sent_at = now()")
    finalize_order(code=order.code)
    assert violations() == [("A3", [order.code])]


def test_a3_a_confirmed_order_that_was_charged_twice(provider: Provider) -> None:
    order = end_order()
    provider.charge_again(order.code, amount=order.total)
    assert violations() == [("A3", [order.code])]


def test_a3_a_confirmed_order_whose_stock_was_never_deducted() -> None:
    order = end_order()
    tamper("DELETE FROM catalog_stockmovement WHERE kind = 'DEDUCTED'")
    tamper("UPDATE catalog_stock SET on_hand = 10, reserved = 2")
    assert violations() == [("A3", [order.code])]


def test_a4_a_cancelled_order_whose_money_was_kept(provider: Provider) -> None:
    order = end_order(DECLINED)
    provider.charge_again(order.code, amount=order.total)
    assert violations() == [("A4", [order.code])]


def test_a4_an_open_refund_is_money_that_goes_back(provider: Provider) -> None:
    order = end_order(DECLINED)
    provider.charge_again(order.code, amount=order.total)
    open_refund = """
        INSERT INTO payments_refund (payment_id, number, key, gateway, amount, sweep_after)
        SELECT id, 1, 'refund', gateway, %s, now() FROM payments_payment
    """
    tamper(open_refund, order.total - 1)
    assert ("A4", [order.code]) in violations()
    tamper("UPDATE payments_refund SET amount = %s", order.total)
    assert {invariant for invariant, _ in violations()} == {"A7"}  # nobody has asked for it


def test_a4_a_cancelled_order_whose_stock_was_never_released() -> None:
    order = end_order(DECLINED)
    tamper("DELETE FROM catalog_stockmovement WHERE kind = 'RELEASED'")
    tamper("UPDATE catalog_stock SET reserved = 2")
    assert violations() == [("A4", [order.code])]


def test_a5_a_pending_order_that_nobody_sweeps() -> None:
    order = make_order()
    long_ago = Now() - timedelta(minutes=10)
    Order.objects.update(expires_at=long_ago, sweep_after=long_ago)
    assert violations() == [("A5", [order.code])]

    Order.objects.update(needs_review=True)  # it is swept on, rarely
    assert violations() == [("A5", [order.code])]


@pytest.mark.usefixtures("transfers")
def test_a5_an_order_may_wait_for_its_transfer_as_long_as_its_gateway_says_and_no_longer(
    settings: LazySettings,
) -> None:
    order = make_order(gateway="manual")
    tamper("UPDATE orders_order SET created_at = now() - interval '6 days'")
    tamper("UPDATE orders_orderevent SET created_at = now() - interval '6 days'")
    assert violations() == []

    settings.TRANSFER_DAYS = 5
    assert violations() == [("A5", [order.code])]


def test_a6_money_at_the_provider_without_an_order(provider: Provider) -> None:
    provider.charge_again("261124-GH0ST-GH0ST", amount=500)
    assert violations() == [("A6", ["261124-GH0ST-GH0ST"])]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders_orderevent WHERE kind = 'confirmed'",
        "DELETE FROM orders_orderevent WHERE kind = 'placed'",
        "UPDATE orders_orderevent SET kind = 'cancelled' WHERE kind = 'confirmed'",
        "INSERT INTO orders_orderevent (order_id, kind, data) SELECT order_id, 'swept', '{}' FROM orders_orderevent"
        " WHERE kind = 'confirmed'",
    ],
)
def test_a7_events_that_do_not_lead_to_the_status(sql: str) -> None:
    order = end_order()
    tamper(sql)
    assert violations() == [("A7", [order.code])]


@pytest.mark.parametrize(
    ("make", "kind", "index"),
    [(make_order, "placed", "event_order_begins_once"), (end_order, "confirmed", "event_order_ends_once")],
)
def test_a7_an_order_that_began_or_ended_twice(make: Callable[[], Order], kind: str, index: str) -> None:
    order = make()
    with without_index(index):
        tamper(add_event(kind))
        assert violations() == [("A7", [order.code])]


def test_the_audit_is_clean_at_every_step_of_a_refund() -> None:
    order = end_order()
    refund = request_refund(order, units=1)
    assert violations() == []
    refund_payment(key=refund.key)
    assert violations() == []
    record_refund(key=refund.key)
    assert violations() == []


def test_a_refund_that_is_answered_while_the_ledger_is_read_is_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    refund = request_refund(end_order(), units=1)
    copy_disputes = ledger._copy_disputes  # they are read last

    def refund_it() -> None:
        refund_payment(key=refund.key)
        record_refund(key=refund.key)

    def copy_and_refund(*args: Any) -> None:
        copy_disputes(*args)
        assert race([refund_it]) == [None]

    monkeypatch.setattr(ledger, "_copy_disputes", copy_and_refund)
    assert violations() == []


def test_a8_more_sold_than_ever_received() -> None:
    end_order()
    tamper("UPDATE catalog_stockmovement SET quantity = 1 WHERE kind = 'RECEIVED'")
    assert violations() == [("A1", ["MUG"]), ("A8", ["MUG"])]  # A8 alone would take a negative on_hand


def test_the_command_prints_the_report_and_exits_1_when_anything_does_not_hold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    end_order()
    call_command("audit", "--json")
    assert json.loads(capsys.readouterr().out)["ok"] is True

    tamper("UPDATE catalog_stock SET on_hand = on_hand - 1")
    with pytest.raises(SystemExit) as end:
        call_command("audit", "--json")

    assert end.value.code == 1
    assert json.loads(capsys.readouterr().out)["violations"] == [
        {"invariant": "A1", "codes": ["MUG"], "detail": "on_hand or reserved is not the sum of the movements"}
    ]


def test_the_command_exits_2_when_the_provider_cannot_be_asked(provider: Provider) -> None:
    provider.control(fault="down")
    with pytest.raises(GatewayUnavailable):
        audit_orders()
    with pytest.raises(CommandError) as end:
        call_command("audit")
    assert end.value.returncode == 2


def test_the_command_exits_2_when_it_cannot_see_whether_anybody_is_at_work(
    empty_ledger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with holding("LOCK TABLE audit_tick"), pytest.raises(CommandError, match="Nothing is known: ") as end:
        call_command("audit")

    assert end.value.returncode == 2
    assert "\n" not in str(end.value)
    assert capsys.readouterr().out == ""


def test_record_audit_keeps_the_report_and_forgets_old_ones() -> None:
    end_order()
    AuditRun.objects.create(ok=True, report={}, created_at=timezone.now() - timedelta(days=31))

    run = record_audit()

    assert run.ok
    assert run.report["checked"]["charges"] == 1
    assert AuditRun.objects.get() == run


def test_record_audit_is_not_ok_when_the_provider_cannot_be_asked(provider: Provider) -> None:
    provider.control(fault="down")

    run = record_audit()

    assert not run.ok
    assert "503" in run.report["error"]


def test_record_audit_asks_the_provider_about_the_last_days_only(empty_ledger: None, provider: Provider) -> None:
    end_order()
    provider.forget_everything()
    assert not record_audit().ok  # a confirmed order without its charge

    tamper("UPDATE orders_order SET created_at = created_at - interval '9 days'")
    tamper("UPDATE orders_orderevent SET created_at = created_at - interval '9 days' WHERE kind = 'placed'")
    assert record_audit().ok


def test_the_command_asks_the_provider_about_as_many_days_as_it_is_told(
    provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    end_order()
    provider.forget_everything()
    tamper("UPDATE orders_order SET created_at = created_at - interval '9 days'")
    tamper("UPDATE orders_orderevent SET created_at = created_at - interval '9 days' WHERE kind = 'placed'")

    call_command("audit", "--days", "8")
    with pytest.raises(SystemExit):
        call_command("audit", "--days", "10")
    with pytest.raises(SystemExit):
        call_command("audit")
    for days in ("0", "-1", "x", "1000000"):
        with pytest.raises(CommandError, match="--days"):
            call_command("audit", "--days", days)


def test_a_report_names_no_more_codes_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.services.MAX_CODES", 2)
    for _ in range(3):
        end_order()
    tamper("UPDATE payments_payment SET currency = 'EUR'")

    ((invariant, codes),) = violations()

    assert invariant == "A2"
    assert len(codes) == 2


def test_record_audit_runs_once_at_a_time() -> None:
    with holding("SELECT pg_advisory_lock(%s, %s)", AUDIT_LOCK, AUDITS):
        for refused in (record_audit, audit_task):
            with pytest.raises((AuditIsRunning, Ignore)):
                refused()
        assert not AuditRun.objects.exists()

    assert record_audit().ok
    assert record_audit().ok


def test_record_audit_ends_though_the_providers_list_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    end_order()
    monkeypatch.setattr("audit.services.LEDGER_TIMEOUT", 0)

    run = record_audit()

    assert not run.ok
    assert "list takes longer" in run.report["error"]


class OtherGateway(StripeGateway):
    """A second provider, whose ledger has one charge."""

    def list_charges(self, **_: Any) -> Iterator[Charge]:
        money: dict[str, Any] = {"amount": 100, "currency": "GBP", "refunded": 0}
        yield Charge(provider_id="pi_1", reference="T-elsewhere", created_at=datetime.now(UTC), **money)


def test_the_ledger_of_each_gateway_is_read(settings: LazySettings) -> None:
    other = f"{OtherGateway.__module__}.{OtherGateway.__name__}"
    settings.PAYMENT_GATEWAYS = {**settings.PAYMENT_GATEWAYS, "other": other}

    assert violations() == [("A6", ["T-elsewhere"])]
