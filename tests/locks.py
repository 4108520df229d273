"""What others do to the test's database meanwhile: hold a lock, end our session, make it read-only."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def holding(statement: str, *parameters: str | int, our_patience: str = "200ms") -> Iterator[None]:
    """Somebody else's transaction has done this, and stays open; we wait so long for its locks, unless we wait less."""
    other = connection.copy()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [our_patience])
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(statement, parameters)
        yield
    finally:
        other.rollback()
        other.close()
        connection.close()


def end_our_session() -> None:
    """As an administrator does, or a PostgreSQL that shuts down. We hear of it at our next query."""
    pid = our_pid()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()


def make_our_session_read_only() -> None:
    """As on a primary that was demoted."""
    assert not transaction.get_connection().in_atomic_block
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")


def our_pid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def is_waiting(count: int = 1) -> bool:
    """Whether so many sessions of this database wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0] >= count)
