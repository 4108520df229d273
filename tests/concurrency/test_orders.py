import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from orders import checkout, limits, services
from orders.checkout import TooManyUnpaid, place_order
from orders.limits import TooManyCheckouts, limit_checkout
from orders.models import Order, OrderEvent
from orders.services import cancel_order, finalize_order
from orders.sweep import claim_stuck_orders
from payments.models import Payment
from rate_limit import take_turn
from tests.builders import answer_payment, make_checkout, make_order, make_product, stock_of
from tests.concurrency.race import close_after, race
from tests.locks import holding, is_waiting

pytestmark = pytest.mark.django_db(transaction=True)


def make_due_orders(count: int) -> list[Order]:
    make_product("MUG", stock=1000)
    orders = [make_order() for _ in range(count)]
    Order.objects.update(sweep_after=timezone.now() - timedelta(seconds=1))
    return orders


def test_one_checkout_key_twenty_times_at_once_places_one_order() -> None:
    make_product("MUG", stock=100)

    results = race([partial(place_order, make_checkout({"MUG": 2}, key="once"))] * 20)

    assert Counter(created for _, created in results) == {True: 1, False: 19}
    assert len({order.code for order, _ in results}) == 1
    assert Order.objects.count() == Payment.objects.count() == 1
    assert stock_of("MUG") == (100, 2)


def test_a_key_whose_first_order_was_refused_can_be_used_by_another_at_the_same_time() -> None:
    make_product("MUG", stock=1)
    quantities = [{"MUG": 2}, {"MUG": 1}] * 5

    results = race([partial(make_order, asked, key="once") for asked in quantities])

    assert Order.objects.count() == 1
    assert stock_of("MUG") == (1, 1)
    assert {type(result).__name__ for result in results} <= {"Order", "OutOfStock", "CheckoutKeyReused"}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_repeated_checkout_keeps_its_order_from_ending_by_no_lock() -> None:
    """It came to the stock first; whoever ends the order has the order's row, and comes to the stock behind it."""
    order = make_order(key="once")
    answer_payment(order, Payment.Status.SUCCEEDED)
    repeat = close_after(partial(place_order, make_checkout(key="once"), limited=False))
    finalize = close_after(partial(finalize_order, code=order.code))

    with ThreadPoolExecutor(2) as executor, holding("SELECT FROM catalog_stock FOR UPDATE", our_patience="0"):
        repeated = executor.submit(repeat)
        wait_until(lambda: repeated.done() or is_waiting())
        finalized = executor.submit(finalize)
        wait_until(lambda: is_waiting(1 if repeated.done() else 2))

    assert repeated.result() == (order, False)
    assert finalized.result().status == "CONFIRMED"


def test_finalize_order_many_times_at_once_ends_the_order_once() -> None:
    make_product("MUG", stock=10)
    order = make_order({"MUG": 3})
    answer_payment(order, Payment.Status.SUCCEEDED)

    results = race([partial(finalize_order, code=order.code)] * 10)

    assert [result.status for result in results] == ["CONFIRMED"] * 10
    assert stock_of("MUG") == (7, 0)
    assert OrderEvent.objects.filter(kind="confirmed").count() == 1


