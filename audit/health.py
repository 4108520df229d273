"""The probes of load balancers: /healthz says that a web process answers, /readyz that it can take orders."""

from collections.abc import Callable
from functools import cache
from math import inf
from threading import Lock
from time import monotonic

import structlog
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from audit.broker import open_broker
from audit.database import find_unapplied_migrations
from audit.liveness import check_liveness

logger = structlog.stdlib.get_logger(__name__)

KEPT_FOR = 1  # second
TOO_OLD = 10  # seconds beyond it: then a database hangs, and nobody says any more that all is well


class UnappliedMigrations(Exception):
    """The database lacks migrations of this code."""


class NobodyAtWork(Exception):
    """Scheduled tasks are late, or orders wait for longer than they may."""


def answer_probes(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Answer probes before anything else sees them: they come by IP address and without TLS. A middleware."""

    def middleware(request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path_info)
        return probe() if probe else get_response(request)

    return middleware


def answer_health() -> HttpResponse:
    """Status 200, with nothing else asked: a process that can't say so has to be started again."""
    return JsonResponse({"status": "ok"})


def answer_readiness() -> HttpResponse:
    """Status 200 if this process can take orders, 503 if it can't; and what else is ill, for people to read.

    It takes orders while the broker or every worker is away: their rows wait. So those two don't count, or a load
    balancer would close the shop for nothing. Whoever asks often is told what was found within KEPT_FOR seconds.
    """
    parts = examination.read()
    words = {name: "ok" if fine else "failing" for name, fine in parts.items()}
    ready = parts["migrations"]
    return JsonResponse({"status": "ok" if ready else "failing", **words}, status=200 if ready else 503)


def examine() -> dict[str, bool]:
    """Whether each part works. Without the database nothing is known of migrations and workers: they count as ill."""
    database = passes(ask_database)
    migrated = database and passes(ask_migrations)
    return {
        "database": database,
        "migrations": migrated,
        "broker": passes(ask_broker),
        "workers": migrated and passes(ask_workers),
    }


class Examination:
    """What was found last. One thread finds out: a crowd that asks would take all threads from the customers."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[str, bool] = {}
        self._until = -inf  # by the monotonic clock

    def read(self) -> dict[str, bool]:
        """Find out, unless it was done within KEPT_FOR seconds, or is being done and takes no longer than TOO_OLD."""
        now = monotonic()
        if now >= self._until and self._lock.acquire(blocking=now >= self._until + TOO_OLD):
            try:
                if monotonic() >= self._until:  # or somebody else did it while we waited
                    self._found, self._until = examine(), monotonic() + KEPT_FOR
            finally:
                self._lock.release()
        return self._found


examination = Examination()
PROBES = {"/healthz": answer_health, "/readyz": answer_readiness}


def passes(ask: Callable[[], None]) -> bool:
    """Whether it raises nothing. Otherwise the log says why, and strangers don't."""
    try:
        ask()
    except Exception as error:  # whatever it is, the answer is no
        logger.warning("a part is not ready", part=ask.__name__, reason=f"{type(error).__name__}: {error}")
        return False
    return True


def ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@cache  # what is applied stays so; an exception is not remembered
def ask_migrations() -> None:
    """Raises UnappliedMigrations: this code came before its `manage.py migrate`."""
    if missing := find_unapplied_migrations():
        raise UnappliedMigrations(", ".join(missing))


def ask_broker() -> None:
    with open_broker():
        pass


def ask_workers() -> None:
    """Raises NobodyAtWork, by the marks that beat and the workers leave in the database."""
    if troubles := check_liveness().troubles:
        raise NobodyAtWork(" ".join(troubles))
