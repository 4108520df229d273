from uuid import uuid4

import pytest
from django.conf import LazySettings
from django_redis import get_redis_connection

from tests.waiting_rooms import BATCHES, FAR, close_door, key_of, let_in, pass_time, read_inside, read_queue
from waiting_room import ask, claim_turn, count_crowds, set_pace, use_turn_up


@pytest.fixture
def room() -> str:
    """A room whose door is closed."""
    room = uuid4().hex
    close_door(room)
    return room


def arrive(room: str, *visitors: str) -> None:
    for visitor in visitors:
        ask(room, visitor=visitor, is_page=True)


def test_visitors_are_let_in_in_the_order_of_their_arrival(room: str) -> None:
    visitors = [uuid4().hex for _ in range(30)]
    arrive(room, *visitors)

    for batch in range(3):
        let_in(room, 10, by=visitors[-1])
        assert read_inside(room) == set(visitors[: 10 * (batch + 1)])

    assert read_queue(room) == []


def test_a_visitor_is_told_the_place_and_the_wait(room: str) -> None:
    arrive(room, *map(str, range(100)))
    set_pace(room, pace=0.5)

    place = ask(room, visitor="99", is_page=True)

    assert (place.is_let_in, place.number, place.wait) == (False, 100, 200)


@pytest.mark.parametrize(("number", "again"), [(1, 5), (100, 5), (200, 10), (600, 30), (2000, 60), (20_000, 100)])
def test_whoever_is_further_back_asks_more_rarely(room: str, settings: LazySettings, number: int, again: int) -> None:
    settings.WAITING_ROOM_LEAST = 10
    get_redis_connection().zadd(key_of(room, "queue"), {str(place): place for place in range(1, number + 1)})

    assert ask(room, visitor=str(number), is_page=False).ask_again == again


def test_whoever_is_at_the_front_asks_when_the_turn_comes(room: str) -> None:
    arrive(room, *map(str, range(1, 101)))
    set_pace(room, pace=4)
    get_redis_connection().hset(key_of(room, "room"), mapping={"allowance": 0, "at": FAR})

    places = [ask(room, visitor=str(number), is_page=False) for number in (1, 2, 14, 100)]

    assert [place.pause for place in places] == [250, 500, 3500, 5000]
    assert [place.ask_again for place in places] == [1, 1, 4, 5]


def test_nobody_asks_sooner_while_those_inside_are_too_many(room: str) -> None:
    arrive(room, "ann", "bob", "cid")
    let_in(room, 1, by="ann")
    set_pace(room, pace=4, useful=1)

    assert ask(room, visitor="bob", is_page=False).ask_again == 5


def test_asking_again_changes_no_place(room: str) -> None:
    arrive(room, "ann", "bob", "cid")

    for _ in range(5):
        assert ask(room, visitor="cid", is_page=True).number == 3
        assert ask(room, visitor="bob", is_page=False).number == 2

    assert read_queue(room) == ["ann", "bob", "cid"]


def test_no_more_are_inside_than_may_be(room: str, settings: LazySettings) -> None:
    settings.WAITING_ROOM_INSIDE = 2
    arrive(room, "ann", "bob", "cid")

    let_in(room, 3, by="cid")
    assert read_inside(room) == {"ann", "bob"}

    claim_turn(room, visitor="ann", checkout_key="cart")
    use_turn_up(room, visitor="ann", checkout_key="cart")
    let_in(room, 3, by="cid")
    assert read_inside(room) == {"bob", "cid"}


def test_no_more_are_inside_than_are_useful_there(room: str) -> None:
    arrive(room, "ann", "bob", "cid")
    set_pace(room, pace=3 * BATCHES, useful=2)
    get_redis_connection().hset(key_of(room, "room"), mapping={"allowance": 3})

    arrive(room, "cid")

    assert read_inside(room) == {"ann", "bob"}
    assert read_queue(room) == ["cid"]


def test_a_second_of_quiet_saves_up_one_batch_and_no_more(room: str) -> None:
    set_pace(room, pace=3 * BATCHES)
    get_redis_connection().hset(key_of(room, "room"), mapping={"allowance": 0, "at": 1})  # long ago

    arrive(room, *map(str, range(10)))

    assert len(read_inside(room)) in (3, 4, 5)  # the time of others may have come meanwhile


def test_a_visitor_who_leaves_loses_the_place(room: str, settings: LazySettings) -> None:
    arrive(room, "ann", "bob")
    pass_time(room, seconds=settings.WAITING_ROOM_PATIENCE / 2)
    assert ask(room, visitor="bob", is_page=False).number == 2  # bob asks, ann does not
    pass_time(room, seconds=settings.WAITING_ROOM_PATIENCE / 2)

    assert ask(room, visitor="bob", is_page=False).number == 1
    assert ask(room, visitor="ann", is_page=True).number == 2


