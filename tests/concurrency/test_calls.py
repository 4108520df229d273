"""Two same calls of the API at the same time do no more than one, with a key and without."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.test import Client

from catalog.models import StockMovement
from orders.models import OrderEvent
from orders.services import finalize_order
from payments.models import Payment, Refund
from tests.api.clients import make_token, send
from tests.builders import answer_payment, make_confirmed, make_order, stock_of
from tests.concurrency.race import race

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]
TRIES = 5  # pairs


def send_twice(path: str, body: Any, *, key: str = "", token: str = "") -> list[tuple[int, str]]:
    """The statuses and the codes of the answers."""
    calls: list[Callable[[], Any]] = [partial(send, Client(), path, body, key=key, token=token) for _ in range(2)]
    return sorted((answer.status_code, answer.json().get("error", "")) for answer in race(calls))


def is_once(answers: list[tuple[int, str]], *, has_key: bool) -> bool:
    """The one made something; the other was told so, or while the first was under way, to come again."""
    others = [(201, ""), (409, "call_under_way")] if has_key else [(200, "")]
    return any(sorted([(201, ""), other]) == answers for other in others)


@pytest.mark.parametrize("has_key", [False, True])
def test_an_order_is_paid_again_once(has_key: bool) -> None:
    for number in range(TRIES):
        order = make_order(hold_on_decline=600)
        answer_payment(order, Payment.Status.DECLINED)
        finalize_order(code=order.code)

        answers = send_twice(
            f"orders/{order.code}/payments",
            {"number": 2, "payment_method": "pm_card_visa"},
            key=f"k{number}" if has_key else "",
        )

        assert is_once(answers, has_key=has_key), answers
        assert list(Payment.objects.filter(reference=order.code).values_list("number", flat=True)) == [1, 2]
        assert order.events.filter(kind=OrderEvent.Kind.PAYING_AGAIN).count() == 1


@pytest.mark.parametrize("has_key", [False, True])
def test_an_order_is_refunded_once(has_key: bool) -> None:
    order, token = make_confirmed(), make_token("refunds")
    for number in range(1, TRIES + 1):
        answers = send_twice(
            f"orders/{order.code}/refunds",
            {"number": number, "amount": 100},
            key=f"k{number}" if has_key else "",
            token=token,
        )

        assert is_once(answers, has_key=has_key), answers
        assert Refund.objects.count() == number


@pytest.mark.parametrize("has_key", [False, True])
@pytest.mark.parametrize("is_sent", [False, True])
def test_an_order_is_cancelled_once(has_key: bool, is_sent: bool) -> None:
    for number in range(1, TRIES + 1):
        order = make_order()
        if is_sent:
            answer_payment(order, Payment.Status.SENT)

        answers = send_twice(f"orders/{order.code}/cancel", {}, key=f"k{number}" if has_key else "")

        assert (200, "") in answers
        assert set(answers) <= {(200, ""), (409, "call_under_way" if has_key else "order_has_ended")}, answers
        assert order.events.filter(kind=OrderEvent.Kind.CANCEL_REQUESTED).count() == 1
        released = StockMovement.objects.filter(kind=StockMovement.Kind.RELEASED, reference=order.code)
        assert released.count() == (0 if is_sent else 1)
        assert stock_of("MUG") == (10, number if is_sent else 0)


def test_the_stock_is_adjusted_once() -> None:
    make_order()
    token = make_token("stock")
    for number in range(1, TRIES + 1):
        answers = send_twice(
            "stock/MUG/adjustments", {"quantity": -1, "reason": "Broken"}, key=f"k{number}", token=token
        )

        assert is_once(answers, has_key=True), answers
        assert stock_of("MUG") == (10 - number, 1)


def test_an_order_is_placed_once() -> None:
    make_order()
    line = {"sku": "MUG", "quantity": 1}
    for number in range(1, TRIES + 1):
        body = {"email": "ann@example.com", "lines": [line], "payment_method": "pm_card_visa"}

        answers = send_twice("orders", body, key=f"k{number}")

        assert answers == [(200, ""), (201, "")]
        assert stock_of("MUG") == (10, 1 + number)
