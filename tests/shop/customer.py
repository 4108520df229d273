"""Does what a customer does in the shop, without a browser."""

from http import HTTPStatus
from typing import Any

from django.test import Client

from catalog.models import Product
from orders.models import Order
from tests.builders import make_product


def fill_cart(client: Client, **basket: int) -> None:
    for sku, quantity in basket.items():
        if not Product.objects.filter(sku=sku).exists():
            make_product(sku)
        client.post("/cart/add/", {"sku": sku, "quantity": quantity})


def open_checkout(client: Client, **changes: str) -> dict[str, str]:
    """Open the checkout page and return what its form would send."""
    cart = client.get("/checkout/").context["cart"]
    return {
        "checkout_key": cart.key,
        "fingerprint": cart.fingerprint,
        "email": "ann@example.com",
        "payment_method": "pm_card_visa",
        **changes,
    }


def cart_of(client: Client) -> dict[str, int]:
    return {line.sku: line.quantity for line in client.get("/cart/").context["cart"].lines}


def assert_sent_to(response: Any, order: Order) -> None:
    assert (response.status_code, response["Location"]) == (HTTPStatus.SEE_OTHER, f"/orders/{order.code}/")
