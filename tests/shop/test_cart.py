from typing import Any, cast

import pytest
from django.conf import LazySettings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.test import Client

from catalog.models import Product
from catalog.services import adjust_stock
from orders.models import Order
from shop.cart import (
    KEY,
    Cart,
    CartFull,
    SoldOut,
    add_to_cart,
    fit_cart,
    read_cart,
    remove_from_cart,
    set_quantities,
)
from shop.session_orders import finish_checkout, refill_cart
from tests.builders import make_order, make_product
from tests.shop.customer import cart_of, fill_cart, open_checkout

pytestmark = pytest.mark.django_db
NOBODY = "redis://127.0.0.1:9/0"


@pytest.fixture
def session() -> SessionBase:
    return SessionStore()


def quantities(cart: Cart) -> dict[str, int]:
    return {line.sku: line.quantity for line in cart.lines}


def sell_all_but(product: Product, units: int) -> None:
    product.stock.refresh_from_db()
    adjust_stock(
        reference="sold", product_id=product.pk, quantity=units - product.stock.available, reason="sold elsewhere"
    )


def test_a_cart_has_todays_prices_and_stock(session: SessionBase, django_assert_num_queries: Any) -> None:
    make_product("MUG", price=500, stock=10)
    make_product("CUP", price=200, stock=3)
    add_to_cart(session, sku="MUG", quantity=2)
    add_to_cart(session, sku="CUP", quantity=1)
    add_to_cart(session, sku="MUG", quantity=1)

    with django_assert_num_queries(1):
        cart = read_cart(session)

    assert quantities(cart) == {"MUG": 3, "CUP": 1}
    assert (cart.total, cart.currency, cart.is_buyable) == (1700, "GBP", True)


def test_no_more_is_put_in_than_can_be_bought(session: SessionBase, settings: LazySettings) -> None:
    settings.SHOP_MAX_QUANTITY = 4
    settings.SHOP_MAX_LINES = 2
    make_product("MUG", stock=10)
    make_product("CUP", stock=3)
    make_product("POT")

    assert add_to_cart(session, sku="MUG", quantity=9) == 4
    assert add_to_cart(session, sku="CUP", quantity=2) == 2
    assert add_to_cart(session, sku="CUP", quantity=2) == 3
    with pytest.raises(CartFull):
        add_to_cart(session, sku="POT", quantity=1)
    assert quantities(read_cart(session)) == {"MUG": 4, "CUP": 3}


def test_what_is_not_to_be_had_is_not_put_in(session: SessionBase) -> None:
    make_product("MUG", stock=0)
    make_product("OLD", active=False)

    with pytest.raises(SoldOut):
        add_to_cart(session, sku="MUG", quantity=1)
    for sku in ("OLD", "GHOST", "mug"):
        with pytest.raises(Product.DoesNotExist):
            add_to_cart(session, sku=sku, quantity=1)
    assert read_cart(session).lines == []


def test_a_line_says_what_has_changed_since_it_was_put_in(session: SessionBase) -> None:
    mug, cup, pot = make_product("MUG", price=500), make_product("CUP", stock=5), make_product("POT")
    for sku in ("MUG", "CUP", "POT"):
        add_to_cart(session, sku=sku, quantity=3)
    Product.objects.filter(pk=mug.pk).update(price=600)
    sell_all_but(cup, 2)
    Product.objects.filter(pk=pot.pk).update(active=False)

    cart = read_cart(session)

    lines = {line.sku: line for line in cart.lines}
    assert (lines["MUG"].old_price, lines["MUG"].price, lines["MUG"].is_buyable) == (500, 600, True)
    assert (lines["CUP"].old_price, lines["CUP"].buyable_units, lines["CUP"].is_buyable) == (None, 2, False)
    assert (lines["POT"].product, lines["POT"].is_buyable) == (None, False)
    assert not cart.is_buyable


