"""What clients read: products, their own orders, or with a scope everybody's."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.services import make_verification_token, verify_email
from api.order_views import PAGE_SIZE
from catalog.models import Category, Product
from tests.api.clients import make_token, send
from tests.api.test_api import assert_refused
from tests.builders import make_order, make_product

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann@example.com", "secret")


def test_products_are_listed_by_name_and_paged(client: Client) -> None:
    for number in range(30):
        make_product(f"MUG{number:02}")

    first = send(client, "products").json()
    second = send(client, f"products?after={first['next']}").json()

    skus = [product["sku"] for page in (first, second) for product in page["data"]]
    assert (skus, second["next"]) == ([f"MUG{number:02}" for number in range(30)], None)


def test_products_are_found_by_words_and_shown_by_sku(client: Client) -> None:
    mugs = Category.objects.create(name="Mugs", slug="mugs")
    make_product("MUG", price=500, stock=7, max_quantity=3, description="Blue", category=mugs)
    make_product("CUP/1")
    Product.objects.filter(pk=make_product("OLD").pk).update(active=False)

    found = send(client, "products?q=mug").json()["data"]
    shown = send(client, "products/MUG").json()

    assert [product["sku"] for product in found] == ["MUG"]
    assert shown == {**found[0], "description": "Blue"}
    assert (shown["price"], shown["currency"], shown["available"], shown["max_quantity"]) == (500, "GBP", 7, 3)
    assert send(client, "products/CUP/1").json()["sku"] == "CUP/1"
    for unknown in ("OLD", "GHOST", "%00", "%E2%80%8B"):
        assert_refused(send(client, f"products/{unknown}"), 404, "not_found")


@pytest.mark.parametrize("query", ["after=GHOST", "after=%00", "after=%C2%8F", "q=" + "x" * 101])
def test_a_query_that_makes_no_sense_is_refused(client: Client, query: str) -> None:
    assert_refused(send(client, f"products?{query}"), 400, "bad_field")


def test_a_customer_lists_their_own_orders_only(client: Client, ann: User) -> None:
    theirs, _guests = make_order(user=ann), make_order(email="ann@example.com")
    make_order(user=User.objects.create_user("bob@example.com"), email="ann@example.com")
    client.force_login(ann)

    assert [order["code"] for order in send(client, "orders").json()["data"]] == [theirs.code]


def test_a_customer_whose_address_is_verified_lists_their_orders_as_a_guest_too(client: Client, ann: User) -> None:
    theirs, guests = make_order(user=ann), make_order(email="ann@example.com")
    verify_email(user=ann, token=make_verification_token(ann))
    client.force_login(ann)

    assert [order["code"] for order in send(client, "orders").json()["data"]] == [guests.code, theirs.code]


def test_a_token_with_the_scope_lists_all_orders_by_pages_and_status(client: Client) -> None:
    make_product("MUG", stock=PAGE_SIZE + 1)
    codes = [make_order(email=f"{number}@example.com").code for number in range(PAGE_SIZE + 1)]
    token = make_token("orders")

    first = send(client, "orders?status=PENDING", token=token).json()
    second = send(client, f"orders?after={first['next']}", token=token).json()

    assert [order["code"] for page in (first, second) for order in page["data"]] == codes[::-1]
    assert second["next"] is None
    assert first["data"][0]["email"] == f"{PAGE_SIZE}@example.com"
    assert send(client, "orders?status=CONFIRMED", token=token).json() == {"data": [], "next": None}


def test_nobody_else_lists_orders(client: Client) -> None:
    make_order()

    assert_refused(send(client, "orders"), 401, "bad_token")
    assert_refused(send(client, "orders", token="nobody"), 401, "bad_token")
    assert_refused(send(client, "orders", token=make_token("stock", "unlimited")), 403, "missing_scope")


@pytest.mark.parametrize("query", ["after=GHOST-1", "status=LOST", "after=%00", "after=x"])
def test_a_list_of_orders_that_makes_no_sense_is_refused(client: Client, query: str) -> None:
    assert_refused(send(client, f"orders?{query}", token=make_token("orders")), 400, "bad_field")


def test_a_category_lists_its_products_in_as_many_queries_as_all(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    mugs = Category.objects.create(name="Mugs", slug="mugs")
    make_product("CUP")
    make_product("MUG", category=mugs)
    make_product("RED", name="Red mug", category=mugs)

    with django_assert_num_queries(2):
        listed = send(client, "products?category=mugs").json()["data"]

    assert [(product["sku"], product["category"]) for product in listed] == [("RED", "mugs"), ("MUG", "mugs")]
    assert [product["sku"] for product in send(client, "products?category=mugs&q=red").json()["data"]] == ["RED"]
    assert send(client, "products?q=cup").json()["data"][0]["category"] is None
    assert send(client, "products/RED").json()["category"] == "mugs"


@pytest.mark.parametrize("category", ["ghosts", "%00", "Mugs"])
def test_a_category_that_is_none_is_refused(client: Client, category: str) -> None:
    Category.objects.create(name="Mugs", slug="mugs")

    assert_refused(send(client, f"products?category={category}"), 400, "bad_field")


def test_what_was_read_before_is_not_sent_again_until_it_changes(client: Client) -> None:
    product = make_product("MUG")
    etag = send(client, "products/MUG")["ETag"]

    same = send(client, "products/MUG", **{"If-None-Match": etag})
    Product.objects.filter(pk=product.pk).update(price=501)
    changed = send(client, "products/MUG", **{"If-None-Match": etag})

    assert (same.status_code, same.content) == (304, b"")
    assert (changed.status_code, changed.json()["price"]) == (200, 501)


def test_an_answer_about_somebody_stays_out_of_shared_caches(client: Client) -> None:
    answer: Any = send(client, f"orders/{make_order().code}")

    assert set(answer["Cache-Control"].split(", ")) == {"private", "no-cache"}
