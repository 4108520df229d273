from http import HTTPStatus
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import signing
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from orders.admission import CHECKOUT
from orders.models import Order
from tests.builders import everything, make_product, stock_of
from tests.orders.test_limits import stop_redis
from tests.shop.customer import assert_sent_to, cart_of, fill_cart, open_checkout
from tests.waiting_rooms import close_door, empty_rooms, let_in, pass_time, read_inside, read_queue
from waiting_room import claim_turn, set_pace
from waiting_room.visitors import COOKIE, SALT

pytestmark = pytest.mark.django_db
WAITS = HTTPStatus.TOO_MANY_REQUESTS
MUG = "/products/the-mug/MUG/"


@pytest.fixture(autouse=True)
def _closed_rooms(settings: LazySettings) -> None:
    settings.WAITING_ROOM, settings.WAITING_ROOM_SKUS = "products", ["MUG"]
    make_product("MUG")
    for room in ("MUG", CHECKOUT):
        empty_rooms(room)
        close_door(room)


@pytest.fixture
def buyer(client: Client) -> Client:
    """A visitor who was let in to the mugs, and has one in the cart."""
    client.get(MUG)
    let_in("MUG", 1, by=visitor_of(client))
    fill_cart(client, MUG=1)
    return client


def visitor_of(client: Client) -> str:
    return signing.TimestampSigner(salt=SALT).unsign(client.cookies[COOKIE].value)


def copy_cookie(client: Client) -> Client:
    copy = Client()
    copy.cookies[COOKIE] = client.cookies[COOKIE].value
    return copy


def number_of(answer: Any) -> int:
    """The place in the queue that a page names."""
    return int(answer.text.partition("You are number ")[2].partition(".")[0])


# --- who waits, and where


