import time
from functools import partial
from uuid import uuid4

import pytest

from rate_limit import Limit, LimitReached, find_network, give_turn_back, read_turns, take_turn
from tests.concurrency.race import race
from tests.redis_windows import find_keys, key_of, move_back, read_lifetime, read_time

HOUR = 3600


@pytest.fixture
def subject() -> str:
    return uuid4().hex


def test_take_turn_lets_as_many_pass_as_the_limit_says(subject: str) -> None:
    for number in range(3):
        take_turn([Limit(subject, 3)], thing=f"order {number}", seconds=HOUR)

    with pytest.raises(LimitReached) as refused:
        take_turn([Limit(subject, 3)], thing="order 3", seconds=HOUR)

    assert HOUR - 10 < refused.value.retry_after <= HOUR
    assert read_turns([subject], seconds=HOUR)[subject].keys() == {"order 0", "order 1", "order 2"}


def test_take_turn_counts_the_same_thing_once_and_never_refuses_it(subject: str) -> None:
    for _ in range(5):
        take_turn([Limit(subject, 1)], thing="order", seconds=HOUR)

    assert read_turns([subject], seconds=HOUR)[subject].keys() == {"order"}


def test_take_turn_counts_under_every_limit_or_under_none(subject: str) -> None:
    take_turn([Limit(subject, 1)], thing="first", seconds=HOUR)
    wide = f"{subject}-wide"

    with pytest.raises(LimitReached):
        take_turn([Limit(wide, 9), Limit(subject, 1)], thing="second", seconds=HOUR)

    assert read_turns([wide], seconds=HOUR) == {wide: {}}


def test_take_turn_with_no_limit_counts_and_lets_all_pass(subject: str) -> None:
    for number in range(20):
        take_turn([Limit(subject, 0)], thing=str(number), seconds=HOUR)

    assert len(read_turns([subject], seconds=HOUR)[subject]) == 20


def test_take_turn_again_does_not_prolong_the_wait(subject: str) -> None:
    take_turn([Limit(subject, 1)], thing="order", seconds=HOUR)
    done = read_time(subject, "order")

    take_turn([Limit(subject, 1)], thing="order", seconds=HOUR)

    assert read_time(subject, "order") == done


def test_of_two_full_windows_the_longer_wait_is_told(subject: str) -> None:
    later, limits = f"{subject}-later", [Limit(f"{subject}-later", 1), Limit(subject, 1)]
    take_turn([Limit(subject, 1)], thing="first", seconds=HOUR)
    move_back(subject, "first", seconds=HOUR / 2)
    take_turn([Limit(later, 1)], thing="second", seconds=HOUR)

    for order in (limits, limits[::-1]):
        with pytest.raises(LimitReached) as refused:
            take_turn(order, thing="third", seconds=HOUR)
        assert HOUR / 2 + 60 < refused.value.retry_after <= HOUR


def test_a_limit_lowered_below_what_was_done_waits_until_enough_of_it_has_left(subject: str) -> None:
    for number, ago in enumerate([3000, 2000, 1000]):
        take_turn([Limit(subject, 3)], thing=str(number), seconds=HOUR)
        move_back(subject, str(number), seconds=ago)

    with pytest.raises(LimitReached) as refused:
        take_turn([Limit(subject, 1)], thing="3", seconds=HOUR)

    assert HOUR - 1000 - 60 < refused.value.retry_after <= HOUR - 1000


def test_what_was_counted_is_forgotten_by_redis_after_its_window(subject: str) -> None:
    take_turn([Limit(subject, 1)], thing="order", seconds=HOUR)

    assert 0 < read_lifetime(subject) <= HOUR


def test_what_has_left_the_window_is_not_read_although_nothing_has_come_since(subject: str) -> None:
    for number in range(2):
        take_turn([Limit(subject, 2)], thing=str(number), seconds=HOUR)
    move_back(subject, "0", seconds=HOUR + 1)

    assert read_turns([subject], seconds=HOUR)[subject].keys() == {"1"}


