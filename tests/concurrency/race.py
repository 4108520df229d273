"""Threads that start at the same moment, each with a database connection of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

from django.db import connection


def close_after(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call, for a thread: it returns what it raises, and closes its connection."""

    def run() -> Any:
        try:
            return call()
        except Exception as error:
            return error
        finally:
            connection.close()

    return run


def race(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the calls at the same time; return what each returned or raised."""
    barrier = Barrier(len(calls), timeout=30)

    def run(call: Callable[[], Any]) -> Any:
        connection.ensure_connection()
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as executor:
        return list(executor.map(lambda call: close_after(partial(run, call))(), calls))
