"""The events of all orders in one order that never changes, which a reader follows by a cursor.

An event gets its id while its transaction is open, so a smaller id may appear after a larger one. A reader who had
passed it would never see it. So nobody reads further than the horizon: up to it, every id can be seen or will never be
there. See docs/adr/0034-events-are-read-up-to-a-horizon.md.
"""

import time
from collections.abc import Collection

from django.db import connection
from django.db.models import Max

from events_out.event_types import list_kinds
from events_out.models import Horizon
from orders.models import OrderEvent

WAIT = 0.1  # seconds for those who are writing events; most are done within milliseconds
LOOK_EVERY = 0.02  # seconds
SKIPPED = 1_000_000  # ids: more events than any hole between a backup and its restore has

# Whoever writes an event holds this lock from before its id is drawn until its transaction is over and can be seen.
WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE relation = 'orders_orderevent'::regclass AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pid IS DISTINCT FROM pg_backend_pid()
"""
MOVE = """
UPDATE events_out_horizon
SET readable_through = greatest(readable_through, %(through)s), candidate = %(candidate)s, writers = %(writers)s
RETURNING readable_through
"""
SKIP = """
SELECT setval(sequence, nextval(sequence) + %(skipped)s, false)
FROM CAST(pg_get_serial_sequence('orders_orderevent', 'id') AS regclass) AS sequence
"""


def list_events(*, after: int = 0, limit: int = 100, types: Collection[str] = ()) -> list[OrderEvent]:
    """Up to `limit` events with a larger id, in their order, each with its order; of these types, or of all.

    The id of the last one is the next `after`. An event that is not returned yet never has an id below one that was.
    Events of one order are in the order in which they happened.
    """
    events = OrderEvent.objects.filter(kind__in=list_kinds(types), pk__gt=after, pk__lte=read_horizon())
    return list(events.select_related("order").prefetch_related("order__lines").order_by("pk")[:limit])


def read_horizon() -> int:
    """Every event up to this id can be seen, or will never be there."""
    return Horizon.objects.values_list("readable_through", flat=True).first() or 0


def move_horizon() -> int:
    """Move the horizon up to the newest event that nobody can get before any more. Return where it is.

    Where somebody who writes an event takes longer than WAIT, the newest event is a candidate, and a later call moves
    the horizon up to it. PostgreSQL ends whoever takes long, so that is soon, however many write meanwhile.
    """
    horizon, _ = Horizon.objects.get_or_create(pk=1)
    newest = OrderEvent.objects.aggregate(newest=Max("pk"))["newest"] or 0
    if newest <= horizon.readable_through or not _read_writers().isdisjoint(horizon.writers):
        return horizon.readable_through
    writers = _wait_for_writers()
    through = horizon.candidate if writers else newest
    with connection.cursor() as cursor:
        cursor.execute(MOVE, {"through": through, "candidate": newest, "writers": sorted(writers)})
        return int(cursor.fetchone()[0])


def skip_ids() -> int:
    """Let new events have ids beyond those of the events that a restored database has lost. Return the next id.

    Readers and endpoints were told of the lost ones, so they would take new ones with the same ids for known.
    """
    with connection.cursor() as cursor:
        cursor.execute(SKIP, {"skipped": SKIPPED})
        return int(cursor.fetchone()[0])


def _wait_for_writers() -> set[str]:
    """Who is writing an event now, and is not done within WAIT. Those who begin meanwhile don't matter."""
    deadline = time.monotonic() + WAIT
    writers = _read_writers()
    while writers and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
        writers &= _read_writers()
    return writers


def _read_writers() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(WRITERS)
        return {name for (name,) in cursor.fetchall()}
