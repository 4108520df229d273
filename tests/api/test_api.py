import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from catalog.models import Product
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order, make_product

pytestmark = pytest.mark.django_db
BODY = {"email": "ann@example.com", "lines": [{"sku": "MUG", "quantity": 2}], "payment_method": "pm_card_visa"}


def post(client: Client, body: object = BODY, *, key: str | None = "k1", **headers: str) -> Any:
    if key is not None:
        headers["Idempotency-Key"] = key
    raw = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post("/api/orders", raw, content_type="application/json", headers=headers)


def assert_refused(response: Any, status: int, code: str) -> None:
    answer = json.loads(response.content)
    assert (response.status_code, answer["error"]) == (status, code)
    assert answer.keys() == {"type", "title", "status", "detail", "error", "lines"}
    assert answer["status"] == status
    assert response["Content-Type"] == "application/problem+json"


def test_post_places_an_order(client: Client) -> None:
    make_product("MUG", price=500)

    response = post(client)

    order = Order.objects.get()
    assert response.status_code == 201
    answer = response.json()
    assert abs(datetime.fromisoformat(answer.pop("created_at")) - order.created_at) < timedelta(milliseconds=1)
    assert answer == {
        "code": order.code,
        "status": "PENDING",
        "reason": "",
        "currency": "GBP",
        "total": 1000,
        "refunded": 0,
        "refunds": [],
        "lines": [{"sku": "MUG", "name": "The MUG", "quantity": 2, "price": 500, "total": 1000}],
        "metadata": {},
        "finalized_at": None,
    }


def test_post_again_with_the_same_key_answers_with_the_same_order(client: Client) -> None:
    make_product("MUG")
    first = post(client)
    before = everything()

    again = post(client)

    assert (again.status_code, again.json()) == (200, first.json())
    assert everything() == before


def test_post_with_the_same_key_and_another_body_is_refused(client: Client) -> None:
    make_product("MUG")
    post(client)
    before = everything()

    assert_refused(post(client, {**BODY, "email": "bob@example.com"}), 422, "idempotency_key_reused")
    assert everything() == before


def test_post_says_which_lines_are_short(client: Client) -> None:
    make_product("MUG", stock=1)
    before = everything()

    response = post(client)

    assert_refused(response, 409, "insufficient_stock")
    assert response.json()["lines"] == [{"sku": "MUG", "available": 1}]
    assert everything() == before


def test_post_says_which_prices_changed(client: Client) -> None:
    make_product("MUG", price=600)
    before = everything()

    response = post(client, {**BODY, "expected_total": 1000})

    assert_refused(response, 409, "price_changed")
    assert response.json()["lines"] == [{"sku": "MUG", "price": 600, "quantity": 2}]
    assert everything() == before


def test_post_says_which_price_can_not_be_charged(client: Client) -> None:
    make_product("MUG", price=5_124, currency="KWD")
    before = everything()

    response = post(client, BODY)

    assert_refused(response, 409, "price_not_chargeable")
    assert response.json()["lines"] == [{"sku": "MUG", "price": 5_124}]
    assert everything() == before


def test_post_says_that_the_currency_changed(client: Client) -> None:
    make_product("MUG", price=500, currency="KWD")
    before = everything()
    expected = {**BODY, "expected_total": 1000, "expected_currency": "GBP"}

    response = post(client, expected)

    assert_refused(response, 409, "price_changed")
    assert response.json()["detail"] == "The total is 1000 KWD, not 1000 GBP."
    assert everything() == before
    assert post(client, {**expected, "expected_currency": "KWD"}).status_code == 201


def test_post_refuses_what_is_unknown_not_for_sale_or_too_much(client: Client) -> None:
    make_product("MUG", price=500, stock=10)
    assert_refused(post(client, {**BODY, "lines": [{"sku": "GHOST", "quantity": 1}]}), 400, "unknown_product")
    Product.objects.update(price=999_999_999_999)
    assert_refused(post(client), 400, "total_too_large")
    Product.objects.update(price=14)
    assert_refused(post(client), 400, "total_too_small")
    Product.objects.update(active=False)
    assert_refused(post(client), 409, "not_for_sale")
    assert not Order.objects.exists()


