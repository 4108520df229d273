"""Says which database errors pass, repeats what met one, and limits how long a task waits for a lock."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import psycopg
import structlog
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import Error, InterfaceError, OperationalError, connection
from django.db.backends.utils import CursorWrapper

from spans import span

logger = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")

RETRY_AFTER = 5  # seconds that clients are told to wait
DATABASE_PATIENCE = 30.0  # seconds
LOCK_TIMEOUT = 500  # milliseconds; buyers of the same product wait for each other for less

# Two digits are a class, five a single code: https://www.postgresql.org/docs/current/errcodes-appendix.html
PASSING = (
    "08",  # the connection broke, or there is none
    "25006",  # read-only: a primary that was demoted
    "25P03",  # the transaction was idle for too long: its process had been frozen
    "40",  # rolled back: a deadlock, a serialization failure
    "53",  # too many connections, no memory, a full disk
    "55",  # somebody holds the lock
    "57",  # a statement took too long; the server shuts down, or starts
)
# Of those: nobody can read or write, until the server is back or another one is the primary.
LOST = ("08", "25006", "53300", "57P")
LIMIT = "SELECT set_config('lock_timeout', %s, true)"
LOCK_NOT_AVAILABLE = "55P03"


def is_passing(error: BaseException) -> bool:
    """Whether a repeat can succeed. What has no SQLSTATE, such as a refused connection, counts as class 08."""
    return _find_sqlstate(error).startswith(PASSING)


def is_database_lost(error: BaseException) -> bool:
    """Whether there is no session, or none that can write: the same for every statement, whatever it says."""
    return _find_sqlstate(error).startswith(LOST)


def is_lock_held(error: BaseException) -> bool:
    """Whether somebody else held a lock for longer than we wait for it."""
    return any(getattr(reason, "sqlstate", None) == LOCK_NOT_AVAILABLE for reason in _find_reasons(error))


def describe(error: BaseException) -> str:
    """Return the database's words in one line, for a log."""
    return " ".join(str(next(_find_reasons(error), error)).split())


def limit_lock_wait() -> None:
    """Until the end of the transaction, wait for a lock only for LOCK_TIMEOUT: other orders wait for us meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(LIMIT, [str(LOCK_TIMEOUT)])


def execute_impatiently(cursor: CursorWrapper, statement: str, parameters: Sequence[Any] | Mapping[str, Any]) -> None:
    """Execute one statement with limit_lock_wait, in a transaction of its own that is committed on return.

    Both go in one round trip. PostgreSQL takes the statements of a pipeline for one transaction. It reads the second
    once the first was executed, so the limit holds for locks on tables, too. After an error the session is closed:
    psycopg believes that a statement which failed in a pipeline was prepared.
    """
    session = cursor.connection
    try:
        with span("execute_impatiently"), connection.wrap_database_errors, session.pipeline():
            cursor.execute(LIMIT, [str(LOCK_TIMEOUT)])
            cursor.execute(statement, parameters)
    except Error:
        session.close()
        raise


def run_again_if_lost(run: Callable[[], T]) -> T:
    """Run it. If the database is lost meanwhile, wait for it and run it once more, from its beginning.

    For a task, which would otherwise fail with a whole queue behind it, and for what is known nowhere else. Raises what
    the second run raises, or what is no loss of the database.
    """
    try:
        return run()
    except Error as error:
        if not is_database_lost(error):
            raise
        logger.warning("waiting for the database", reason=describe(error))
    wait_for_database()
    return run()


def wait_for_database() -> None:
    """Return once the database can be written to, or after DATABASE_PATIENCE seconds."""
    deadline = time.monotonic() + DATABASE_PATIENCE
    while time.monotonic() < deadline:
        try:
            connection.ensure_connection()
            if connection.is_usable():
                return
        except OperationalError:
            pass
        connection.close()
        time.sleep(0.5)


def _find_sqlstate(error: BaseException) -> str:
    for reason in _find_reasons(error):
        if isinstance(reason, psycopg.Error) and reason.sqlstate:
            return reason.sqlstate
        if isinstance(reason, psycopg.OperationalError | psycopg.InterfaceError | OperationalError | InterfaceError):
            return "08"
    return ""


def _find_reasons(error: BaseException | None) -> Iterator[BaseException]:
    """Yield psycopg's error, then Django's. If a session can't be saved, Django hides both behind errors of its own."""
    if isinstance(error, SessionInterrupted | UpdateError):
        yield from _find_reasons(error.__context__)
    elif isinstance(error, Error | psycopg.Error):
        yield from _find_reasons(error.__cause__)
        yield error
