"""The API's clients name the gateway that takes the money."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from tests.api.test_api import BODY, assert_refused, post
from tests.builders import answer_payment, everything, make_order, make_product

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("transfers")]
TRANSFER = {**BODY, "payment_method": "transfer", "gateway": "manual"}
LABELS = ["Account holder", "Account number", "Amount", "Reference"]


def pay(client: Client, order: Order, **asked: Any) -> Any:
    return client.post(f"/api/orders/{order.code}/payments", json.dumps(asked), content_type="application/json")


def test_an_order_by_transfer_is_answered_with_what_the_customer_has_to_know(client: Client) -> None:
    make_product("MUG", price=500)

    answers = [post(client, TRANSFER), post(client, TRANSFER), client.get(f"/api/orders/{Order.objects.get().code}")]

    assert [answer.status_code for answer in answers] == [201, 200, 200]
    for answer in answers:
        body = answer.json()
        assert [line["label"] for line in body["instructions"]] == LABELS
        assert body["instructions"][-1]["value"] == body["code"]
        assert body["expires_at"]
    assert Payment.objects.get().gateway == "manual"


def test_without_a_gateway_the_first_is_taken(client: Client) -> None:
    make_product("MUG")

    assert "instructions" not in post(client).json()

    assert Payment.objects.get().gateway == "stripe"


def test_the_same_key_with_another_gateway_is_refused(client: Client) -> None:
    make_product("MUG")
    post(client, TRANSFER)
    before = everything()

    assert_refused(post(client, {**TRANSFER, "gateway": "stripe"}), 422, "idempotency_key_reused")

    assert everything() == before


@pytest.mark.parametrize(("gateway", "code"), [("paypal", "unknown_gateway"), ("", "bad_field"), (1, "bad_field")])
def test_a_gateway_that_the_shop_does_not_have_is_refused(client: Client, gateway: object, code: str) -> None:
    make_product("MUG")
    order = make_order(hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED, answered_at=timezone.now())
    finalize_order(code=order.code)
    before = everything()

    assert_refused(post(client, {**BODY, "gateway": gateway}), 400, code)
    assert_refused(pay(client, order, number=2, payment_method="transfer", gateway=gateway), 400, code)

    assert everything() == before


def test_after_a_declined_card_the_next_payment_is_a_transfer(client: Client) -> None:
    order = make_order(hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED, answered_at=timezone.now())
    finalize_order(code=order.code)

    answer = pay(client, order, number=2, payment_method="transfer", gateway="manual")

    assert answer.status_code == 201
    assert [line["label"] for line in answer.json()["instructions"]] == LABELS
    assert answer.json()["payment"] == {"number": 2, "status": "PENDING", "decline_code": ""}