def test_post_refuses_more_products_than_one_order_may_have(client: Client, settings: LazySettings) -> None:
    settings.SHOP_MAX_LINES = 1
    make_product("MUG")
    make_product("CUP")
    before = everything()

    response = post(client, {**BODY, "lines": [{"sku": sku, "quantity": 1} for sku in ("MUG", "CUP")]})

    assert_refused(response, 400, "too_many_lines")
    assert everything() == before


@pytest.mark.parametrize("key", [None, "", "x" * 256, "caf\u00e9", "tab\tkey"])
def test_post_refuses_a_bad_idempotency_key(client: Client, key: str | None) -> None:
    make_product("MUG")

    assert_refused(post(client, key=key), 400, "bad_idempotency_key")
    assert not Order.objects.exists()


@pytest.mark.parametrize("raw", [" ", "{", b"\xff\xfe", "NaN", '{"email": }', "[" * 100_000])
def test_post_refuses_what_is_not_json(client: Client, raw: str | bytes) -> None:
    assert post(client, raw).status_code == 400
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"email": "not an address"},
        {"email": None},
        {"email": "a@" + "ü" * 60 + ".com"},
        {"email": "a@" + "İ" * 100 + ".example.com"},
        {"lines": []},
        {"lines": "MUG"},
        {"lines": [{"sku": "MUG"}]},
        {"lines": [{"sku": "MUG", "quantity": 0}]},
        {"lines": [{"sku": "MUG", "quantity": -1}]},
        {"lines": [{"sku": "MUG", "quantity": True}]},
        {"lines": [{"sku": "MUG", "quantity": 1.0}]},
        {"lines": [{"sku": "MUG", "quantity": "2"}]},
        {"lines": [{"sku": "MUG", "quantity": 1_000_001}]},
        {"lines": [{"sku": "MUG", "quantity": 1, "price": 1}]},
        {"lines": [{"sku": "MUG\u0000", "quantity": 1}]},
        {"payment_method": ""},
        {"expected_total": -1},
        {"expected_total": "1000"},
        {"expected_currency": ""},
        {"expected_currency": 826},
        {"expected_currency": "POUND"},
        {"total": 1},
    ],
)
def test_post_refuses_a_bad_field(client: Client, change: dict[str, object]) -> None:
    make_product("MUG")

    assert_refused(post(client, {**BODY, **change}), 400, "bad_field")
    assert not Order.objects.exists()


def test_post_refuses_other_media_types(client: Client) -> None:
    response = client.post("/api/orders", {"a": "b"}, headers={"Idempotency-Key": "k"})
    assert_refused(response, 415, "unsupported_media_type")


def test_post_refuses_a_body_that_is_too_large(client: Client) -> None:
    assert_refused(post(client, " " * 3_000_000), 413, "body_too_large")


def test_a_method_that_an_address_does_not_have_is_refused(client: Client) -> None:
    assert_refused(client.put("/api/orders"), 405, "method_not_allowed")
    assert_refused(client.delete("/api/orders/261124-00000-00000"), 405, "method_not_allowed")


def test_get_shows_an_order_by_its_code_only(client: Client) -> None:
    order = make_order()

    assert client.get(f"/api/orders/{order.code}").json()["status"] == "PENDING"
    assert "email" not in client.get(f"/api/orders/{order.code}").json()
    assert_refused(client.get(f"/api/orders/{order.pk}"), 404, "not_found")
    for unknown in ["orders/%00", "orders/", "orders/261124-abcde-fghjk", "nothing", ""]:
        assert_refused(client.get(f"/api/{unknown}"), 404, "not_found")