def test_a_visitor_who_was_told_to_ask_rarely_is_not_taken_for_a_leaver(room: str, settings: LazySettings) -> None:
    settings.WAITING_ROOM_PATIENCE = 1
    get_redis_connection().zadd(key_of(room, "queue"), {str(place): place for place in range(-999, 0)})
    place = ask(room, visitor="ann", is_page=True)
    assert place.ask_again == 50
    arrive(room, "bob")

    pass_time(room, seconds=2 * place.ask_again)
    arrive(room, "bob")

    assert ask(room, visitor="ann", is_page=True).number == place.number


def test_a_visitor_who_does_not_come_when_called_loses_the_turn(room: str, settings: LazySettings) -> None:
    arrive(room, "ann", "bob")
    let_in(room, 1, by="bob")
    pass_time(room, seconds=settings.WAITING_ROOM_PATIENCE)

    assert ask(room, visitor="bob", is_page=True).number == 1
    assert ask(room, visitor="ann", is_page=True).number == 2
    assert not claim_turn(room, visitor="ann", checkout_key="cart")


def test_the_window_begins_when_the_visitor_comes_and_ends(room: str, settings: LazySettings) -> None:
    arrive(room, "ann", "bob")
    let_in(room, 1, by="bob")
    pass_time(room, seconds=settings.WAITING_ROOM_PATIENCE / 2)
    assert ask(room, visitor="ann", is_page=True).is_let_in

    pass_time(room, seconds=settings.WAITING_ROOM_WINDOW - 5)
    assert ask(room, visitor="ann", is_page=True).is_let_in  # which does not prolong it
    pass_time(room, seconds=5)

    assert not claim_turn(room, visitor="ann", checkout_key="cart")
    assert not ask(room, visitor="ann", is_page=True).is_let_in


def test_a_turn_is_one_checkouts_however_often_it_is_sent(room: str) -> None:
    arrive(room, "ann")
    let_in(room, 1, by="ann")

    assert claim_turn(room, visitor="ann", checkout_key="cart 1")
    assert claim_turn(room, visitor="ann", checkout_key="cart 1")
    assert not claim_turn(room, visitor="ann", checkout_key="cart 2")

    use_turn_up(room, visitor="ann", checkout_key="cart 2")
    assert read_inside(room) == {"ann"}
    use_turn_up(room, visitor="ann", checkout_key="cart 1")
    assert read_inside(room) == set()
    assert not claim_turn(room, visitor="ann", checkout_key="cart 1")


def test_a_used_turn_leads_to_the_end_of_the_queue(room: str) -> None:
    arrive(room, "ann", "bob", "cid")
    let_in(room, 1, by="ann")
    claim_turn(room, visitor="ann", checkout_key="cart")
    use_turn_up(room, visitor="ann", checkout_key="cart")

    assert ask(room, visitor="ann", is_page=True).number == 3


def test_nobody_waits_for_what_is_sold_out(room: str) -> None:
    arrive(room, "ann", "bob", "cid")
    let_in(room, 1, by="ann")

    set_pace(room, pace=0, useful=0)

    assert ask(room, visitor="bob", is_page=False).is_sold_out
    assert ask(room, visitor="dan", is_page=True).is_sold_out
    assert ask(room, visitor="ann", is_page=True).is_let_in  # who was let in stays inside
    assert read_queue(room) == []


def test_what_is_sold_out_is_shown_to_as_many_as_the_shop_can_serve(room: str) -> None:
    set_pace(room, pace=1, useful=0)
    get_redis_connection().hset(key_of(room, "room"), mapping={"allowance": 1, "measure_at": 2**40})

    assert ask(room, visitor="ann", is_page=False).is_sold_out  # the script of a page that waits is told so
    assert ask(room, visitor="ann", is_page=True).is_let_in
    assert ask(room, visitor="bob", is_page=True).is_sold_out
    assert not claim_turn(room, visitor="ann", checkout_key="cart")


def test_one_visitor_in_a_second_is_to_measure(room: str) -> None:
    get_redis_connection().hset(key_of(room, "room"), "measure_at", 0)

    assert [ask(room, visitor=str(number), is_page=False).measures for number in range(5)] == [True] + 4 * [False]


def test_a_crowd_is_counted_by_who_waits_and_who_is_inside(room: str) -> None:
    arrive(room, "ann", "bob", "cid")
    let_in(room, 2, by="ann")
    set_pace(room, pace=2.5)

    crowd = count_crowds([room])[room]

    assert (crowd.waiting, crowd.inside, crowd.pace) == (1, 2, 2.5)