def test_a_turn_that_is_given_back_is_free_under_every_limit(subject: str) -> None:
    wide = f"{subject}-wide"
    for thing in ("first", "second"):
        take_turn([Limit(subject, 2), Limit(wide, 0)], thing=thing, seconds=HOUR)

    give_turn_back([subject, wide], thing="first")
    give_turn_back([subject, wide], thing="never counted")

    turns = read_turns([subject, wide], seconds=HOUR)
    assert [things.keys() for things in turns.values()] == [{"second"}, {"second"}]
    take_turn([Limit(subject, 2)], thing="third", seconds=HOUR)


def test_a_thing_that_is_taken_twice_counts_until_it_is_given_back_twice(subject: str) -> None:
    wide = f"{subject}-wide"
    take_turn([Limit(subject, 1)], thing="order", seconds=HOUR)
    take_turn([Limit(subject, 1), Limit(wide, 1)], thing="order", seconds=HOUR)

    give_turn_back([subject, wide], thing="order")

    turns = read_turns([subject, wide], seconds=HOUR)
    assert [things.keys() for things in turns.values()] == [{"order"}, set()]
    with pytest.raises(LimitReached):
        take_turn([Limit(subject, 1)], thing="another", seconds=HOUR)

    give_turn_back([subject], thing="order")

    assert read_turns([subject], seconds=HOUR) == {subject: {}}
    assert find_keys(subject) == set()
    take_turn([Limit(subject, 1)], thing="another", seconds=HOUR)


def test_what_is_taken_once_has_no_key_of_its_own_and_what_is_taken_twice_has_one_for_the_window(subject: str) -> None:
    take_turn([Limit(subject, 1)], thing="order", seconds=HOUR)
    assert find_keys(subject) == {key_of(subject)}

    take_turn([Limit(subject, 1)], thing="order", seconds=HOUR)

    assert find_keys(subject) == {key_of(subject), key_of(f"{subject}:others:order")}
    assert 0 < read_lifetime(f"{subject}:others:order") <= HOUR


@pytest.mark.django_db(transaction=True)  # each thread of the race opens a connection
def test_of_many_at_once_that_take_the_same_thing_one_keeps_it(subject: str) -> None:
    def take(*, keep: bool) -> None:
        take_turn([Limit(subject, 1)], thing="order", seconds=HOUR)
        if not keep:
            give_turn_back([subject], thing="order")

    results = race([partial(take, keep=number == 7) for number in range(20)])

    assert results == [None] * 20
    assert find_keys(subject) == {key_of(subject)}
    assert read_turns([subject], seconds=HOUR)[subject].keys() == {"order"}


def test_a_turn_is_free_again_as_soon_as_the_first_one_is_old_enough(subject: str) -> None:
    take_turn([Limit(subject, 1)], thing="first", seconds=1)
    with pytest.raises(LimitReached) as refused:
        take_turn([Limit(subject, 1)], thing="second", seconds=1)

    time.sleep(refused.value.retry_after)

    take_turn([Limit(subject, 1)], thing="second", seconds=1)
    assert read_turns([subject], seconds=1)[subject].keys() == {"second"}


@pytest.mark.django_db(transaction=True)  # each thread of the race opens a connection
def test_of_many_at_once_as_many_pass_as_the_limit_says(subject: str) -> None:
    takes = [partial(take_turn, [Limit(subject, 5)], thing=str(number), seconds=HOUR) for number in range(20)]

    results = race(takes)

    assert sum(result is None for result in results) == 5
    assert len(read_turns([subject], seconds=HOUR)[subject]) == 5


def test_of_ipv6_the_network_is_limited() -> None:
    assert find_network("2001:db8:1:2:3:4:5:6") == find_network("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert find_network("fe80::1%eth0") == "fe80::/64"
    assert find_network("::1") == "::/64"
    assert find_network("192.0.2.1") == "192.0.2.1"
