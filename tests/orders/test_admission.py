import json
from contextlib import suppress
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.test import Client
from django_redis import get_redis_connection

import waiting_room
from orders import pace
from orders.admission import CHECKOUT, NotLetIn, WaitingRoomClosed, admit_checkout, find_place
from orders.models import Order
from orders.pace import measure_pace
from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order, make_product, stock_of
from tests.concurrency.race import race
from tests.orders.test_limits import stop_redis
from tests.waiting_rooms import close_door, empty_rooms, key_of, let_in, read_inside, read_queue
from waiting_room import ask, count_crowds
from waiting_room.visitors import name_program

pytestmark = pytest.mark.django_db
BODY: dict[str, Any] = {"email": "ann@example.com", "payment_method": "pm_card_visa"}


@pytest.fixture(autouse=True)
def _closed_room(settings: LazySettings) -> None:
    settings.WAITING_ROOM, settings.WAITING_ROOM_SKUS = "products", ["MUG"]
    settings.WAITING_ROOM_LEAST, settings.WAITING_ROOM_MOST = 5, 20
    for room in ("MUG", CHECKOUT):
        empty_rooms(room)
        close_door(room)


def make_due(room: str = "MUG") -> None:
    """Let the next question measure the pace."""
    get_redis_connection().hset(key_of(room, "room"), "measure_at", 0)


def confirm(count: int) -> None:
    make_product("MUG", stock=2 * count)
    for _ in range(count):
        order = make_order({"MUG": 1})
        answer_payment(order, Payment.Status.SUCCEEDED)
        finalize_order(code=order.code)


