from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from catalog.models import Product
from orders.models import Order
from tests.builders import make_product
from tests.shop.customer import cart_of, fill_cart, open_checkout

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


def press(client: Client, button: str = "", **quantities: object) -> Any:
    """Press a button of the cart page, having typed these quantities."""
    typed = {"sku": list(quantities), "quantity": list(quantities.values())}
    return client.post("/cart/change/", {**typed, **({button: "1"} if button else {})})


@pytest.mark.parametrize(
    ("price", "quantity", "note"),
    [
        (14, 2, "The least that can be paid at once is £0.30: add something to your cart."),
        (999_999_999_999, 2, "This is more than can be paid at once. Split it into two orders."),
    ],
)
def test_a_total_that_can_not_be_paid_is_said_in_the_cart_and_the_way_to_the_checkout_is_closed(
    client: Client, price: int, quantity: int, note: str
) -> None:
    make_product("PIN", price=price)
    fill_cart(client, PIN=quantity)

    page, pressed, checkout = client.get("/cart/"), press(client, "checkout", PIN=quantity), client.get("/checkout/")

    for answer in (page, checkout):
        assert note in answer.text
    assert "Go to checkout" not in page.text
    assert "Order and pay" not in checkout.text
    assert pressed["Location"] == "/cart/"
    assert not Order.objects.exists()


@pytest.mark.parametrize(("price", "quantity"), [(14, 3), (999_999_999_999, 1)])
def test_a_total_that_can_just_be_paid_goes_to_the_checkout(client: Client, price: int, quantity: int) -> None:
    make_product("PIN", price=price)
    fill_cart(client, PIN=quantity)

    assert press(client, "checkout", PIN=quantity)["Location"] == "/checkout/"
    assert "Order and pay" in client.get("/checkout/").text


def test_the_way_to_the_checkout_saves_every_quantity(client: Client) -> None:
    fill_cart(client, MUG=1, CUP=1, POT=2)

    answer = press(client, "checkout", MUG=5, CUP=3, POT=2)

    assert answer["Location"] == "/checkout/"
    assert cart_of(client) == {"MUG": 5, "CUP": 3, "POT": 2}


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"max_quantity": 4}, "At most 4 in one order; you have 5000 in your cart."),
        ({"stock": 7}, "Only 7 left; you have 5000 in your cart."),
    ],
    ids=["the limit", "the stock"],
)
def test_more_than_can_be_had_is_said_and_neither_lowered_nor_checked_out(
    client: Client, fields: dict[str, Any], note: str
) -> None:
    make_product("MUG", **fields)
    fill_cart(client, MUG=1, CUP=1)

    answer = press(client, "checkout", MUG=5_000, CUP=2)
    page = client.get("/cart/")

    assert answer["Location"] == "/cart/"
    assert "Part of your cart can&#x27;t be ordered: see below." in page.text
    assert note in page.text
    assert 'value="5000"' in page.text
    assert 'name="checkout"' not in page.text
    assert cart_of(client) == {"MUG": 5_000, "CUP": 2}


@pytest.mark.parametrize("quantity", ["", "0", "-1", "1.5", "x", "1e3", "99999999999", "\u0000"])
def test_a_quantity_that_is_none_is_said_and_the_others_are_saved(client: Client, quantity: str) -> None:
    fill_cart(client, MUG=2, CUP=1)

    answer = press(client, "checkout", MUG=quantity, CUP=3)

    assert answer["Location"] == "/cart/"
    assert "The MUG: choose a whole number from 1 to 10. The quantity is as it was." in client.get("/cart/").text
    assert cart_of(client) == {"MUG": 2, "CUP": 3}


def test_what_was_typed_is_kept_while_another_line_is_removed(client: Client) -> None:
    fill_cart(client, MUG=1, CUP=1)
    client.get("/cart/")

    client.post("/cart/change/", {"sku": ["MUG", "CUP"], "quantity": [5, ""], "remove": "CUP"})

    assert list(client.get("/cart/").context["messages"]) == []
    assert cart_of(client) == {"MUG": 5}


