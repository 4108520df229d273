"""Whoever waits for the database to count nothing more outlives its restart, and says what is left."""

from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError, ProgrammingError

from lab.simulation import waiting
from lab.simulation.waiting import wait_for_none

pytestmark = pytest.mark.django_db(transaction=True)
GONE = OperationalError("the server closed the connection")


@pytest.fixture(autouse=True)
def _nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "EVERY", 0.01)


def answer(*answers: int | Exception) -> Callable[[], int]:
    """A count that answers so, one after the other."""
    left: Iterator[int | Exception] = iter(answers)

    def count() -> int:
        told = next(left)
        if isinstance(told, Exception):
            raise told
        return told

    return count


def test_it_asks_until_nothing_is_left_also_over_a_restart() -> None:
    assert wait_for_none(answer(2, GONE, GONE, 1, 0), timeout=60) == 0


def test_what_is_left_in_the_end_is_said() -> None:
    assert wait_for_none(answer(2), timeout=0) == 2


@pytest.mark.parametrize(("error", "timeout"), [(GONE, 0), (ProgrammingError("no such table"), 60)])
def test_an_error_is_raised_that_does_not_pass_or_that_is_all_there_is(error: Exception, timeout: float) -> None:
    with pytest.raises(type(error)):
        wait_for_none(answer(error), timeout=timeout)