def post(client: Client, key: str, token: str = "", **lines: int) -> Any:
    body = BODY | {"lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()]}
    headers = {"Idempotency-Key": key} | ({"Authorization": f"Bearer {token}"} if token else {})
    return client.post("/api/orders", json.dumps(body), content_type="application/json", headers=headers)


# --- the pace


def test_a_shop_at_rest_lets_in_the_least() -> None:
    assert measure_pace() == 5


def test_the_pace_grows_with_the_orders_that_were_confirmed_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm(10)
    assert measure_pace() == 5 + 2 * 10 / 5

    monkeypatch.setattr(pace, "LATELY", 0.000_001)
    assert measure_pace() == 5


def test_the_pace_has_an_upper_bound(settings: LazySettings) -> None:
    settings.WAITING_ROOM_MOST = 6
    confirm(5)

    assert measure_pace() == 6


def test_while_orders_wait_for_the_shop_it_is_given_no_more_than_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm(30)
    order = make_order({"MUG": 1})
    assert measure_pace() == 5 + 2 * 30 / 5  # a new order is not late

    monkeypatch.setattr(pace, "LATE", 0)
    assert measure_pace() == 6

    answer_payment(order, Payment.Status.SENT, requests=1)
    assert measure_pace() == 17  # it waits for its bank, and not for the shop

    answer_payment(order, Payment.Status.SUCCEEDED)
    assert measure_pace() == 6


def test_a_visitor_who_asks_when_it_is_time_measures_for_all() -> None:
    make_product("MUG")
    make_due()

    assert find_place("MUG", visitor="ann").wait == 1
    assert count_crowds(["MUG"])["MUG"].pace == 5
    assert not ask("MUG", visitor="ann", is_page=True).measures


@pytest.mark.parametrize("stock", [1, 3])
def test_as_many_are_inside_as_may_find_a_unit(settings: LazySettings, stock: int) -> None:
    settings.WAITING_ROOM_LEAST = settings.WAITING_ROOM_MOST = 1000  # all of these at once
    make_product("MUG", stock=stock)
    make_due()
    find_place("MUG", visitor="0")
    get_redis_connection().hset(key_of("MUG", "room"), "allowance", 10)

    places = [find_place("MUG", visitor=str(number)) for number in range(10)]

    assert sum(place.is_let_in for place in places) == 2 * stock


def test_rooms_with_people_in_them_share_the_pace(settings: LazySettings) -> None:
    settings.WAITING_ROOM_SKUS = ["MUG", "CUP", "JUG"]
    empty_rooms("CUP", "JUG")
    for room in ("MUG", "CUP"):
        ask(room, visitor="bob", is_page=True)
    close_door("CUP")
    ask("CUP", visitor="cid", is_page=True)
    make_due()

    find_place("MUG", visitor="ann")

    assert count_crowds(["MUG"])["MUG"].pace == 2.5


def test_nobody_is_let_in_while_the_database_is_away() -> None:
    make_due()
    with patch("orders.admission.measure_pace", side_effect=OperationalError("the server is gone")):
        assert not find_place("MUG", visitor="ann").is_let_in
    assert count_crowds(["MUG"])["MUG"].pace == 0

    make_due()
    find_place("MUG", visitor="ann")
    assert count_crowds(["MUG"])["MUG"].pace == 5


def test_the_last_unit_sends_everybody_home_and_one_that_comes_back_lets_them_queue() -> None:
    for visitor in ("ann", "bob"):
        ask("MUG", visitor=visitor, is_page=True)
    order = make_order({"MUG": 10})
    make_due()

    assert find_place("MUG", visitor="ann", is_page=False).is_sold_out
    assert read_queue("MUG") == []

    answer_payment(order, Payment.Status.DECLINED)
    finalize_order(code=order.code)
    make_due()
    assert stock_of("MUG") == (10, 0)
    assert not find_place("MUG", visitor="ann", is_page=False).is_sold_out


# --- one turn, one order


def test_an_order_uses_its_turn_up_and_a_refused_one_does_not() -> None:
    ask("MUG", visitor="ann", is_page=True)
    let_in("MUG", 1, by="ann")
    make_product("MUG")

    with suppress(ValueError), admit_checkout(["MUG"], visitor="ann", checkout_key="cart"):
        raise ValueError
    assert read_inside("MUG") == {"ann"}

    with admit_checkout(["MUG"], visitor="ann", checkout_key="cart"):
        make_order({"MUG": 1}, key="cart")
    assert read_inside("MUG") == set()


@pytest.mark.parametrize("known", [True, False])
def test_a_placed_order_is_never_refused(known: bool) -> None:
    if known:
        make_order({"MUG": 1}, key="cart")
        with admit_checkout(["MUG"], visitor="ann", checkout_key="cart"):
            return
    with pytest.raises(NotLetIn), admit_checkout(["MUG"], visitor="ann", checkout_key="cart"):
        pytest.fail("let in")


def check_out_twice_at_once() -> tuple[int, set[str]]:
    """Two browsers with one visitor's token; how many orders were placed, and who is inside then."""
    empty_rooms("MUG")
    ask("MUG", visitor="ann", is_page=True)
    let_in("MUG", 1, by="ann")

    def check_out(key: str) -> None:
        with admit_checkout(["MUG"], visitor="ann", checkout_key=key):
            make_order({"MUG": 1}, key=key)

    outcomes = race([partial(check_out, "one"), partial(check_out, "two")])
    assert all(outcome is None or isinstance(outcome, NotLetIn) for outcome in outcomes)
    return outcomes.count(None), read_inside("MUG")


@pytest.mark.django_db(transaction=True)
def test_two_checkouts_at_once_with_one_turn_place_one_order() -> None:
    make_product("MUG")

    assert check_out_twice_at_once() == (1, set())
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_control_without_the_claim_one_turn_places_two_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    make_product("MUG")
    monkeypatch.setattr(waiting_room, "CLAIM", "return redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0")

    assert check_out_twice_at_once() == (2, {"ann"})


# --- programs


def test_a_program_keeps_its_place_with_its_key(client: Client) -> None:
    make_product("MUG")
    post(client, "first", MUG=1)
    before = everything()

    answers = [post(client, "second", MUG=1) for _ in range(3)]

    for answer in answers:
        assert (answer.status_code, answer.json()["error"], answer["Retry-After"]) == (429, "waiting_room", "5")
        assert "number 2" in answer.json()["detail"]
    assert read_queue("MUG") == [name_program("first"), name_program("second")]
    assert everything() == before

    let_in("MUG", 2, by=name_program("first"))
    assert post(client, "second", MUG=1).status_code == 201
    assert post(client, "second", MUG=1).status_code == 200
    assert read_inside("MUG") == {name_program("first")}


def test_a_program_with_a_token_and_other_products_wait_for_nobody(client: Client, settings: LazySettings) -> None:
    settings.API_TOKENS = ["secret"]
    make_product("MUG")
    make_product("CUP")

    assert post(client, "first", token="secret", MUG=1).status_code == 201
    assert post(client, "second", CUP=1).status_code == 201
    assert read_queue("MUG") == []


def test_a_program_is_told_what_is_sold_out(client: Client) -> None:
    make_order({"MUG": 10})
    make_due()
    before = everything()

    answer = post(client, "late", MUG=1)

    assert (answer.status_code, answer.json()["error"]) == (409, "insufficient_stock")
    assert everything() == before


# --- without Redis


def test_without_redis_the_setting_decides(settings: LazySettings, client: Client) -> None:
    make_product("MUG")
    stop_redis(settings)
    settings.WAITING_ROOM_WITHOUT_REDIS = "closed"
    before = everything()

    with pytest.raises(WaitingRoomClosed):
        find_place("MUG", visitor="ann")
    answer = post(client, "key", MUG=1)
    assert (answer.status_code, answer.json()["error"], answer["Retry-After"]) == (429, "waiting_room", "30")
    assert everything() == before

    settings.WAITING_ROOM_WITHOUT_REDIS = "open"
    assert find_place("MUG", visitor="ann").is_let_in
    assert post(client, "key", MUG=1).status_code == 201


def test_a_shop_that_has_no_redis_lets_everybody_in(settings: LazySettings) -> None:
    settings.REDIS_URL = ""

    assert find_place("MUG", visitor="ann").is_let_in
