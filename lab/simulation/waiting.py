"""Waits until the database counts nothing more of what is awaited."""

import time
from collections.abc import Callable

from django.db import Error, close_old_connections

from database_errors import is_passing

EVERY = 0.5  # seconds


def wait_for_none(count: Callable[[], int], *, timeout: float) -> int:
    """Ask the database until it counts none, at most `timeout` seconds; return its last count.

    Goes on when the database restarts meanwhile. Raises its error if it has never answered.
    """
    left: int | None = None
    deadline = time.monotonic() + timeout
    while True:
        is_over = time.monotonic() >= deadline
        try:
            left = count()
        except Error as error:
            if not is_passing(error) or (is_over and left is None):
                raise
            close_old_connections()
        if left == 0 or (is_over and left is not None):
            return left
        time.sleep(EVERY)