@pytest.mark.parametrize("mode", ["products", "checkout"])
def test_a_visitor_who_waits_costs_the_database_nothing(
    client: Client, settings: LazySettings, mode: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.WAITING_ROOM = mode
    client.force_login(User.objects.create_user("ann@example.com", "secret"))
    page, room = (MUG, "MUG") if mode == "products" else ("/checkout/", CHECKOUT)

    with django_assert_num_queries(0):
        answer = client.get(page)
        asked = client.get("/waiting/", {"room": room})

    assert (answer.status_code, asked.status_code) == (WAITS, HTTPStatus.OK)
    assert number_of(answer) == number_of(asked) == 1
    assert answer["Retry-After"] == "5"
    assert "no-store" in answer["Cache-Control"]
    assert 'content="5; url=' in answer.text


def test_a_visitor_who_waits_is_told_in_their_language(client: Client) -> None:
    client.get(MUG)
    set_pace("MUG", pace=0.01)

    page = client.get(MUG, headers={"Accept-Language": "ko"}).text
    assert "대기 번호는 1번입니다." in page
    assert "예상 대기 시간은 약 2분입니다." in page


def test_other_products_wait_for_nobody(client: Client) -> None:
    make_product("CUP")

    assert client.get("/products/the-cup/CUP/").status_code == HTTPStatus.OK
    fill_cart(client, CUP=1)
    assert_sent_to(client.post("/checkout/", open_checkout(client)), Order.objects.get())
    assert COOKIE not in client.cookies


def test_a_shop_without_a_waiting_room_asks_nobody_to_wait(client: Client, settings: LazySettings) -> None:
    settings.WAITING_ROOM = "off"
    fill_cart(client, MUG=1)

    assert_sent_to(client.post("/checkout/", open_checkout(client)), Order.objects.get())
    assert COOKIE not in client.cookies
    assert client.get("/waiting/", {"room": "MUG"}).status_code == HTTPStatus.NOT_FOUND


def test_a_visitor_who_is_let_in_buys(client: Client) -> None:
    assert client.get(MUG).status_code == WAITS
    let_in("MUG", 1, by=visitor_of(client))

    assert client.get("/waiting/", {"room": "MUG"})["HX-Redirect"] == "/products/-/MUG/"
    assert client.get("/waiting/", {"room": "MUG", "reload": ""})["HX-Refresh"] == "true"
    assert client.get(MUG).status_code == HTTPStatus.OK
    fill_cart(client, MUG=1)
    assert_sent_to(client.post("/checkout/", open_checkout(client)), Order.objects.get())


def test_a_visitor_who_comes_when_nobody_waits_is_let_in_at_once_and_known_again(client: Client) -> None:
    set_pace("MUG", pace=1)

    answer = client.get(MUG)

    assert answer.status_code == HTTPStatus.OK
    assert read_inside("MUG") == {visitor_of(client)}
    cookie = client.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_the_cart_of_one_who_waits_stays_empty(client: Client) -> None:
    answer = client.post("/cart/add/", {"sku": "MUG", "quantity": 1})
    htmx = client.post("/cart/add/", {"sku": "MUG", "quantity": 1}, headers={"HX-Request": "true"})

    assert answer.status_code == WAITS
    assert "url=/products/-/MUG/" in answer.text
    assert htmx["HX-Redirect"] == "/products/-/MUG/"
    assert cart_of(client) == {}
    assert len(read_queue("MUG")) == 1


# --- no way around the queue


def test_a_reload_a_second_tab_and_a_copied_cookie_keep_the_place(client: Client) -> None:
    client.get(MUG)
    for _ in range(3):
        Client().get(MUG)

    assert [number_of(copy_cookie(client).get(MUG)) for _ in range(3)] == [1, 1, 1]
    assert number_of(client.get(MUG)) == 1
    assert len(read_queue("MUG")) == 4


@pytest.mark.parametrize("forge", ["{name}", "{name}:{stamp}:x", "x:{stamp}:{signature}", ""])
def test_a_forged_cookie_is_a_place_at_the_end(client: Client, forge: str) -> None:
    client.get(MUG)
    name, stamp, signature = client.cookies[COOKIE].value.split(":")
    forger = Client()
    forger.cookies[COOKIE] = forge.format(name=name, stamp=stamp, signature=signature)

    assert number_of(forger.get(MUG)) == 2
    assert visitor_of(forger) != name


def test_an_old_cookie_is_a_place_at_the_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.get(MUG)
    name = visitor_of(client)
    monkeypatch.setattr("waiting_room.visitors.AGE", -1)

    assert number_of(client.get(MUG)) == 2
    assert visitor_of(client) != name


def test_a_turn_is_used_up_by_its_order(buyer: Client) -> None:
    buyer.post("/checkout/", open_checkout(buyer))
    assert Order.objects.count() == 1
    before = everything()

    assert buyer.get(MUG).status_code == WAITS
    assert copy_cookie(buyer).get(MUG).status_code == WAITS
    assert read_inside("MUG") == set()
    assert everything() == before


def test_a_copied_cookie_is_no_second_order(buyer: Client) -> None:
    copy = copy_cookie(buyer)
    fill_cart(copy, MUG=1)
    forms = [open_checkout(buyer), open_checkout(copy)]
    bought = buyer.post("/checkout/", forms[0])
    before = everything()

    refused = copy.post("/checkout/", forms[1], follow=True)

    assert_sent_to(bought, Order.objects.get())
    assert refused.status_code == WAITS
    assert everything() == before


def test_a_visitor_whose_turn_another_checkout_has_claimed_waits_like_a_new_visitor(buyer: Client) -> None:
    copy = copy_cookie(buyer)
    fill_cart(copy, MUG=1)
    form, late = open_checkout(buyer), open_checkout(copy)
    claim_turn("MUG", visitor=visitor_of(buyer), checkout_key=form["checkout_key"])  # its order is under way

    answer = copy.post("/checkout/", late, follow=True)

    assert (answer.status_code, number_of(answer)) == (WAITS, 1)
    assert visitor_of(copy) != visitor_of(buyer)
    assert_sent_to(buyer.post("/checkout/", form), Order.objects.get())


def test_a_visitor_whose_window_has_ended_waits_again_and_keeps_the_cart(buyer: Client, settings: LazySettings) -> None:
    form = open_checkout(buyer)
    pass_time("MUG", seconds=settings.WAITING_ROOM_WINDOW)
    before = everything()

    assert buyer.post("/checkout/", form)["Location"] == "/checkout/"
    assert buyer.get("/checkout/").status_code == WAITS
    assert everything() == before
    assert cart_of(buyer) == {"MUG": 1}


def test_the_form_of_a_placed_order_leads_to_it_without_waiting(client: Client, settings: LazySettings) -> None:
    settings.WAITING_ROOM = "checkout"
    fill_cart(client, MUG=1)
    client.get("/checkout/")
    let_in(CHECKOUT, 1, by=visitor_of(client))
    form = open_checkout(client)
    client.post("/checkout/", form)

    assert_sent_to(client.post("/checkout/", form), Order.objects.get())
    assert stock_of("MUG") == (10, 1)


def test_a_sku_that_is_written_in_another_way_is_the_same_room(client: Client, settings: LazySettings) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    make_product(composed)
    settings.WAITING_ROOM_SKUS = [composed]
    empty_rooms(composed)
    close_door(composed)

    for sku in (composed, decomposed, f" {decomposed}"):
        assert client.get(f"/products/the-cup/{sku}/").status_code == WAITS
        assert client.post("/cart/add/", {"sku": sku, "quantity": 1}).status_code == WAITS
    assert len(read_queue(composed)) == 1


# --- sold out


def test_a_visitor_who_waits_is_told_when_all_is_sold_out(client: Client) -> None:
    client.get(MUG)
    set_pace("MUG", pace=0, useful=0)

    for answer in (client.get(MUG), client.get("/waiting/", {"room": "MUG"})):
        assert "Sold out" in answer.text
        assert "hx-get" not in answer.text  # nobody asks on
    assert read_queue("MUG") == []


# --- without Redis


def test_without_redis_everybody_is_let_in(
    client: Client, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    stop_redis(settings)

    fill_cart(client, MUG=1)

    assert_sent_to(client.post("/checkout/", open_checkout(client)), Order.objects.get())
    assert "the waiting room lets everybody in" in caplog.text


def test_without_redis_nobody_is_let_in_where_the_shop_is_set_so(
    buyer: Client, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.WAITING_ROOM_WITHOUT_REDIS = "closed"
    form = open_checkout(buyer)
    before = everything()
    stop_redis(settings)

    for answer in (buyer.get(MUG), buyer.post("/checkout/", form, follow=True)):
        assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert answer["Retry-After"] == "30"
        assert "Nobody can be let in just now" in answer.text
    assert buyer.get("/waiting/", {"room": "MUG"}).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert everything() == before
    assert "the waiting room lets nobody in" in caplog.text


def test_control_the_page_behind_the_room_asks_the_database(client: Client, settings: LazySettings) -> None:
    settings.WAITING_ROOM = "off"
    with connection.execute_wrapper(lambda *_: pytest.fail("asked")), pytest.raises(pytest.fail.Exception):
        client.get(MUG)
