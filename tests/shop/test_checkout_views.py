from contextlib import suppress
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import LazySettings
from django.contrib.sessions.backends.base import SessionBase
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import User
from catalog.models import Product
from catalog.services import adjust_stock
from orders.checkout import Checkout, place_order
from orders.models import Order
from payments.models import Payment
from shop.cart import Cart, add_to_cart, read_cart
from tests.builders import everything, make_order, make_product, stock_of
from tests.concurrency.race import race
from tests.shop.customer import assert_sent_to, cart_of, fill_cart, open_checkout

pytestmark = pytest.mark.django_db


def test_checkout_places_what_the_page_showed_and_empties_the_cart(client: Client) -> None:
    fill_cart(client, MUG=2, CUP=1)

    answer = client.post("/checkout/", open_checkout(client, email="Ann@Example.com"))

    order = Order.objects.get()
    assert_sent_to(answer, order)
    assert (order.email, order.total, order.user) == ("ann@example.com", 1500, None)
    assert {line.sku: line.quantity for line in order.lines.all()} == {"MUG": 2, "CUP": 1}
    assert stock_of("MUG") == (10, 2)
    assert cart_of(client) == {}


def test_checkout_of_a_user_uses_the_accounts_address(client: Client) -> None:
    user = User.objects.create_user("bob@example.com", "secret")
    client.force_login(user)
    fill_cart(client, MUG=1)

    client.post("/checkout/", open_checkout(client, email="somebody@example.com"))

    order = Order.objects.get()
    assert (order.email, order.user) == ("bob@example.com", user)


