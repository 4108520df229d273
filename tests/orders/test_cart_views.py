import pytest
from django.test import Client

from catalog.models import Product
from tests.builders import make_product
from tests.orders.customer import cart_of, fill_cart

pytestmark = pytest.mark.django_db


def test_add_answers_htmx_with_a_line_and_the_count(client: Client) -> None:
    make_product("MUG", stock=3)
    htmx = {"HX-Request": "true"}

    added = client.post("/cart/add/", {"sku": "MUG", "quantity": 2}, headers=htmx)
    most = client.post("/cart/add/", {"sku": "MUG", "quantity": 2}, headers=htmx)
    refused = client.post("/cart/add/", {"sku": "GHOST", "quantity": 1}, headers=htmx)

    assert "Added 2 to your cart." in added.text
    assert "2 items" in added.text
    assert "Your cart has 3 of these now" in most.text
    assert refused.status_code == 409
    assert cart_of(client) == {"MUG": 3}


@pytest.mark.parametrize("quantity", ["0", "-1", "", "x", "1e3", "99999999999"])
def test_a_quantity_that_is_none_changes_nothing(client: Client, quantity: str) -> None:
    fill_cart(client, MUG=2)

    client.post("/cart/change/", {"sku": "MUG", "quantity": quantity})
    client.post("/cart/add/", {"sku": "MUG", "quantity": quantity})

    assert cart_of(client) == {"MUG": 2}


def test_a_cart_holds_as_many_of_a_product_as_one_order_may_have(client: Client) -> None:
    make_product("MUG", max_quantity=2)

    client.post("/cart/add/", {"sku": "MUG", "quantity": 5})

    assert client.get("/cart/").context["cart"].lines[0].quantity == 2
    assert 'max="2"' in client.get("/products/the-mug/MUG/").content.decode()


def test_a_cart_fuller_than_the_product_now_allows_can_be_fitted(client: Client) -> None:
    make_product("MUG")
    client.post("/cart/add/", {"sku": "MUG", "quantity": 5})
    Product.objects.update(max_quantity=2)

    assert not client.get("/cart/").context["cart"].is_buyable
    client.post("/cart/fit/")

    assert client.get("/cart/").context["cart"].lines[0].quantity == 2
