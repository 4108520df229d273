"""The laws of queues, against values that are known: from tables, and from a queue that is simulated."""

import random
from heapq import heappop, heappush
from math import inf

import pytest

from lab.growth.laws import capacity, chance_to_wait, in_progress, mean_wait


@pytest.mark.parametrize(
    ("load", "servers", "chance"), [(1.0, 2, 1 / 3), (2.0, 3, 4 / 9), (0.5, 1, 0.5), (8.0, 10, 0.4092)]
)
def test_the_chance_to_wait_is_that_of_erlangs_tables(load: float, servers: int, chance: float) -> None:
    assert chance_to_wait(rate=load, seconds=1, servers=servers) == pytest.approx(chance, abs=1e-4)


def test_whoever_comes_to_too_few_servers_waits_without_end() -> None:
    assert chance_to_wait(rate=3, seconds=1, servers=3) == 1
    assert mean_wait(rate=3, seconds=1, servers=3) == inf


def test_a_server_that_always_takes_as_long_halves_the_wait() -> None:
    by_chance = mean_wait(rate=0.5, seconds=1, servers=1)

    assert by_chance == pytest.approx(1.0)
    assert mean_wait(rate=0.5, seconds=1, servers=1, variation=0) == pytest.approx(by_chance / 2)


def test_hundreds_of_servers_lose_no_digits() -> None:
    assert 0 < chance_to_wait(rate=533, seconds=1, servers=560) < 1


def test_the_mean_wait_is_that_of_a_simulated_queue() -> None:
    chance, free, now, waited = random.Random(7), [0.0, 0.0, 0.0], 0.0, 0.0
    for _ in range(40_000):
        now += chance.expovariate(1.5)
        begun = max(now, heappop(free))
        waited += begun - now
        heappush(free, begun + chance.expovariate(1.0))

    assert waited / 40_000 == pytest.approx(mean_wait(rate=1.5, seconds=1, servers=3), rel=0.1)


def test_at_capacity_every_server_is_held() -> None:
    most = capacity(seconds=0.3, servers=48)

    assert most == pytest.approx(160)
    assert in_progress(rate=most, seconds=0.3) == pytest.approx(48)