def test_a_cart_of_two_currencies_can_not_be_bought(session: SessionBase) -> None:
    make_product("MUG", currency="GBP")
    make_product("CUP", currency="EUR")
    add_to_cart(session, sku="MUG", quantity=1)
    add_to_cart(session, sku="CUP", quantity=1)

    assert not read_cart(session).is_buyable
    remove_from_cart(session, sku="MUG")
    assert read_cart(session).is_buyable


def test_adding_takes_note_of_the_price_and_changing_a_quantity_does_not(session: SessionBase) -> None:
    make_product("MUG", price=500)
    add_to_cart(session, sku="MUG", quantity=1)
    Product.objects.update(price=600)

    set_quantities(session, {"MUG": 2})
    assert read_cart(session).lines[0].old_price == 500

    add_to_cart(session, sku="MUG", quantity=1)
    assert read_cart(session).lines[0].old_price is None


def test_a_quantity_is_what_was_typed_and_the_line_says_whether_it_can_be_had(session: SessionBase) -> None:
    make_product("MUG", stock=10)
    make_product("CUP", stock=10, max_quantity=4)
    for sku in ("MUG", "CUP"):
        add_to_cart(session, sku=sku, quantity=1)

    assert not set_quantities(session, {"MUG": 5_000, "CUP": 5})

    cart = read_cart(session)
    assert quantities(cart) == {"MUG": 5_000, "CUP": 5}
    assert [(line.is_buyable, line.is_over_limit) for line in cart.lines] == [(False, False), (False, True)]
    set_quantities(session, {"MUG": 10, "CUP": 4})
    assert read_cart(session).is_buyable


def test_a_quantity_of_what_is_not_in_the_cart_puts_nothing_into_it(session: SessionBase) -> None:
    for sku in ("MUG", "CUP"):
        make_product(sku)
    assert set_quantities(session, {"MUG": 1})
    add_to_cart(session, sku="MUG", quantity=1)

    assert set_quantities(session, {"MUG": 3, "CUP": 2})

    assert quantities(read_cart(session)) == {"MUG": 3}


def test_quantities_that_are_as_they_were_write_no_session(session: SessionBase) -> None:
    make_product("MUG")
    add_to_cart(session, sku="MUG", quantity=2)
    session.modified = False

    set_quantities(session, {"MUG": 2})

    assert not session.modified


def test_fit_cart_keeps_what_is_available_and_the_prices_seen(session: SessionBase) -> None:
    mug, cup = make_product("MUG", price=500), make_product("CUP")
    for sku in ("MUG", "CUP"):
        add_to_cart(session, sku=sku, quantity=5)
    sell_all_but(mug, 2)
    sell_all_but(cup, 0)
    Product.objects.filter(pk=mug.pk).update(price=600)

    fit_cart(session)

    cart = read_cart(session)
    assert quantities(cart) == {"MUG": 2}
    assert cart.lines[0].old_price == 500
    assert cart.is_buyable


def test_a_fingerprint_changes_with_what_is_to_be_paid_and_not_with_stock(session: SessionBase) -> None:
    mug, cup = make_product("MUG", price=500), make_product("CUP", price=500)
    add_to_cart(session, sku="MUG", quantity=1)
    before = read_cart(session).fingerprint

    sell_all_but(mug, 4)
    assert read_cart(session).fingerprint == before
    remove_from_cart(session, sku="MUG")
    add_to_cart(session, sku="CUP", quantity=1)  # as dear as the mug
    assert read_cart(session).fingerprint != before
    assert cup.price == mug.price
    before = read_cart(session).fingerprint
    Product.objects.update(currency="KWD")
    assert read_cart(session).fingerprint != before


def test_finish_checkout_takes_out_what_was_ordered_and_nothing_else(session: SessionBase) -> None:
    for sku in ("MUG", "CUP", "POT"):
        make_product(sku)
    add_to_cart(session, sku="MUG", quantity=2)
    add_to_cart(session, sku="CUP", quantity=1)
    key = read_cart(session).key
    order = make_order({"MUG": 2, "CUP": 1}, key=key)
    add_to_cart(session, sku="MUG", quantity=1)
    add_to_cart(session, sku="POT", quantity=1)

    finish_checkout(session, order=order)
    finish_checkout(session, order=order)

    assert quantities(read_cart(session)) == {"MUG": 1, "POT": 1}
    assert session[KEY] != key
    assert read_cart(session).key != key


