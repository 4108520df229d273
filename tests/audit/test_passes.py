"""A long list is compared part by part, over as many runs as it takes, and what is found is the same."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models.functions import Now

from audit import reconciliation
from audit.differences import MISSING_THERE
from audit.ledger import BEGINNING, copied_ledger, lock_ledgers, open_cursor
from audit.models import Difference, LedgerPass
from audit.reconciliation import Reconciliation, go_on_reconciling, reconcile, record_differences
from audit.tasks import reconcile as reconcile_task
from orders.models import Order
from orders.services import finalize_order
from payments.gateway import GatewayUnavailable
from payments.models import Payment
from payments.services import charge_payment
from tests.builders import make_order, make_product, tamper
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]
ORDERS = 5


@pytest.fixture
def confirmed(provider: Provider) -> list[Order]:
    """Five orders, a day apart. Each was paid a day and a half after it was placed, when the next one was there."""
    make_product("MUG", stock=50)
    orders = [pay(make_order()) for _ in range(ORDERS)]
    spread(provider)
    tamper("UPDATE payments_payment SET created_at = created_at - interval '36 hours'")
    return orders


@pytest.fixture
def parts_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.ledger.PART", 2)


def pay(order: Order) -> Order:
    charge_payment(reference=order.code)
    return finalize_order(code=order.code)


def spread(provider: Provider) -> None:
    """Let there be a day between a charge and the next, and between a payment and the next."""
    provider.execute(
        """UPDATE payment_intent SET created = now() - (1 + last.number - payment_intent.number) * interval '1 day'
        FROM (SELECT max(number) AS number FROM payment_intent) last"""
    )
    tamper(
        """UPDATE payments_payment SET created_at = now() - (1 + last.id - payments_payment.id) * interval '1 day'
        FROM (SELECT max(id) AS id FROM payments_payment) last"""
    )


def find() -> set[tuple[str, str]]:
    return set(Difference.objects.unresolved().values_list("kind", "reference"))


def go_on() -> LedgerPass:
    """One run, whose time is over after the first charge."""
    go_on_reconciling(since=BEGINNING, within=0)
    return LedgerPass.objects.get(gateway="stripe")


def finish_pass() -> int:
    """Go on until all was compared. Return how many runs it took."""
    for runs in range(1, 20):
        if go_on().began_at is None:
            return runs
    raise AssertionError("the pass does not end")


@pytest.mark.usefixtures("parts_of_two")
def test_honest_orders_agree_in_whatever_part_their_charge_and_their_payment_are(confirmed: list[Order]) -> None:
    assert reconcile() == Reconciliation(charges=ORDERS, matched=ORDERS, opened=0, closed=0)
    assert find() == set()


@pytest.mark.usefixtures("parts_of_two")
def test_control_a_part_that_knows_nothing_of_the_newer_ones_misses_their_charges(
    confirmed: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "_find_carried", lambda copy, carried: [])

    assert reconcile().opened > 0


@pytest.mark.usefixtures("parts_of_two")
def test_parts_find_what_the_whole_list_shows(confirmed: list[Order], provider: Provider) -> None:
    gone, other_amount, unknown = confirmed[0], confirmed[2], confirmed[4]
    tamper("UPDATE payments_payment SET provider_id = 'pi_gone' WHERE reference = %s", gone.code)
    tamper("UPDATE payments_payment SET amount = amount + 1 WHERE reference = %s", other_amount.code)
    tamper("UPDATE payments_payment SET provider_id = 'pi_other' WHERE reference = %s", unknown.code)
    reconcile()
    in_parts = find()
    Difference.objects.all().delete()

    with lock_ledgers(), copied_ledger() as copy:
        record_differences(copy)

    assert in_parts == find()
    assert {kind for kind, _ in in_parts} == {"missing_there", "missing_here", "amount_differs"}


def test_each_run_goes_on_where_the_last_one_stopped_and_the_next_pass_begins_anew(
    confirmed: list[Order], provider: Provider
) -> None:
    tamper("UPDATE payments_payment SET provider_id = 'pi_gone' WHERE reference = %s", confirmed[0].code)

    first, second = go_on(), go_on()

    assert first.compared_since
    assert second.compared_since
    assert first.compared_since > second.compared_since
    assert find() == set()  # the oldest comes last
    finish_pass()
    assert find() == {("missing_there", confirmed[0].code), ("missing_here", confirmed[0].code)}
    ended = LedgerPass.objects.get(gateway="stripe")
    assert (ended.compared_since, ended.carried) == (None, [])
    assert ended.ended_at
    assert go_on().compared_since == first.compared_since


def test_a_difference_that_has_gone_is_closed_by_the_part_that_would_show_it(
    confirmed: list[Order], provider: Provider
) -> None:
    tamper("UPDATE payments_payment SET provider_id = 'pi_gone' WHERE reference = %s", confirmed[0].code)
    finish_pass()
    payment = Payment.objects.get(reference=confirmed[0].code)
    there = Difference.objects.get(kind="missing_here").provider_id
    tamper("UPDATE payments_payment SET provider_id = %s WHERE id = %s", there, payment.pk)

    go_on()
    assert len(find()) == 2
    finish_pass()

    assert find() == set()
    assert set(Difference.objects.values_list("resolution", flat=True)) == {"gone"}


def test_what_is_paid_between_two_runs_is_missed_in_no_part(confirmed: list[Order]) -> None:
    late = make_order()
    tamper("UPDATE payments_payment SET created_at = now() - interval '9 days' WHERE id = %s", late.payment_id)
    go_on()

    pay(late)
    finish_pass()

    assert find() == set()


def test_control_by_the_time_of_its_own_part_it_would_be_missed(
    confirmed: list[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = make_order()
    tamper("UPDATE payments_payment SET created_at = now() - interval '9 days' WHERE id = %s", late.payment_id)
    go_on()
    pay(late)
    monkeypatch.setattr(reconciliation, "FOUND", reconciliation.FOUND.replace("%(began)s", "%(started)s"))

    finish_pass()

    assert find() == {("missing_there", late.code)}


def test_a_difference_of_what_was_paid_between_two_runs_stays_open_until_a_part_would_show_it(
    confirmed: list[Order],
) -> None:
    late = make_order()
    tamper("UPDATE payments_payment SET created_at = now() - interval '9 days' WHERE id = %s", late.payment_id)
    go_on()
    pay(late)
    tamper("UPDATE payments_payment SET provider_id = 'pi_gone' WHERE id = %s", late.payment_id)
    reconcile()  # by hand
    found = Difference.objects.get(kind="missing_there")

    finish_pass()

    found.refresh_from_db()
    assert found.resolution == ""


def test_a_list_without_a_charge_that_succeeded_is_not_read_for_ever(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_product("MUG", stock=50)
    for _ in range(3):
        charge_payment(reference=make_order(payment_method="pm_card_visa_chargeDeclined").code)
    monkeypatch.setattr("audit.ledger.LAST_CHARGE_TIMEOUT", 0)

    with pytest.raises(GatewayUnavailable, match="takes longer"):
        go_on()


def test_a_run_whose_provider_fails_keeps_what_the_runs_before_it_did(
    confirmed: list[Order], provider: Provider
) -> None:
    before = go_on()
    provider.control(fault="down")
    with pytest.raises(GatewayUnavailable):
        go_on()
    provider.control()

    after = LedgerPass.objects.get(gateway="stripe")
    assert (after.compared_since, after.carried) == (before.compared_since, before.carried)
    assert finish_pass() >= ORDERS - 1


def test_the_oldest_charge_is_compared_as_well(confirmed: list[Order], provider: Provider) -> None:
    provider.execute(
        "UPDATE payment_intent SET metadata = '{}' WHERE number = (SELECT min(number) FROM payment_intent)"
    )

    finish_pass()

    assert find() == {("missing_here", ""), ("missing_there", confirmed[0].code)}


def test_disputes_are_found_in_their_part(confirmed: list[Order], provider: Provider) -> None:
    intent = Payment.objects.get(reference=confirmed[0].code).provider_id
    assert intent
    provider.open_dispute(intent)
    provider.execute("UPDATE dispute SET created = now() - interval '3 days'")

    go_on()
    assert find() == set()
    finish_pass()

    assert find() == {("dispute_differs", confirmed[0].code)}


@pytest.fixture
def slow_pass() -> LedgerPass:
    return LedgerPass.objects.create(gateway="stripe", began_at=datetime.now(UTC) - timedelta(days=7, minutes=1))


def test_a_pass_that_takes_more_than_a_week_is_said(
    confirmed: list[Order], slow_pass: LedgerPass, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("audit.ledger.LEDGER_TIMEOUT", 0)
    reconcile_task()
    assert [record.levelno for record in caplog.records if "can't keep up" in record.getMessage()] == [logging.ERROR]

    caplog.clear()
    LedgerPass.objects.update(gateway="gone")
    reconcile_task()
    assert "can't keep up" not in caplog.text
    LedgerPass.objects.update(began_at=Now())
    reconcile_task()
    assert "can't keep up" not in caplog.text


def test_nothing_is_looked_up_for_each_payment(confirmed: list[Order]) -> None:
    """Neither what is carried, nor when a payment was first tried that is the first of its order."""
    carried = list(Payment.objects.values_list("pk", flat=True)[:2])
    with copied_ledger() as copy, open_cursor() as cursor:
        cursor.execute(f"EXPLAIN ANALYZE {MISSING_THERE}", reconciliation._describe(copy, carried))
        plan = [line for (line,) in cursor.fetchall()]

    assert any("unnest carried" in line for line in plan)
    first_tries = [line for line in plan if "payments_payment first" in line]
    assert first_tries
    assert all("never executed" in line for line in first_tries)
