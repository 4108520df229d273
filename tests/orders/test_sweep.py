from datetime import timedelta
from typing import Any

import pytest
from celery.signals import worker_ready
from django.conf import LazySettings
from django.db import OperationalError, connection
from django.db.models.functions import Now

from orders.models import Order, OrderEvent
from orders.sweep import ASK_AGAIN_AFTER, REPAIRS, claim_lost_orders, claim_stuck_orders
from orders.tasks import take_up_lost_orders
from payments.models import Payment
from tests.builders import answer_payment, make_order, tamper
from tests.concurrency.race import race

Answer = Payment.Status
A_MINUTE_AGO = Now() - timedelta(minutes=1)


def lose_order(answer: Payment.Status = Answer.PENDING, **payment: Any) -> Order:
    """An order of a minute ago that no message speaks of any more."""
    order = make_order()
    answer_payment(order, answer, **payment)
    tamper("UPDATE orders_order SET created_at = now() - interval '1 minute' WHERE id = %s", order.pk)
    return order


def lose_each_kind() -> set[str]:
    return {
        lose_order().code,
        lose_order(Answer.SENT, in_flight_until=A_MINUTE_AGO, in_flight_by="host 1 1").code,
        lose_order(Answer.ACTION_REQUIRED, in_flight_until=A_MINUTE_AGO, in_flight_by="host 1 1").code,
        lose_order(Answer.SUCCEEDED, answered_at=A_MINUTE_AGO).code,
        lose_order(Answer.DECLINED, answered_at=A_MINUTE_AGO).code,
        lose_order(Answer.CANCELLED, answered_at=A_MINUTE_AGO).code,
    }


def claimed(limit: int = 200) -> set[str]:
    return {claim.code for claim in claim_lost_orders(limit=limit)}


@pytest.mark.django_db
def test_claim_lost_orders_takes_what_a_dead_worker_may_have_held_once_and_counts_it_as_a_sweep(
    settings: LazySettings,
) -> None:
    lost = lose_each_kind()

    assert claimed() == lost
    assert claimed() == set()

    for order in Order.objects.all():
        assert (order.sweeps, order.needs_review) == (1, False)
        assert [event.kind for event in order.events.all()] == ["placed", "swept"]
        assert order.sweep_after
        longest = ASK_AGAIN_AFTER if order.payment.status in Payment.ASKED else settings.SWEEP_AFTER
        assert 0.5 * longest < (order.sweep_after - order.events.last().created_at).total_seconds() < 1.5 * longest  # type: ignore[union-attr]
    assert claim_stuck_orders() == []


@pytest.mark.django_db
def test_claim_lost_orders_leaves_what_is_in_good_hands() -> None:
    make_order()  # its message may be on its way
    lose_order(Answer.SUCCEEDED, answered_at=Now())
    lose_order(Answer.SENT, in_flight_until=Now() + timedelta(minutes=1))
    lose_order(Answer.SENT)  # the provider's error was written down: the sweep asks again at its time
    before = list(Order.objects.values())

    assert claim_lost_orders() == []

    assert list(Order.objects.values()) == before
    assert not OrderEvent.objects.filter(kind="swept").exists()


@pytest.mark.django_db
def test_claim_lost_orders_takes_no_more_of_a_kind_than_its_limit_oldest_first() -> None:
    orders = [lose_order() for _ in range(3)]
    tamper("UPDATE orders_order SET created_at = now() - interval '1 hour' WHERE id = %s", orders[2].pk)
    answered = lose_order(Answer.SUCCEEDED, answered_at=A_MINUTE_AGO)

    assert claimed(limit=1) == {orders[2].code, answered.code}
    assert claimed() == {orders[0].code, orders[1].code}


@pytest.mark.django_db
@pytest.mark.parametrize(("max_sweeps", "times"), [(20, REPAIRS), (2, 2)])
def test_an_order_that_is_lost_again_and_again_is_left_to_the_sweep_and_not_reviewed_for_it(
    settings: LazySettings, max_sweeps: int, times: int
) -> None:
    settings.ORDER_MAX_SWEEPS = max_sweeps
    order = lose_order()
    settings.LOST_AFTER = -60  # however lately it was swept

    assert [claimed() for _ in range(times + 2)] == [{order.code}] * times + [set()] * 2

    order.refresh_from_db()
    assert (order.sweeps, order.needs_review) == (times, False)