def test_an_order_of_another_key_leaves_the_cart_alone(session: SessionBase) -> None:
    make_product("MUG")
    add_to_cart(session, sku="MUG", quantity=2)
    key = read_cart(session).key

    finish_checkout(session, order=make_order({"MUG": 2}))

    assert quantities(read_cart(session)) == {"MUG": 2}
    assert read_cart(session).key == key


def test_a_cart_has_its_key_from_the_first_product_until_its_order_is_placed(session: SessionBase) -> None:
    for sku in ("MUG", "CUP"):
        make_product(sku)
    assert KEY not in session

    add_to_cart(session, sku="MUG", quantity=2)
    key = session[KEY]
    add_to_cart(session, sku="CUP", quantity=1)
    set_quantities(session, {"CUP": 2})
    sell_all_but(Product.objects.get(sku="CUP"), 0)
    fit_cart(session)
    remove_from_cart(session, sku="MUG")
    assert read_cart(session).lines == []
    add_to_cart(session, sku="MUG", quantity=1)  # a late write could still bring the two back, under the same key

    assert session[KEY] == read_cart(session).key == key


def test_a_cart_from_before_there_was_a_key_gets_one_at_the_checkout(session: SessionBase) -> None:
    make_product("MUG")
    session["cart"] = {"MUG": 1}

    key = read_cart(session).key

    assert read_cart(session).key == session[KEY] == key


def test_a_refilled_cart_has_a_key_that_no_order_has(session: SessionBase) -> None:
    make_product("MUG")
    order = make_order({"MUG": 2})

    refill_cart(session, order=order)

    assert not Order.objects.filter(checkout_key=session[KEY]).exists()


def test_refill_cart_puts_back_what_was_ordered_however_often(session: SessionBase) -> None:
    make_product("MUG", price=500)
    add_to_cart(session, sku="MUG", quantity=2)
    key = read_cart(session).key
    order = make_order({"MUG": 2}, key=key)  # and the session was not saved
    Product.objects.update(price=600)

    refill_cart(session, order=order)
    refill_cart(session, order=order)

    cart = read_cart(session)
    assert quantities(cart) == {"MUG": 2}
    assert cart.lines[0].old_price == 500
    assert read_cart(session).key != key


def test_a_cart_survives_a_flush_of_redis(client: Client) -> None:
    make_product("MUG")
    client.post("/cart/add/", {"sku": "MUG", "quantity": 3})

    cast(Any, cache).delete_pattern("*")  # every key of this shop, and nobody else's

    assert quantities(client.get("/cart/").context["cart"]) == {"MUG": 3}


@pytest.fixture
def no_redis(settings: LazySettings) -> None:
    stop_redis(settings)


def stop_redis(settings: LazySettings) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": NOBODY}}
    cache.set("anything", 1)
    assert cache.get("anything") is None


def test_a_cart_is_kept_and_changed_while_redis_is_down(client: Client, no_redis: None) -> None:
    make_product("MUG")

    client.post("/cart/add/", {"sku": "MUG", "quantity": 3})
    client.post("/cart/change/", {"sku": "MUG", "quantity": 2})

    assert quantities(client.get("/cart/").context["cart"]) == {"MUG": 2}


def test_a_cart_that_was_ordered_while_redis_was_away_does_not_come_back_with_it(
    client: Client, settings: LazySettings
) -> None:
    caches = settings.CACHES
    fill_cart(client, MUG=3)
    assert cart_of(client) == {"MUG": 3}  # a copy of it would be in Redis now

    stop_redis(settings)
    client.post("/checkout/", open_checkout(client))
    settings.CACHES = caches

    assert cart_of(client) == {}
    answer = client.get("/checkout/")
    assert answer["Location"] == f"/orders/{Order.objects.get().code}/"
