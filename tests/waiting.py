"""Waits until something has come, on a machine that may be slow, while its database may restart."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psycopg

T = TypeVar("T")
PATIENCE = 90  # seconds; nothing takes that long, but a machine may be slow


def wait_for(condition: Callable[[], T | None], what: str | Callable[[], str], *, seconds: float = PATIENCE) -> T:
    """Return the condition's first value that is true. `what` is in the error that says it never came."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(psycopg.OperationalError):  # the database is restarting
            if found := condition():
                return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what if isinstance(what, str) else what()}")
        time.sleep(0.05)


def wait_for_workers(*logs: Path, seconds: float = PATIENCE) -> None:
    """Wait until each worker says in its log that it takes tasks."""
    wait_for(lambda: all("ready." in log.read_text() for log in logs), f"the workers of {logs}", seconds=seconds)