def test_the_same_form_again_ends_in_the_same_order(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    first = client.post("/checkout/", form)
    before = everything()

    again = client.post("/checkout/", form)

    assert again["Location"] == first["Location"]
    assert everything() == before
    assert "You have already placed this order" in client.get(again["Location"]).text


def test_who_never_saw_the_answer_finds_the_order_from_the_empty_checkout_and_cart(client: Client) -> None:
    fill_cart(client, MUG=1)
    placed = client.post("/checkout/", open_checkout(client))

    assert client.get("/checkout/")["Location"] == placed["Location"]
    assert f'href="{placed["Location"]}"' in client.get("/cart/").text


def test_back_button_and_another_card_end_in_the_order_that_stands(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    client.post("/checkout/", form)
    fill_cart(client, CUP=1)
    before = everything()

    again = client.post("/checkout/", {**form, "payment_method": "pm_sandbox_slow"})

    assert_sent_to(again, Order.objects.get())
    assert everything() == before
    assert cart_of(client) == {"CUP": 1}


def test_a_lost_answer_and_a_lost_session_end_in_the_order_that_stands(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    session = dict(client.session.items())
    client.post("/checkout/", form)
    stale = client.session
    stale.update(session)
    stale.save()  # as it was: the web worker died between the commit and the save

    answer = client.get("/checkout/")

    assert_sent_to(answer, Order.objects.get())
    fill_cart(client, CUP=1)
    assert cart_of(client) == {"CUP": 1}
    assert open_checkout(client)["checkout_key"] != form["checkout_key"]


def test_two_tabs_place_one_order(client: Client) -> None:
    fill_cart(client, MUG=1)
    tab, other_tab = open_checkout(client), open_checkout(client, payment_method="pm_sandbox_slow")

    client.post("/checkout/", tab)
    answer = client.post("/checkout/", other_tab)

    assert_sent_to(answer, Order.objects.get())
    assert Payment.objects.get().payment_method == "pm_card_visa"


def add_in_a_slow_worker(client: Client, sku: str) -> SessionBase:
    """Add a product in a request that is held up before it saves the session; return that session."""
    late = client.session
    add_to_cart(late, sku=sku, quantity=1)
    return late


def test_a_late_write_that_brings_an_ordered_cart_back_sells_nothing_twice(client: Client) -> None:
    make_product("HAT")
    fill_cart(client, MUG=2)
    late = add_in_a_slow_worker(client, "HAT")
    client.post("/checkout/", open_checkout(client))
    order = Order.objects.get()

    late.save()

    assert_sent_to(client.get("/checkout/"), order)
    assert cart_of(client) == {"HAT": 1}
    client.post("/checkout/", open_checkout(client))
    assert [line.sku for line in Order.objects.latest("pk").lines.all()] == ["HAT"]
    assert (stock_of("MUG"), stock_of("HAT")) == ((10, 2), (10, 1))


def test_the_cart_page_shows_nothing_that_was_ordered_and_came_back(client: Client) -> None:
    fill_cart(client, MUG=2)
    late = add_in_a_slow_worker(client, "MUG")
    placed = client.post("/checkout/", open_checkout(client))
    client.post("/cart/change/", {"remove": "MUG"})
    late["cart"] = {"MUG": 2}

    late.save()

    page = client.get("/cart/")
    assert page.context["cart"].lines == []
    assert page.context["cart_count"] == 0
    assert f'href="{placed["Location"]}"' in page.text


@pytest.mark.parametrize(
    ("path", "then"), [("/cart/add/", {"MUG": 3, "HAT": 1}), ("/cart/change/", {"HAT": 1})], ids=["added", "changed"]
)
def test_what_was_ordered_is_not_in_a_cart_that_came_back_unless_it_is_added_again(
    client: Client, path: str, then: dict[str, int]
) -> None:
    make_product("HAT")
    make_product("MUG", max_quantity=3)
    fill_cart(client, MUG=2)
    late = add_in_a_slow_worker(client, "HAT")
    client.post("/checkout/", open_checkout(client))
    late.save()

    client.post(path, {"sku": "MUG", "quantity": 3})

    assert cart_of(client) == then


def test_a_cart_that_two_orders_went_through_comes_back_empty(client: Client) -> None:
    make_product("HAT")
    fill_cart(client, MUG=2)
    late = add_in_a_slow_worker(client, "HAT")
    client.post("/checkout/", open_checkout(client))
    fill_cart(client, HAT=1)  # again, as the first did not answer
    client.post("/checkout/", open_checkout(client))

    late.save()

    assert cart_of(client) == {}
    assert_sent_to(client.post("/checkout/", {"checkout_key": late["checkout_key"]}), Order.objects.earliest("pk"))
    assert (stock_of("MUG"), stock_of("HAT")) == ((10, 2), (10, 1))


def test_a_cart_keeps_its_key_when_the_customer_logs_in(client: Client) -> None:
    User.objects.create_user("ann@example.com", "secret")
    fill_cart(client, MUG=1)
    key = client.session["checkout_key"]

    client.post("/account/log-in/", {"username": "ann@example.com", "password": "secret"})

    assert client.session["_auth_user_id"]
    assert open_checkout(client)["checkout_key"] == key


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_click_whose_last_unit_the_first_click_has_reserved_ends_in_its_order(client: Client, method: str) -> None:
    make_product("MUG", stock=1)
    fill_cart(client, MUG=1)
    form = open_checkout(client)

    def read_after_the_first_click(session: SessionBase) -> Cart:
        if not Order.objects.exists():
            make_order({"MUG": 1}, key=form["checkout_key"])
        return read_cart(session)

    with patch("shop.checkout_views.read_cart", read_after_the_first_click):
        answer = client.post("/checkout/", form) if method == "post" else client.get("/checkout/")

    assert_sent_to(answer, Order.objects.get())
    assert "You have already placed this order" in client.get(answer["Location"]).text
    assert cart_of(client) == {}


def test_a_commit_whose_answer_is_lost_ends_in_the_order(client: Client) -> None:
    fill_cart(client, MUG=1)

    def lose_the_answer(asked: Checkout) -> tuple[Order, bool]:
        place_order(asked)
        raise OperationalError("the connection is closed")

    with patch("shop.checkout_views.place_order", lose_the_answer):
        answer = client.post("/checkout/", open_checkout(client))

    assert_sent_to(answer, Order.objects.get())
    assert cart_of(client) == {}


@pytest.mark.parametrize("path", ["/account/log-in/", "/account/log-out/"])
def test_who_logs_in_or_out_in_another_tab_while_the_order_is_placed_sees_the_order(client: Client, path: str) -> None:
    user = User.objects.create_user("ann@example.com", "secret")
    if path == "/account/log-out/":
        client.force_login(user)
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    other_tab = Client()
    other_tab.cookies.load(client.cookies.output(header="", sep=";"))

    def log_in_or_out_first(asked: Checkout) -> tuple[Order, bool]:
        other_tab.post(path, {"username": "ann@example.com", "password": "secret"})
        return place_order(asked)

    with patch("shop.checkout_views.place_order", log_in_or_out_first):
        answer = client.post("/checkout/", form)

    assert_sent_to(answer, Order.objects.get())
    other_tab.get("/checkout/")
    assert cart_of(other_tab) == {}
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_connection_that_is_lost_after_the_commit_is_not_the_customers_error(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)

    def lose_the_connection(asked: Checkout) -> tuple[Order, bool]:
        placed = place_order(asked)
        with suppress(OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return placed

    with patch("shop.checkout_views.place_order", lose_the_connection):
        answer = client.post("/checkout/", form)
    connection.close()  # as at the end of each request outside a test

    order = Order.objects.get()
    assert_sent_to(answer, order)
    assert_sent_to(client.get("/checkout/"), order)
    assert cart_of(client) == {}


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_the_same_time_place_one_order() -> None:
    client = Client()
    fill_cart(client, MUG=1)
    form = open_checkout(client)

    def click(payment_method: str) -> Any:
        browser = Client()
        browser.cookies.load(client.cookies.output(header="", sep=";"))
        return browser.post("/checkout/", {**form, "payment_method": payment_method})

    answers = race([partial(click, method) for method in ["pm_card_visa", "pm_sandbox_slow"] * 4])

    order = Order.objects.get()
    for answer in answers:
        assert_sent_to(answer, order)
    assert stock_of("MUG") == (10, 1)
    assert cart_of(client) == {}


def test_a_cart_changed_in_another_tab_is_shown_before_it_is_paid(client: Client) -> None:
    make_product("CUP", price=500)
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    client.post("/cart/change/", {"remove": "MUG"})
    client.post("/cart/add/", {"sku": "CUP", "quantity": 1})  # the total is what it was
    before = everything()

    answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert "Something has changed" in answer.text
    assert "The CUP" in answer.text
    assert everything() == before


def test_a_price_that_can_not_be_charged_is_not_sold_and_the_page_says_which(client: Client) -> None:
    fill_cart(client, MUG=1)
    Product.objects.update(price=5_124, currency="KWD")
    before = everything()

    answer = client.post("/checkout/", open_checkout(client))

    assert answer.status_code == 409
    assert "MUG has a price that can&#x27;t be paid" in answer.text
    assert everything() == before


@pytest.mark.parametrize(
    ("price", "quantity", "text"),
    [
        (14, 2, "This is less than can be paid at once. Nothing was ordered: add something to your cart."),
        (999_999_999_999, 2, "This is more than can be paid at once. Split it into two orders."),
    ],
)
def test_a_total_that_can_not_be_paid_is_refused_in_words(client: Client, price: int, quantity: int, text: str) -> None:
    make_product("PIN", price=500)
    fill_cart(client, PIN=quantity)
    form = open_checkout(client)
    Product.objects.update(price=price)
    fingerprint = client.get("/checkout/").context["cart"].fingerprint
    before = everything()

    answer = client.post("/checkout/", {**form, "fingerprint": fingerprint})

    assert answer.status_code == 409
    assert text in answer.text
    assert everything() == before


def test_a_key_that_is_not_this_carts_places_nothing(client: Client) -> None:
    fill_cart(client, MUG=1)
    before = everything()

    for key in ("", "cart-" + "0" * 32, "\0", "k1"):
        assert client.post("/checkout/", open_checkout(client, checkout_key=key)).status_code == 409
    assert everything() == before


def test_a_key_of_the_api_leads_to_nobodys_order(client: Client) -> None:
    order = make_order(key="536365")  # as guessable as an invoice number
    fill_cart(client, CUP=1)

    answer = client.post("/checkout/", open_checkout(client, checkout_key="536365"))

    assert answer.status_code == 409
    assert order.code not in answer.text


def test_a_changed_price_is_shown_line_by_line_and_confirmed_before_it_is_paid(client: Client) -> None:
    fill_cart(client, MUG=2)
    form = open_checkout(client)
    Product.objects.update(price=600)
    before = everything()

    answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert "The price has changed from £5.00 to £6.00." in answer.text
    assert "Order and pay £12.00" in answer.text
    assert everything() == before
    assert cart_of(client) == {"MUG": 2}

    client.post("/checkout/", open_checkout(client))
    assert Order.objects.get().total == 1200


@pytest.mark.parametrize(
    ("change", "told"),
    [({"price": 600}, "from £5.00 to £6.00"), ({"currency": "KWD"}, "KWD")],
    ids=["price", "currency"],
)
def test_a_price_that_changes_while_the_order_is_placed_places_nothing(
    client: Client, change: dict[str, Any], told: str
) -> None:
    fill_cart(client, MUG=2)
    form = open_checkout(client)

    def change_first(asked: Checkout) -> tuple[Order, bool]:
        Product.objects.update(**change)
        return place_order(asked)

    with patch("shop.checkout_views.place_order", change_first):
        answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert told in answer.text
    assert not Order.objects.exists()


def test_a_currency_that_changes_is_shown_before_it_is_paid(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    Product.objects.update(currency="KWD")
    before = everything()

    answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert "KWD" in answer.text
    assert everything() == before


def test_sold_out_while_in_the_cart_marks_the_line_and_places_nothing(client: Client) -> None:
    fill_cart(client, MUG=2, CUP=1)
    form = open_checkout(client)
    mug = Product.objects.get(sku="MUG")
    adjust_stock(reference="sold", product_id=mug.pk, quantity=-9, reason="sold elsewhere")
    before = everything()

    answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert "Only 1 left; you have 2 in your cart." in answer.text
    assert "Order and pay" not in answer.text
    assert everything() == before

    client.post("/cart/fit/")
    assert cart_of(client) == {"MUG": 1, "CUP": 1}
    client.post("/checkout/", open_checkout(client))
    assert Order.objects.get().total == 1000


def test_what_is_no_longer_sold_says_so(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    Product.objects.update(active=False)

    assert "No longer sold" in client.get("/cart/").text
    assert client.post("/checkout/", form).status_code == 409
    assert not Order.objects.exists()


def test_a_shop_that_is_busy_keeps_the_cart_and_the_key(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)

    with patch("shop.checkout_views.place_order", side_effect=OperationalError("lock timeout")):
        answer = client.post("/checkout/", form)

    assert answer.status_code == 503
    assert open_checkout(client) == form
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    "change",
    [{"email": "nobody"}, {"email": ""}, {"email": "a@" + "ü" * 60 + ".com"}, {"payment_method": "pm_unknown"}],
)
def test_a_form_with_an_error_places_nothing_and_keeps_what_was_typed(client: Client, change: dict[str, str]) -> None:
    fill_cart(client, MUG=1)

    answer = client.post("/checkout/", open_checkout(client, **change))

    assert answer.status_code == 400
    assert "errorlist" in answer.text
    assert not Order.objects.exists()


def test_an_empty_cart_has_no_checkout(client: Client) -> None:
    assert client.get("/checkout/")["Location"] == "/cart/"
    assert client.post("/checkout/", {"checkout_key": "cart-" + "0" * 32})["Location"] == "/cart/"


def test_what_changes_anything_needs_the_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    order = make_order()
    before = everything()

    for path in ("/cart/add/", "/cart/change/", "/cart/fit/", "/checkout/", f"/orders/{order.code}/cancel/"):
        answer = client.post(path, {"sku": "MUG", "quantity": 1})
        assert answer.status_code == 403
        assert "Please send that again" in answer.text
    assert everything() == before


def test_the_checkout_says_that_orders_are_not_paid_yet_and_shows_the_way_to_them(
    client: Client, settings: LazySettings
) -> None:
    settings.SHOP_MAX_UNPAID = 1
    fill_cart(client, CUP=1)
    client.post("/checkout/", open_checkout(client))
    unpaid = Order.objects.get()
    fill_cart(client, MUG=1)
    form, before = open_checkout(client), everything()

    answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert "not paid yet" in answer.text
    assert f'<a href="/orders/{unpaid.code}/">See what you ordered</a>' in answer.text
    assert everything() == before
    assert open_checkout(client) == form


def test_who_has_an_account_is_shown_all_orders_that_are_not_paid_yet(client: Client, settings: LazySettings) -> None:
    settings.SHOP_MAX_UNPAID = 1
    user = User.objects.create_user("ann@example.com")
    make_order(email=user.email, user=user)
    client.force_login(user)
    fill_cart(client, MUG=1)
    before = everything()

    answer = client.post("/checkout/", open_checkout(client))

    assert answer.status_code == 409
    assert '<a href="/orders/">See what you ordered</a>' in answer.text
    assert everything() == before


def test_a_stranger_learns_no_order_of_the_email(client: Client, settings: LazySettings) -> None:
    settings.SHOP_MAX_UNPAID = 1
    unpaid = make_order(email="ann@example.com")
    fill_cart(client, MUG=1)

    answer = client.post("/checkout/", open_checkout(client))

    assert answer.status_code == 409
    assert unpaid.code not in answer.text
    assert "See what you ordered" not in answer.text