@pytest.mark.django_db
def test_a_lost_order_past_its_deadline_is_claimed_to_be_cancelled() -> None:
    order = lose_order()
    Order.objects.filter(pk=order.pk).update(expires_at=Now())

    assert [(claim.code, claim.expired) for claim in claim_lost_orders()] == [(order.code, True)]


@pytest.mark.django_db(transaction=True)
def test_workers_that_start_at_the_same_time_take_up_every_lost_order() -> None:
    lost = lose_each_kind()

    claims = race([claim_lost_orders] * 4)

    assert {claim.code for some in claims for claim in some} == lost


@pytest.mark.django_db(transaction=True)
def test_a_worker_starts_while_the_database_is_away_and_leaves_lost_orders_to_the_sweep(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("nobody there")

    lose_order()

    with connection.execute_wrapper(refuse):
        answers = worker_ready.send(sender=None)

    assert [answer for receiver, answer in answers if receiver is take_up_lost_orders] == [None]
    assert 'lost orders are left to the sweep reason="nobody there"' in caplog.text
    assert Order.objects.get().sweeps == 0


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_starts_takes_up_lost_orders() -> None:
    lose_order()

    worker_ready.send(sender=None)

    assert Order.objects.get().sweeps == 1


@pytest.mark.django_db
def test_an_order_that_only_waits_for_its_customer_is_swept_and_nothing_is_counted(settings: LazySettings) -> None:
    order = make_order()
    answer_payment(order, Answer.ACTION_REQUIRED, action_required_at=Now())
    for _ in range(settings.ORDER_MAX_SWEEPS + 1):
        Order.objects.update(sweep_after=A_MINUTE_AGO)
        (claim,) = claim_stuck_orders()
        assert (claim.code, claim.expired) == (order.code, False)
        assert claim.pause == pytest.approx(settings.SWEEP_AFTER, abs=5)

    order.refresh_from_db()
    assert (order.sweeps, order.needs_review) == (0, False)
    assert [event.kind for event in order.events.all()] == ["placed"]


@pytest.mark.django_db
def test_the_longer_a_customer_takes_the_rarer_the_provider_is_asked_but_never_after_the_deadline() -> None:
    order = make_order()
    answer_payment(order, Answer.ACTION_REQUIRED, action_required_at=Now() - timedelta(minutes=2))
    Order.objects.update(sweep_after=A_MINUTE_AGO)
    (claim,) = claim_stuck_orders()
    assert claim.pause == pytest.approx(120, abs=5)

    Order.objects.update(sweep_after=A_MINUTE_AGO, expires_at=Now() + timedelta(seconds=10))
    (claim,) = claim_stuck_orders()
    assert claim.pause <= 10


@pytest.mark.django_db
@pytest.mark.parametrize(
    "payment",
    [{"last_error": "no answer"}, {"in_flight_until": A_MINUTE_AGO, "in_flight_by": "host 1 1"}],
)
def test_while_the_provider_does_not_answer_an_order_that_waits_for_its_customer_is_counted(
    payment: dict[str, Any],
) -> None:
    order = make_order()
    answer_payment(order, Answer.ACTION_REQUIRED, **payment)
    Order.objects.update(sweep_after=A_MINUTE_AGO)

    assert [claim.code for claim in claim_stuck_orders()] == [order.code]

    order.refresh_from_db()
    assert order.sweeps == 1


@pytest.mark.django_db
def test_past_its_deadline_an_order_whose_customer_did_not_act_is_cancelled_and_counted() -> None:
    order = make_order()
    answer_payment(order, Answer.ACTION_REQUIRED)
    Order.objects.update(sweep_after=A_MINUTE_AGO, expires_at=A_MINUTE_AGO)

    assert [(claim.code, claim.expired) for claim in claim_stuck_orders()] == [(order.code, True)]

    order.refresh_from_db()
    assert order.sweeps == 1
