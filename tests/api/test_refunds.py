"""Programs that may refund do it by number: the same number again is the same refund."""

import json
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from orders.models import Order
from orders.refund_answers import record_refund
from orders.services import finalize_order
from payments.models import Payment
from payments.refund_models import Refund
from payments.refund_requests import record_answer
from tests.api.test_api import assert_refused
from tests.builders import answer_payment, everything, make_order

pytestmark = pytest.mark.django_db
MAY_REFUND = "refunds"
TWO_MUGS = {"number": 1, "lines": [{"sku": "MUG", "quantity": 2}]}


@pytest.fixture(autouse=True)
def _tokens(settings: LazySettings) -> None:
    settings.API_TOKENS, settings.API_REFUND_TOKENS = ["orders"], [MAY_REFUND]


@pytest.fixture
def order() -> Order:
    """A confirmed order of three MUGs at 500 each."""
    order = make_order({"MUG": 3})
    answer_payment(order, Payment.Status.SUCCEEDED)
    return finalize_order(code=order.code)


def refund(client: Client, code: str, body: object, token: str = MAY_REFUND) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.post(
        f"/api/orders/{code}/refunds", json.dumps(body), content_type="application/json", headers=headers
    )


def test_units_are_refunded_and_the_order_lists_it(client: Client, order: Order) -> None:
    answer = refund(client, order.code, {**TWO_MUGS, "note": "Broken"})

    asked = {"number": 1, "status": "REQUESTED", "amount": 1000}
    asked["lines"] = [{"sku": "MUG", "quantity": 2, "restock": True}]
    assert (answer.status_code, answer.json()["refunded"], answer.json()["refunds"]) == (201, 0, [asked])
    assert order.events.get(kind="refund_requested").data["note"] == "Broken"
    given = Refund.objects.get()
    record_answer(given, status=Refund.Status.SUCCEEDED, provider_id="re_1")
    record_refund(key=given.key)
    shown = client.get(f"/api/orders/{order.code}").json()
    assert (shown["status"], shown["refunded"], shown["total"]) == ("CONFIRMED", 1000, 1500)
    assert shown["refunds"] == [{**asked, "status": "SUCCEEDED"}]


def test_the_same_number_again_is_the_same_refund(client: Client, order: Order) -> None:
    first = refund(client, order.code, TWO_MUGS)
    before = everything()
    again = refund(client, order.code, TWO_MUGS)
    assert (again.status_code, again.json()) == (200, first.json())
    assert everything() == before


def test_an_amount_and_units_that_stay_away(client: Client, order: Order) -> None:
    lines = [{"sku": "MUG", "quantity": 1, "restock": False}]
    assert refund(client, order.code, {"number": 1, "lines": lines, "amount": 450}).status_code == 201
    assert refund(client, order.code, {"number": 2, "amount": 50}).status_code == 201
    assert list(Refund.objects.order_by("pk").values_list("amount", flat=True)) == [450, 50]
    assert list(Refund.objects.filter(lines__restock=False).values_list("number", flat=True)) == [1]


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [("", 401, "bad_token"), ("nobody", 401, "bad_token"), ("orders", 403, "may_not_refund")],
)
def test_only_clients_that_may_refund_do(client: Client, order: Order, token: str, status: int, code: str) -> None:
    before = everything()
    assert_refused(refund(client, order.code, TWO_MUGS, token), status, code)
    assert everything() == before


def test_a_client_that_may_refund_may_read_and_order_too(client: Client, order: Order) -> None:
    headers = {"Authorization": "Bearer refunds", "Idempotency-Key": "k1"}
    body = {"email": "ann@example.com", "lines": [{"sku": "MUG", "quantity": 1}], "payment_method": "pm_card_visa"}
    answer = client.post("/api/orders", json.dumps(body), content_type="application/json", headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"number": 1, "amount": 1501}, 409, "refund_too_large"),
        ({"number": 1}, 400, "wrong_refund_amount"),
        ({"number": 2, "amount": 1}, 409, "wrong_refund_number"),
        ({"number": 1, "lines": [{"sku": "CUP", "quantity": 1}]}, 400, "no_such_line"),
        ({"number": 1, "lines": [{"sku": "MUG", "quantity": 1}] * 2}, 400, "no_such_line"),
        ({"number": 1, "lines": [{"sku": "MUG", "quantity": 4}]}, 409, "line_already_returned"),
        ({"number": 0, "amount": 1}, 400, "bad_field"),
        ({"number": 1, "amount": 0}, 400, "bad_field"),
        ({"number": 1, "amount": "1"}, 400, "bad_field"),
        ({"number": 1, "amount": 1, "reason": "x"}, 400, "bad_field"),
        ({"number": 1, "amount": 1, "note": "x" * 501}, 400, "bad_field"),
        ({"number": 1, "lines": "MUG"}, 400, "bad_field"),
        ({"number": 1, "lines": [{"sku": "MUG"}]}, 400, "bad_field"),
        ({"number": 1, "lines": [{"sku": "MUG", "quantity": 0}]}, 400, "bad_field"),
        ({"number": 1, "lines": [{"sku": "MUG", "quantity": 1, "restock": 1}]}, 400, "bad_field"),
    ],
)
def test_refusals_have_their_codes_and_change_nothing(
    client: Client, order: Order, body: object, status: int, code: str
) -> None:
    before = everything()
    assert_refused(refund(client, order.code, body), status, code)
    assert everything() == before


def test_a_number_is_for_one_refund_of_a_confirmed_order(client: Client, order: Order) -> None:
    pending = make_order()
    refund(client, order.code, TWO_MUGS)
    before = everything()
    assert_refused(refund(client, order.code, {"number": 1, "amount": 1}), 422, "refund_number_reused")
    assert_refused(refund(client, pending.code, {"number": 1, "amount": 1}), 409, "order_is_not_refundable")
    assert_refused(refund(client, "261124-GH0ST-GH0ST", TWO_MUGS), 404, "not_found")
    assert_refused(client.get(f"/api/orders/{order.code}/refunds"), 405, "method_not_allowed")
    assert everything() == before
