"""How long the orders of a chaos run took to their end, and whether that is within the bound."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from django.db import connection

# Seconds within which every order has to be final: after its deadline, even while strikes go on; and after its deadline
# or the end of the last strike, whichever is later.
PAST_DEADLINE_AT_MOST = 120.0
AFTER_STRIKES_AT_MOST = 60.0

WAITS = """
SELECT percentile_cont(ARRAY[0.5, 0.95, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM finalized_at - created_at))
FROM orders_order WHERE starts_with(checkout_key, %s) AND finalized_at IS NOT NULL
"""

# An order that is not final yet counts as if it ended now.
LATENESS = """
SELECT max(extract(epoch FROM coalesce(finalized_at, now()) - expires_at)),
    max(extract(epoch FROM coalesce(finalized_at, now()) - greatest(expires_at, %s)))
FROM orders_order WHERE starts_with(checkout_key, %s)
"""


class Lateness(NamedTuple):
    """Of the latest order, in seconds."""

    past_deadline: float
    after_strikes: float


def measure_waits(run: str) -> dict[str, float]:
    with connection.cursor() as cursor:
        cursor.execute(WAITS, [f"{run}-"])
        waits = cursor.fetchone()[0] or (0, 0, 0)
    names = ("p50_seconds", "p95_seconds", "longest_wait_seconds")
    return {name: round(float(wait), 2) for name, wait in zip(names, waits, strict=True)}


def measure_lateness(run: str, well_at: datetime) -> Lateness:
    with connection.cursor() as cursor:
        cursor.execute(LATENESS, [well_at, f"{run}-"])
        return Lateness(*(round(max(float(seconds or 0), 0.0), 2) for seconds in cursor.fetchone()))


def describe_bound(lateness: Lateness) -> dict[str, float]:
    return {
        "past_deadline_at_most": PAST_DEADLINE_AT_MOST,
        "longest_past_deadline": lateness.past_deadline,
        "after_strikes_at_most": AFTER_STRIKES_AT_MOST,
        "longest_after_strikes": lateness.after_strikes,
    }


def find_late(lateness: Lateness) -> Iterator[str]:
    if lateness.past_deadline > PAST_DEADLINE_AT_MOST:
        yield f"an order was not final {lateness.past_deadline} s past its deadline"
    if lateness.after_strikes > AFTER_STRIKES_AT_MOST:
        yield f"an order was not final {lateness.after_strikes} s after the last strike and its deadline"