def test_control_without_the_condition_on_its_status_an_order_ends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then only the unique constraint of the events stops the second."""
    monkeypatch.setattr(services, "END_ORDER", services.END_ORDER.replace("AND status = 'PENDING'", "", 1))
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)

    results = race([partial(finalize_order, code=order.code)] * 2)

    assert sorted(type(result).__name__ for result in results) == ["IntegrityError", "Order"]


def test_cancel_order_against_finalize_order_ends_the_order_once() -> None:
    make_product("MUG", stock=100)
    for _ in range(5):
        order = make_order()
        answer_payment(order, Payment.Status.SUCCEEDED)

        race(
            [
                partial(finalize_order, code=order.code),
                partial(cancel_order, code=order.code, reason=Order.CancelReason.CUSTOMER),
            ]
        )

        finalize_order(code=order.code)
        order.refresh_from_db()
        assert order.status == "CONFIRMED"  # it was paid: a cancellation comes too late
        assert order.events.filter(kind__in=["confirmed", "cancelled"]).count() == 1
    assert stock_of("MUG") == (95, 0)


def test_sweeps_at_the_same_time_share_the_stuck_orders() -> None:
    orders = make_due_orders(60)

    results = race([partial(claim_stuck_orders, limit=20)] * 6)

    claimed = [claim.code for claims in results for claim in claims]
    assert len(claimed) == len(set(claimed))
    while more := claim_stuck_orders(limit=100):
        claimed += [claim.code for claim in more]
    assert sorted(claimed) == sorted(order.code for order in orders)


def test_control_without_skipping_locked_rows_two_sweeps_claim_the_same_order() -> None:
    make_due_orders(1)
    both_have_read = Barrier(2, timeout=10)

    def claim_without_locking() -> list[str]:
        due = list(Order.objects.filter(status="PENDING", sweep_after__lte=timezone.now()))
        both_have_read.wait()
        return [order.code for order in due]

    claims = race([claim_without_locking] * 2)

    assert claims[0] == claims[1] != []


def test_the_sweep_passes_over_an_order_that_is_being_finalized() -> None:
    (order,) = make_due_orders(1)
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=order.pk)
        assert race([claim_stuck_orders]) == [[]]
    assert len(claim_stuck_orders()) == 1


def test_the_database_refuses_a_second_end() -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)

    with pytest.raises(IntegrityError):
        OrderEvent.objects.create(order=order, kind=OrderEvent.Kind.CANCELLED)


def place_five_unpaid_at_once(**customer: Any) -> list[Any]:
    make_product("MUG", stock=100)
    return race([partial(place_order, make_checkout({"MUG": 2}, **customer)) for _ in range(5)])


@pytest.mark.parametrize("has_account", [False, True])
def test_a_customers_checkouts_at_the_same_time_place_no_more_than_may_be_unpaid(
    settings: LazySettings, has_account: bool
) -> None:
    settings.SHOP_MAX_UNPAID = 2
    user = User.objects.create_user("ann@example.com", "secret") if has_account else None

    results = place_five_unpaid_at_once(user=user)

    assert sum(isinstance(result, TooManyUnpaid) for result in results) == 3
    assert Order.objects.count() == 2
    assert stock_of("MUG") == (100, 4)


def test_control_without_the_customers_lock_they_place_more(settings: LazySettings) -> None:
    settings.SHOP_MAX_UNPAID = 2
    all_have_counted = Barrier(5, timeout=10)  # or one that failed before would keep the others waiting for ever
    write_order = checkout._write_order

    def write_when_all_have_counted(*asked: Any) -> Order | None:
        all_have_counted.wait()
        return write_order(*asked)

    with (
        patch("orders.checkout.lock_customer", lambda name: None),
        patch("orders.checkout._write_order", write_when_all_have_counted),
    ):
        place_five_unpaid_at_once()

    assert Order.objects.count() == 5


def try_cards(settings: LazySettings, ip: str) -> int:
    """How many of 12 checkouts at the same time go on, where two cards may be declined; none has an answer yet."""
    settings.REDIS_PREFIX = uuid4().hex  # nobody has ordered anything yet
    settings.CHECKOUT_LIMITS = {"session": 0, "account": 0, "ip": 0}
    settings.DECLINE_LIMITS = {"session": 0, "account": 0, "ip": 2}
    make_product("MUG", stock=50)

    def check_out(key: str) -> Order:
        with limit_checkout(checkout_key=key, ip=ip):
            return make_order(key=key)

    results = race([partial(check_out, f"{ip} {number}") for number in range(12)])
    assert {type(result) for result in results} <= {Order, TooManyCheckouts}
    return Order.objects.count()


def test_of_cards_that_are_tried_at_the_same_time_no_more_go_on_than_may_be_declined(settings: LazySettings) -> None:
    assert try_cards(settings, "192.0.2.21") == 2


def test_control_where_answers_alone_are_counted_many_cards_pass(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_may_be_declined", lambda _status, _seconds: False)

    assert try_cards(settings, "192.0.2.21") == 12


def test_control_where_a_turn_is_taken_after_the_count_many_cards_pass(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, all_have_counted = limits._check_declines, Barrier(12, timeout=10)

    def count_and_take(turns: Any, **asked: Any) -> None:
        check(asked["thing"], {"ip": turns[0].subject})
        all_have_counted.wait()
        take_turn(turns, **asked)

    monkeypatch.setattr(limits, "take_turn", count_and_take)
    monkeypatch.setattr(limits, "_check_declines", lambda _key, _subjects: None)

    assert try_cards(settings, "192.0.2.21") == 12
