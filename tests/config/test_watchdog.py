"""A worker ends when it takes nothing any more, and not because it is busy, slow to start, or was frozen."""

import pytest
from django.conf import LazySettings

from config.watchdog import SLOW_START, Pulse

NEVER = 1e9  # seconds


@pytest.fixture
def pulse(settings: LazySettings) -> Pulse:
    settings.WORKER_TIMEOUT = 5
    pulse = Pulse()
    pulse.beat()
    return pulse


def count_ticks(pulse: Pulse, most: int = 100) -> int:
    """How many ticks it lives; at most so many are counted."""
    return next((tick for tick in range(1, most) if pulse.tick()), most)


def test_a_worker_that_reads_no_queue_ends(pulse: Pulse) -> None:
    assert count_ticks(pulse) == 5


def test_an_empty_queue_is_a_sign_of_life(pulse: Pulse) -> None:
    for _ in range(20):
        pulse.beat()
        assert not pulse.tick()


def test_a_running_task_does_not_count_against_its_worker(pulse: Pulse) -> None:
    pulse.start_task("1", "charge", NEVER)

    assert count_ticks(pulse) == 100


def test_a_worker_has_its_whole_time_again_after_a_task(pulse: Pulse) -> None:
    pulse.start_task("1", "charge", NEVER)
    count_ticks(pulse, most=50)
    pulse.end_task("1")

    assert count_ticks(pulse) == 5


def test_a_task_that_runs_longer_than_its_limit_ends_its_worker_whatever_else_runs(pulse: Pulse) -> None:
    pulse.start_task("1", "charge", NEVER)
    pulse.start_task("2", "audit", 8)
    ticks = [pulse.tick() for _ in range(8)]

    assert ticks == [""] * 7 + ["audit ran longer than its time limit"]


def test_a_worker_that_starts_slowly_is_given_time(settings: LazySettings) -> None:
    settings.WORKER_TIMEOUT = 5

    assert count_ticks(Pulse()) == SLOW_START + 5
