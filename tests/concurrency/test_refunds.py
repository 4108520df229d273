"""Refunds at the same moment as each other, and as themselves."""

from collections import Counter
from contextlib import suppress
from functools import partial
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from audit.services import audit_orders
from orders import refunds, services
from orders.models import Order
from orders.refund_answers import record_refund
from orders.refunds import RefundNumberReused, refund_order
from payments import refund_requests
from payments import refunds as payment_refunds
from payments.gateway import GatewayUnavailable
from payments.models import Payment
from payments.refund_models import Refund
from payments.refund_requests import RECORD_ANSWER
from payments.refunds import claim_due_refunds, count_left, make_key, refund_payment
from payments.stripe import StripeGateway
from tests.builders import make_confirmed, request_refund, stock_of
from tests.concurrency.race import race

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_ledger")]


@pytest.fixture
def order(gateway: StripeGateway) -> Order:
    return make_confirmed(quantity=2)


def ask(order: Order, amount: int) -> Any:
    return partial(refund_order, code=order.code, number=1, amount=amount)


def test_ten_clicks_at_once_make_one_refund(order: Order) -> None:
    results = race([ask(order, 600)] * 10)

    assert Counter(created for _, created in results) == {True: 1, False: 9}
    assert Refund.objects.count() == 1
    assert order.events.filter(kind="refund_requested").count() == 1


def test_two_refunds_at_once_give_back_no_more_than_was_charged(order: Order) -> None:
    results = race([ask(order, 600), ask(order, 700)])

    assert {type(result) for result in results} == {tuple, RefundNumberReused}
    assert Refund.objects.count() == 1


def read_without_locking(monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_read = Barrier(2, timeout=10)

    def read_payment(payment_id: int) -> Payment:
        payment = Payment.objects.get(pk=payment_id)
        both_have_read.wait()
        return payment

    monkeypatch.setattr(services, "lock_order", lambda code: Order.objects.get(code=code))
    monkeypatch.setattr(refunds, "lock_payment", read_payment)


def test_control_without_the_locks_only_the_number_stops_the_second_click(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_without_locking(monkeypatch)

    results = race([ask(order, 600), ask(order, 600)])

    assert sorted(type(result).__name__ for result in results) == ["IntegrityError", "tuple"]
    assert Refund.objects.count() == 1


def write_unlocked(order: Order) -> list[Any]:
    """Two write refunds of 600 of 1000 at once, each with a number of its own, and without the payment's lock."""
    both_have_counted = Barrier(2, timeout=10)

    def write(number: int) -> None:
        with transaction.atomic():
            payment = Payment.objects.get(pk=order.payment_id)
            assert count_left(payment) >= 600
            both_have_counted.wait()
            fields = {"gateway": payment.gateway, "amount": 600, "sweep_after": timezone.now()}
            Refund.objects.create(payment=payment, number=number, key=make_key(payment, number), **fields)

    return race([partial(write, 1), partial(write, 2)])


def test_control_without_the_payments_lock_the_trigger_refuses_too_much(order: Order) -> None:
    results = write_unlocked(order)

    assert sorted(type(result).__name__ for result in results) == ["IntegrityError", "NoneType"]
    assert count_left(Payment.objects.get()) == 400


def test_control_without_lock_and_trigger_more_is_refunded_than_was_charged(order: Order) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE payments_refund DISABLE TRIGGER USER")
    try:
        assert write_unlocked(order) == [None, None]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE payments_refund ENABLE TRIGGER USER")

    assert Payment.objects.get().refunds.not_failed().sum_amount() == order.total + 200
    assert "A3" in {violation["invariant"] for violation in audit_orders()["violations"]}


def ask_and_record(refund: Refund) -> None:
    with suppress(GatewayUnavailable):
        refund_payment(key=refund.key)
    record_refund(key=refund.key)


def given(order: Order, gateway: StripeGateway) -> int:
    charge = gateway.retrieve(str(order.payment.provider_id))
    assert charge
    return charge.refunded


def test_a_refund_against_itself_gives_the_money_and_the_stock_back_once(order: Order, gateway: StripeGateway) -> None:
    refund = request_refund(order, units=1)

    assert race([partial(ask_and_record, refund)] * 8) == [None] * 8

    ask_and_record(refund)
    assert (given(order, gateway), stock_of("MUG")) == (500, (9, 0))
    assert order.events.filter(kind="refunded").count() == 1
    assert audit_orders()["ok"]


def test_control_without_mark_and_key_a_refund_against_itself_gives_back_twice(
    order: Order, gateway: StripeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    refund = request_refund(order, units=1)
    make_refund = StripeGateway.refund

    def refund_under_a_fresh_key(gateway: StripeGateway, **asked: Any) -> str:
        return make_refund(gateway, **asked | {"key": uuid4().hex})

    monkeypatch.setattr(StripeGateway, "refund", refund_under_a_fresh_key)
    monkeypatch.setattr(payment_refunds, "mark_asked", lambda key: Refund.objects.get(key=key))

    race([partial(ask_and_record, refund)] * 2)

    assert given(order, gateway) == 1000
    assert "A3" in {violation["invariant"] for violation in audit_orders()["violations"]}


def test_sweeps_at_the_same_time_share_the_refunds(order: Order) -> None:
    for number in range(1, 7):
        request_refund(order, number, amount=100)
    Refund.objects.update(sweep_after=timezone.now())

    claims = race([claim_due_refunds] * 4)

    assert sorted(refund.number for claimed in claims for refund in claimed) == [1, 2, 3, 4, 5, 6]


def hear_a_late_no(order: Order) -> Refund:
    """The refund is given back, and a no to it is heard afterwards."""
    refund = request_refund(order, units=1)
    ask_and_record(refund)
    refund_requests.record_answer(refund, status=Refund.Status.FAILED, failure_code="late")
    refund.refresh_from_db()
    return refund


def test_a_late_no_replaces_no_success(order: Order) -> None:
    assert hear_a_late_no(order).status == "SUCCEEDED"
    assert audit_orders()["ok"]


def test_control_without_the_condition_a_late_no_replaces_the_success(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    unconditional = RECORD_ANSWER.replace("AND status = 'REQUESTED'", "")
    monkeypatch.setattr(refund_requests, "RECORD_ANSWER", unconditional)

    assert hear_a_late_no(order).status == "FAILED"
    assert "A3" in {violation["invariant"] for violation in audit_orders()["violations"]}
