"""A customer chooses among the gateways that the shop turns on."""

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from orders.models import Order
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order, make_transfer
from tests.shop.customer import assert_sent_to, fill_cart, open_checkout
from tests.shop.test_order_views import end_order

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("transfers")]


def make_waiting_order() -> Order:
    return make_order({"MUG": 2}, gateway="manual", payment_method="manual")


def test_the_checkout_offers_a_card_and_a_transfer_and_takes_the_one_that_was_chosen(
    client: Client, settings: LazySettings
) -> None:
    settings.SHOP_PAYMENT_METHODS = []
    fill_cart(client, MUG=1)
    page = client.get("/checkout/").text
    assert "data-payment-form" in page
    assert "Bank transfer" in page

    answer = client.post("/checkout/", open_checkout(client, payment_method="manual"))

    order = Order.objects.get()
    assert_sent_to(answer, order)
    assert (order.payment.gateway, order.payment.payment_method) == ("manual", "manual")


@pytest.mark.parametrize(("method", "gateway"), [("ctoken_1", "stripe"), ("pm_card_visa", "stripe")])
def test_a_token_and_a_listed_method_are_of_the_gateway_that_they_belong_to(
    client: Client, method: str, gateway: str
) -> None:
    fill_cart(client, MUG=1)

    client.post("/checkout/", open_checkout(client, payment_method=method))

    assert Payment.objects.get().gateway == gateway


def test_a_shop_that_takes_transfers_alone_offers_no_card(client: Client, settings: LazySettings) -> None:
    settings.SHOP_PAYMENT_METHODS = []
    settings.CHECKOUT_GATEWAYS, settings.PAYMENT_GATEWAY = ["manual"], "manual"
    fill_cart(client, MUG=1)

    page = client.get("/checkout/").text
    refused = client.post("/checkout/", open_checkout(client, payment_method="ctoken_1"))
    client.post("/checkout/", open_checkout(client, payment_method="manual"))

    assert "data-payment-form" not in page
    assert "Choose how to pay." in refused.text
    assert Payment.objects.get().gateway == "manual"


def test_a_gateway_that_is_not_offered_any_more_is_no_choice(client: Client, settings: LazySettings) -> None:
    settings.CHECKOUT_GATEWAYS = ["stripe"]
    fill_cart(client, MUG=1)
    before = everything()

    answer = client.post("/checkout/", open_checkout(client, payment_method="manual"))

    assert answer.status_code == 400
    assert everything() == before


def test_the_orders_page_says_where_to_send_the_money_until_it_has_come(client: Client) -> None:
    order = make_waiting_order()
    page = f"/orders/{order.code}/"

    text = client.get(page).text
    for words in ("Waiting for your money", "Tea Shop Ltd", "GB33 BUKB 2020 1555 5555 55", "£10.00", order.code):
        assert words in text
    assert "every 30s" in text
    assert "Cancel this order" in text

    make_transfer(order)
    assert "Tea Shop Ltd" not in client.get(page).text
    end_order(order, Payment.Status.SUCCEEDED)
    assert "your order is confirmed" in client.get(page).text


def test_past_its_deadline_nobody_is_asked_for_money(client: Client) -> None:
    order = make_waiting_order()
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    text = client.get(f"/orders/{order.code}/").text

    assert "do not send any money now" in text
    assert "Tea Shop Ltd" not in text


def test_a_customer_cancels_an_order_that_waits_at_once(client: Client) -> None:
    order = make_waiting_order()

    client.post(f"/orders/{order.code}/cancel/")

    order.refresh_from_db()
    assert (order.status, order.cancel_reason) == ("CANCELLED", "customer")


def test_after_a_declined_card_the_orders_page_offers_a_transfer(client: Client) -> None:
    order = make_order({"MUG": 2}, hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED, answered_at=timezone.now())
    end_order(order, Payment.Status.DECLINED)
    assert "Bank transfer" in client.get(f"/orders/{order.code}/").text

    client.post(f"/orders/{order.code}/pay/", {"number": "2", "payment_method": "manual"})

    order.refresh_from_db()
    assert (order.payment.gateway, order.payment.number) == ("manual", 2)
    assert "Tea Shop Ltd" in client.get(f"/orders/{order.code}/").text
