"""A customer approves at the bank at the same moment as the order's deadline passes, and whatever else can happen."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.conf import LazySettings
from django.db.models.functions import Now

from audit.services import audit_orders
from orders.models import Order
from orders.services import cancel_order, finalize_order
from payments.gateway import GatewayUnavailable, get_gateway
from payments.models import Payment
from payments.requests import make_request
from payments.services import cancel_payment, charge_payment
from tests.builders import make_order, make_product, stock_of
from tests.concurrency.race import race
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]
ROUNDS = 8


@pytest.fixture(autouse=True)
def shop_url(settings: LazySettings) -> None:
    settings.PAYMENT_RETURN_URL = "https://shop.example.com/orders/{reference}/return/"


def make_waiting_order() -> tuple[Order, str]:
    """An order whose customer has to act, and the address of the bank's page."""
    order = make_order({"MUG": 2}, payment_method="pm_card_authenticationRequired")
    charge_payment(reference=order.code)
    action = get_gateway().next_action(make_request(Payment.objects.get(reference=order.code)))
    assert action
    return order, action.url


def charges_of(order: Order) -> list[int]:
    return [charge.amount for charge in get_gateway().list_charges() if charge.reference == order.code]


def end(order: Order) -> None:
    """Past its deadline, as the sweep does it, until there is an answer."""
    for _ in range(20):
        with suppress(GatewayUnavailable):
            cancel_payment(reference=order.code)
        finalize_order(code=order.code)
        order.refresh_from_db()
        if order.status != Order.Status.PENDING:
            return
        time.sleep(0.1)
    raise AssertionError("the order does not end")


def assert_paid_or_not(order: Order) -> None:
    paid = order.status == Order.Status.CONFIRMED
    assert charges_of(order) == ([1000] if paid else [])


@pytest.mark.parametrize("answer", ["approve", "fail"])
def test_an_answer_to_the_bank_against_the_deadline_ends_one_way(provider: Provider, answer: Any) -> None:
    make_product("MUG", stock=100)
    sold = 0
    for _ in range(ROUNDS):
        order, bank = make_waiting_order()

        race(
            [
                partial(provider.act, bank, answer),
                partial(cancel_payment, reference=order.code),
                partial(charge_payment, reference=order.code),
            ]
        )
        end(order)

        assert_paid_or_not(order)
        sold += 2 * (order.status == Order.Status.CONFIRMED)
    assert stock_of("MUG") == (100 - sold, 0)
    assert audit_orders()["violations"] == []


def test_an_approval_against_the_customers_own_cancel_ends_one_way(provider: Provider) -> None:
    make_product("MUG", stock=100)
    for _ in range(ROUNDS):
        order, bank = make_waiting_order()

        race(
            [
                partial(provider.act, bank, "approve"),
                partial(cancel_order, code=order.code, reason=Order.CancelReason.CUSTOMER),
            ]
        )
        end(order)

        assert_paid_or_not(order)
    assert audit_orders()["violations"] == []


def test_an_order_whose_customer_approves_is_asked_for_many_times_at_once_and_paid_once(provider: Provider) -> None:
    order, bank = make_waiting_order()
    ask: Callable[[], None] = partial(charge_payment, reference=order.code)

    race([partial(provider.act, bank, "approve"), *[ask] * 6])
    for _ in range(3):
        with suppress(GatewayUnavailable):
            ask()

    assert Payment.objects.get().status == Payment.Status.SUCCEEDED
    assert charges_of(order) == [1000]


def test_control_a_cancel_by_the_row_alone_keeps_the_money_of_who_approves_later(provider: Provider) -> None:
    order, bank = make_waiting_order()
    Payment.objects.update(status=Payment.Status.CANCELLED, answered_at=Now())
    provider.act(bank, "approve")
    finalize_order(code=order.code)

    order.refresh_from_db()
    assert order.status == Order.Status.CANCELLED
    assert charges_of(order) == [1000]
    assert {found["invariant"] for found in audit_orders()["violations"]} == {"A4"}
