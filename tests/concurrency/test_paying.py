"""Another payment for a held order, at the same moment as whatever else can happen to it."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Barrier, Event
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from audit.services import audit_orders
from orders import services
from orders.models import Order
from orders.paying import OrderHasEnded, OrderIsNotHeld, PaymentNumberReused, PaymentRefused, pay_again
from orders.services import OrderIsFinal, cancel_order, finalize_order
from orders.sweep import claim_stuck_orders
from payments import requests as payment_requests
from payments.gateway import CardDeclined, Charge, ChargeRequest, GatewayUnavailable
from payments.models import Payment
from payments.requests import RECORD_ANSWER
from payments.services import cancel_payment, charge_payment
from payments.stripe import StripeGateway
from tests.builders import answer_payment, make_order, make_product, stock_of
from tests.concurrency.race import race

pytestmark = pytest.mark.django_db(transaction=True)
VISA, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"
ROUNDS = 5


def hold_order() -> Order:
    order = make_order({"MUG": 2}, payment_method=DECLINED, hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED, answered_at=timezone.now())
    return finalize_order(code=order.code)


def pay(order: Order, method: str = VISA) -> Callable[[], Any]:
    return partial(pay_again, code=order.code, number=2, payment_method=method)


def count_payments(order: Order) -> int:
    return Payment.objects.filter(reference=order.code).count()


def test_ten_clicks_at_once_make_one_payment() -> None:
    order = hold_order()

    results = race([pay(order)] * 10)

    assert Counter(created for _, created in results) == {True: 1, False: 9}
    assert count_payments(order) == 2
    assert order.events.filter(kind="paying_again").count() == 1


def test_two_cards_at_once_under_one_number_make_one_payment() -> None:
    order = hold_order()

    results = race([pay(order), pay(order, "pm_card_mastercard")])

    assert {type(result) for result in results} == {tuple, PaymentNumberReused}
    assert count_payments(order) == 2


def let_all_read_before_one_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_read = Barrier(2, timeout=10)

    def read_without_locking(code: str) -> Order:
        order = Order.objects.get(code=code)
        both_have_read.wait()
        return order

    monkeypatch.setattr(services, "lock_order", read_without_locking)


def test_control_without_the_orders_lock_only_the_index_stops_the_second_click(monkeypatch: pytest.MonkeyPatch) -> None:
    order = hold_order()
    let_all_read_before_one_writes(monkeypatch)

    results = race([pay(order)] * 2)

    assert sorted(type(result).__name__ for result in results) == ["PaymentUnanswered", "tuple"]
    assert count_payments(order) == 2


def assert_ends_once(order: Order) -> None:
    """Cancelled and without a second payment, or with one that is asked for."""
    order.refresh_from_db()
    unanswered = Payment.objects.unanswered().filter(reference=order.code).exists()
    assert unanswered == (order.status == "PENDING")
    assert order.events.filter(kind="cancelled").count() == (order.status == "CANCELLED")


@pytest.mark.parametrize("passed", ["held_until", "expires_at"])
def test_pay_again_against_the_end_of_the_hold(passed: str) -> None:
    make_product("MUG", stock=100)
    for _ in range(ROUNDS):
        order = hold_order()
        Order.objects.filter(pk=order.pk).update(**{passed: timezone.now()})

        results = race([pay(order), partial(finalize_order, code=order.code)])

        assert isinstance(results[0], PaymentRefused)  # its time is over, whoever is first
        assert_ends_once(order)
    assert stock_of("MUG") == (100, 0)


def test_pay_again_against_cancel_order() -> None:
    make_product("MUG", stock=100)
    for _ in range(ROUNDS):
        order = hold_order()

        results = race([pay(order), partial(cancel_order, code=order.code, reason=Order.CancelReason.CUSTOMER)])

        assert not any(isinstance(result, IntegrityError) for result in results)
        order.refresh_from_db()
        assert (order.status, order.cancel_reason) == ("CANCELLED", "customer")
        last = Payment.objects.filter(reference=order.code).latest("number")
        assert last.status == ("CANCELLED" if last.number == 2 else "DECLINED")
    assert stock_of("MUG") == (100, 0)


def test_control_without_the_orders_lock_a_cancelled_order_is_taken_for_a_held_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the conditions of the UPDATE stop it then."""
    order = hold_order()
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)
    with pytest.raises(OrderHasEnded):
        pay(order)()
    monkeypatch.setattr(services, "lock_order", lambda code: order)  # as it was read before the cancel

    with pytest.raises(OrderIsNotHeld):
        pay(order)()

    assert_ends_once(order)