def test_what_was_typed_is_kept_while_the_rest_is_fitted(client: Client) -> None:
    make_product("MUG", max_quantity=8)
    fill_cart(client, MUG=1, CUP=1)
    press(client, MUG=5_000, CUP=1)

    client.post("/cart/fit/", {"sku": ["MUG", "CUP"], "quantity": [5_000, 3]})
    assert cart_of(client) == {"MUG": 8, "CUP": 3}
    client.post("/cart/fit/", {"sku": ["MUG", "CUP"], "quantity": [6, 3]})
    assert cart_of(client) == {"MUG": 6, "CUP": 3}


def test_a_tab_left_open_puts_back_nothing_that_another_took_out(client: Client) -> None:
    fill_cart(client, MUG=1, CUP=1)
    client.post("/cart/change/", {"remove": "MUG"})

    answer = press(client, "checkout", MUG=5, CUP=2)

    assert answer["Location"] == "/cart/"
    assert "Your cart has changed meanwhile" in client.get("/cart/").text
    assert cart_of(client) == {"CUP": 2}


def test_a_tab_left_open_checks_out_nothing_that_was_ordered(client: Client) -> None:
    fill_cart(client, MUG=1)
    client.post("/checkout/", open_checkout(client))

    answer = press(client, "checkout", MUG=5)

    assert answer["Location"] == "/cart/"
    assert cart_of(client) == {}
    assert Order.objects.count() == 1


def test_a_cart_page_has_one_form_and_its_first_button_removes_nothing(client: Client) -> None:
    fill_cart(client, MUG=1, CUP=1)
    Product.objects.filter(sku="MUG").update(active=False)

    main = client.get("/cart/").text.partition("<main")[2].partition("</main>")[0]

    assert main.count("<form") == 1
    assert "remove" not in main[main.index("<button") : main.index("</button>")]


def test_what_was_removed_is_put_back_as_it_was(client: Client) -> None:
    fill_cart(client, MUG=3, CUP=1)
    client.post("/cart/change/", {"sku": ["MUG", "CUP"], "quantity": ["4", "2"], "remove": "MUG"})
    Product.objects.filter(sku="MUG").update(price=700)
    assert "Removed: The MUG." in client.get("/cart/").text

    for _again in range(2):
        client.post("/cart/change/", {"sku": "CUP", "quantity": "5", "undo": "1"})

    cart = client.get("/cart/").context["cart"]
    assert cart_of(client) == {"CUP": 5, "MUG": 4}
    assert [line.old_price for line in cart.lines] == [None, 500], "the price seen before is still known"
    assert "Removed:" not in client.get("/cart/").text


def test_the_last_of_a_cart_can_be_put_back(client: Client) -> None:
    fill_cart(client, MUG=1)
    client.post("/cart/change/", {"remove": "MUG"})

    answer = client.post("/cart/change/", {"undo": "1"}, follow=True)

    assert cart_of(client) == {"MUG": 1}
    assert "Your cart is empty" not in answer.text


@pytest.mark.parametrize("what", ["something else is added", "nothing was removed", "it is no longer sold"])
def test_there_is_nothing_to_put_back(client: Client, what: str) -> None:
    fill_cart(client, MUG=1, CUP=1)
    if what != "nothing was removed":
        client.post("/cart/change/", {"remove": "MUG"})
    if what == "something else is added":
        fill_cart(client, TIN=1)
    if what == "it is no longer sold":
        Product.objects.filter(sku="MUG").update(active=False)
    before = cart_of(client)

    assert "Undo" not in client.get("/cart/").text
    if what != "it is no longer sold":
        client.post("/cart/change/", {"undo": "1"})
        assert cart_of(client) == before


def test_a_full_cart_takes_nothing_back(client: Client, settings: LazySettings) -> None:
    fill_cart(client, MUG=1, CUP=1)
    client.post("/cart/change/", {"remove": "MUG"})
    settings.SHOP_MAX_LINES = 1

    answer = client.post("/cart/change/", {"undo": "1"}, follow=True)

    assert "Your cart is full" in answer.text
    assert cart_of(client) == {"CUP": 1}


def test_the_product_page_says_when_less_was_added_than_was_typed(client: Client) -> None:
    make_product("MUG", stock=30, max_quantity=8)

    answer = client.post("/cart/add/", {"sku": "MUG", "quantity": 5_000}, headers={"HX-Request": "true"})

    assert "Your cart has 8 of these now, which is the most you can have." in answer.text