def pay(client: Client, code: str, body: object, **headers: str) -> Any:
    url = f"/api/orders/{code}/payments"
    return client.post(url, json.dumps(body), content_type="application/json", headers=headers)


def hold_order() -> Order:
    order = make_order(payment_method="pm_card_visa_chargeDeclined", hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED)
    return finalize_order(code=order.code)


@pytest.mark.django_db(transaction=True)
def test_an_order_that_asks_for_a_hold_is_paid_by_its_second_card(client: Client) -> None:
    make_product("MUG")
    code = post(client, {**BODY, "hold_on_decline": 300}).json()["code"]
    answer_payment(Order.objects.get(), Payment.Status.DECLINED)
    finalize_order(code=code)
    held = client.get(f"/api/orders/{code}").json()

    paid = pay(client, code, {"number": 2, "payment_method": "pm_card_mastercard"})
    again = pay(client, code, {"number": 2, "payment_method": "pm_card_mastercard"})

    assert (held["status"], held["payment"]["status"]) == ("PENDING", "DECLINED")
    assert held["payment"]["number"] == 1
    assert held["held_until"]
    assert (paid.status_code, again.status_code) == (201, 200)
    assert paid.json() == again.json()
    assert paid.json()["payment"] == {"number": 2, "status": "PENDING", "decline_code": ""}
    assert Payment.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_refusals_of_a_payment_have_their_codes_and_change_nothing(client: Client) -> None:
    code, unheld = hold_order().code, make_order().code
    before = everything()

    assert_refused(pay(client, code, {"number": 3, "payment_method": "pm_card_visa"}), 409, "wrong_payment_number")
    assert_refused(pay(client, code, {"number": 1, "payment_method": "pm_card_visa"}), 422, "payment_number_reused")
    assert_refused(pay(client, unheld, {"number": 2, "payment_method": "pm_card_visa"}), 409, "payment_unanswered")
    assert_refused(pay(client, "261124-GH0ST-GH0ST", {"number": 2, "payment_method": "pm_x"}), 404, "not_found")
    for wrong in ({"number": "2"}, {"number": 1001}, {"number": True}, {"number": 2, "amount": 1}, {}):
        assert_refused(pay(client, code, {"payment_method": "pm_card_visa", **wrong}), 400, "bad_field")
    assert_refused(pay(client, code, {"number": 2, "payment_method": ""}), 400, "bad_field")
    assert_refused(client.get(f"/api/orders/{code}/payments"), 405, "method_not_allowed")
    assert everything() == before


@pytest.mark.parametrize("hold", [-1, True, False, "600", 1.5, 10**9, [], {}])
def test_a_hold_that_is_no_number_of_seconds_is_refused(client: Client, hold: object) -> None:
    make_product("MUG")
    assert_refused(post(client, {**BODY, "hold_on_decline": hold}), 400, "bad_field")
    assert Order.objects.count() == 0


def test_a_hold_is_part_of_what_was_asked_for_only_where_it_is_given(client: Client) -> None:
    make_product("MUG")
    first = post(client)

    assert post(client, {**BODY, "hold_on_decline": 0}).json() == first.json()
    assert_refused(post(client, {**BODY, "hold_on_decline": 60}), 422, "idempotency_key_reused")


@pytest.mark.django_db(transaction=True)
def test_an_order_whose_customer_must_act_says_where_and_asks_nobody(client: Client, settings: LazySettings) -> None:
    settings.SHOP_URL = "https://shop.example.com"
    make_product("MUG")
    placed = post(client, BODY).json()
    order = Order.objects.get()
    answer_payment(order, Payment.Status.ACTION_REQUIRED)
    before = everything()

    read, repeated = client.get(f"/api/orders/{order.code}").json(), post(client, BODY).json()

    assert "next_action" not in placed
    assert read == {**placed, "next_action": {"url": f"https://shop.example.com/orders/{order.code}/action/"}}
    assert (repeated, everything()) == (read, before)