def test_pay_again_against_the_sweep() -> None:
    make_product("MUG", stock=100)
    for _ in range(ROUNDS):
        order = hold_order()
        Order.objects.filter(pk=order.pk).update(sweep_after=timezone.now())

        race([pay(order), claim_stuck_orders, partial(finalize_order, code=order.code)])

        order.refresh_from_db()
        assert (order.status, count_payments(order)) == ("PENDING", 2)
        assert order.sweep_after
        assert_ends_once(order)
    assert stock_of("MUG") == (100, 2 * ROUNDS)


class SlowBank:
    """A bank that says no to the first payment and yes to the second, each time once the test lets it."""

    def __init__(self) -> None:
        self.asked, self.may_answer = Counter[int](), {1: Event(), 2: Event()}

    def charge(self, request: ChargeRequest) -> Charge:
        self.asked[request.number] += 1
        if self.asked[1] > 1 and request.number == 1:
            raise CardDeclined("generic_decline")  # whoever asks again hears it at once
        assert self.may_answer[request.number].wait(10)
        if request.number == 1:
            raise CardDeclined("generic_decline")
        return Charge(
            provider_id="pi_2",
            reference=request.reference,
            amount=request.amount,
            currency=request.currency,
            refunded=0,
            created_at=timezone.now(),
        )


def answer_late(monkeypatch: pytest.MonkeyPatch) -> str:
    """The first payment's no comes once more, while the second is asked for. Return the second's status then."""
    bank = SlowBank()
    monkeypatch.setattr(StripeGateway, "charge", lambda _gateway, request: bank.charge(request))
    monkeypatch.setattr(StripeGateway, "cancel", lambda _gateway, _request: None)
    order = make_order(payment_method=DECLINED, hold_on_decline=600)
    charge = partial(charge_payment, reference=order.code)
    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(close_afterwards, charge)
        wait_until(lambda: bank.asked[1] == 1)
        Payment.objects.update(in_flight_until=timezone.now())
        charge()
        finalize_order(code=order.code)
        pay(order)()
        second = pool.submit(close_afterwards, charge)
        wait_until(lambda: bank.asked[2] == 1)
        bank.may_answer[1].set()
        late.result()
        meanwhile = Payment.objects.get(number=2).status
        bank.may_answer[2].set()
        second.result()
    return meanwhile


def close_afterwards(call: Callable[[], None]) -> None:
    try:
        call()
    finally:
        connection.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_late_answer_is_written_to_the_payment_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer_late(monkeypatch) == "SENT"

    assert list(Payment.objects.order_by("number").values_list("status", flat=True)) == ["DECLINED", "SUCCEEDED"]


def test_control_an_answer_that_is_written_by_the_reference_declines_the_next_payment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_reference = "WHERE reference = (SELECT reference FROM payments_payment WHERE id = %s)"
    monkeypatch.setattr(payment_requests, "RECORD_ANSWER", RECORD_ANSWER.replace("WHERE id = %s", by_reference))

    assert answer_late(monkeypatch) == "DECLINED"  # and its money is taken


@pytest.mark.usefixtures("gateway", "empty_ledger")
def test_everything_at_once_ends_one_way_and_the_audit_agrees() -> None:
    make_product("MUG", stock=100)
    orders = [make_order(payment_method=DECLINED, hold_on_decline=600) for _ in range(ROUNDS)]
    for order in orders:
        charge_payment(reference=order.code)
        finalize_order(code=order.code)
        charge, cancel = (partial(call, reference=order.code) for call in (charge_payment, cancel_payment))
        end = partial(finalize_order, code=order.code)
        stop = partial(cancel_order, code=order.code, reason=Order.CancelReason.CUSTOMER)

        race([pay(order), pay(order), charge, end, stop, cancel, charge, end])

        for _ in range(20):
            with suppress(GatewayUnavailable):
                cancel_payment(reference=order.code)
                break
        with suppress(OrderIsFinal):
            cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)
    assert {finalize_order(code=order.code).status for order in orders} <= {"CONFIRMED", "CANCELLED"}
    assert audit_orders()["ok"]
