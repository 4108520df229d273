"""What a chaos run is measured by: no order is final too late, and no mail is noted as sent that was never taken."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from lab.simulation.chaos.lateness import (
    AFTER_STRIKES_AT_MOST,
    PAST_DEADLINE_AT_MOST,
    Lateness,
    find_late,
    measure_lateness,
)
from lab.simulation.chaos.mails import count_mails, find_lost_mails
from lab.simulation.chaos.orders import OrderCounts, count_orders
from lab.simulation.strikes.mail_server import TAKEN
from orders.models import Order, OrderMail
from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, make_order, tamper

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_final_order(key: str, *, expires_at: datetime = NOON, finalized_at: datetime = NOON) -> Order:
    order = make_order(key=key)
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)
    times = "UPDATE orders_order SET expires_at = %s, finalized_at = %s WHERE id = %s"
    tamper(times, expires_at, finalized_at, order.pk)
    return order


def test_lateness_is_counted_from_the_deadline_and_from_the_last_strike_whichever_is_later() -> None:
    make_final_order("run-1", finalized_at=NOON + timedelta(seconds=50))
    make_final_order("run-2", finalized_at=NOON + timedelta(seconds=90), expires_at=NOON + timedelta(seconds=70))
    make_final_order("other-1", finalized_at=NOON + timedelta(seconds=500))

    assert measure_lateness("run", NOON) == Lateness(50, 50)
    assert measure_lateness("run", NOON + timedelta(seconds=45)) == Lateness(50, 20)
    assert measure_lateness("nobody", NOON) == Lateness(0, 0)


def test_an_order_that_is_not_final_is_as_late_as_now() -> None:
    order = make_order(key="run-1")
    Order.objects.filter(pk=order.pk).update(expires_at=Now() - timedelta(seconds=300), needs_review=True)

    lateness = measure_lateness("run", NOON)

    assert lateness.past_deadline == lateness.after_strikes > PAST_DEADLINE_AT_MOST
    assert count_orders("run") == OrderCounts(pending=1, final=0, refunding=0)


def test_an_order_beyond_the_bound_is_a_problem() -> None:
    assert list(find_late(Lateness(PAST_DEADLINE_AT_MOST, AFTER_STRIKES_AT_MOST))) == []
    assert len(list(find_late(Lateness(PAST_DEADLINE_AT_MOST + 1, AFTER_STRIKES_AT_MOST)))) == 1
    assert len(list(find_late(Lateness(PAST_DEADLINE_AT_MOST, AFTER_STRIKES_AT_MOST + 1)))) == 1


def test_mails_are_counted_and_one_that_was_noted_as_sent_and_never_taken_is_a_problem(tmp_path: Path) -> None:
    taken, lost, _owed = (make_final_order(f"run-{number}") for number in range(3))
    make_final_order("other-1")
    OrderMail.objects.filter(order__in=[taken, lost]).update(sent_at=Now())
    (tmp_path / TAKEN).write_text(f"<{taken.code}.confirmed@orders.localhost>\n" * 2)

    assert count_mails("run", tmp_path) == {"sent": 2, "owed": 1, "taken": 1}
    assert list(find_lost_mails("run", tmp_path)) == [
        f"the mail that says confirmed of {lost.code} is noted as sent, and was not taken"
    ]


def test_where_the_stack_has_no_mail_server_of_its_own_no_mail_is_missed(tmp_path: Path) -> None:
    OrderMail.objects.filter(order=make_final_order("run-1")).update(sent_at=Now())

    assert count_mails("run", tmp_path) == {"sent": 1, "owed": 0, "taken": None}
    assert list(find_lost_mails("run", tmp_path)) == []
