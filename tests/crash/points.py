"""Where in an order's life a process can be killed, what it leaves behind, and who repairs it: points.csv.

The rows follow an order's life. `after` names a point that has to kill first, or the order would not get there.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_suffix(".csv")

# The six places where a server can die, in the order of a checkout.
PLACES = {
    1: "before the stock check",
    2: "before the payment request",
    3: "inside the payment provider",
    4: "after payment, before the order is recorded",
    5: "before the stock is deducted",
    6: "while it is deducted",
}


class Left(NamedTuple):
    """What is left for everybody else to see when a process dies: committed rows, and the provider's ledger."""

    order: str | None
    payment: str | None = None
    stock: str | None = None  # the kinds of its movements
    provider: str | None = None  # the state of its payment intents
    refund: str | None = None
    given_back: str | None = None  # the state of its refunds at the provider


NOTHING = Left(None)
SOLD = ("CONFIRMED", "SUCCEEDED", "DEDUCTED RESERVED", "succeeded")
CHARGED = Left("PENDING", "SENT", "RESERVED", "succeeded")
ACTED = Left("PENDING", "ACTION_REQUIRED", "RESERVED", "succeeded")
ACTION_CLOSED = Left("PENDING", "ACTION_REQUIRED", "RESERVED", "canceled")
CLOSED = Left("PENDING", "SENT", "RESERVED", "canceled")
# The column `left`.
STATES = {
    "NOTHING": NOTHING,
    "PLACED": Left("PENDING", "PENDING", "RESERVED"),
    "SENT": Left("PENDING", "SENT", "RESERVED"),
    "CHARGED": CHARGED,
    "PAID": Left("PENDING", "SUCCEEDED", "RESERVED", "succeeded"),
    "CONFIRMED": Left(*SOLD),
    "REFUND_ASKED": Left(*SOLD, "REQUESTED"),
    "REFUND_GIVEN": Left(*SOLD, "REQUESTED", "succeeded"),
    "REFUND_KNOWN": Left(*SOLD, "SUCCEEDED", "succeeded"),
    "REFUNDED": Left("CONFIRMED", "SUCCEEDED", "DEDUCTED RESERVED RETURNED", "succeeded", "SUCCEEDED", "succeeded"),
    "FENCED": Left("PENDING", "SENT", "RESERVED", "requires_payment_method"),
    "CLOSED": CLOSED,
    "VOID": Left("PENDING", "CANCELLED", "RESERVED", "canceled"),
    "VOID_PENDING": Left("PENDING", "CANCELLED", "RESERVED"),
    "DECLINED": Left("PENDING", "DECLINED", "RESERVED", "requires_payment_method"),
    "NEXT": Left("PENDING", "PENDING", "RESERVED", "requires_payment_method"),
    "NEXT_CLOSED": Left("PENDING", "PENDING", "RESERVED", "canceled"),
    "NEXT_SENT": Left("PENDING", "SENT", "RESERVED", "canceled"),
    "NEXT_CHARGED": Left("PENDING", "SENT", "RESERVED", "canceled succeeded"),
    "NEXT_PAID": Left("PENDING", "SUCCEEDED", "RESERVED", "canceled succeeded"),
    "ASKING": Left("PENDING", "SENT", "RESERVED", "requires_action"),
    "ACTING": Left("PENDING", "ACTION_REQUIRED", "RESERVED", "requires_action"),
    "ACTED": ACTED,
    "ACTION_CLOSED": ACTION_CLOSED,
    "RELEASED": Left("CANCELLED", "CANCELLED", "RELEASED RESERVED"),
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """The moment before or after a function of the shop, in a process that runs it."""

    name: str
    place: int | None  # one of PLACES
    process: str  # web, payments, orders, webhooks or beat
    words: str
    moment: str  # before or after
    target: str  # the function
    left: Left
    proof: str  # the row by which the repair knows
    repair: str  # who repairs it
    after: tuple[str, ...]  # points that have to kill first


def read_points() -> list[Point]:
    with TABLE.open(newline="") as file:
        return [read_point(row) for row in csv.DictReader(file, strict=True)]


def read_point(row: dict[str, str]) -> Point:
    return Point(
        name=row["name"],
        place=int(row["place"]) if row["place"] else None,
        process=row["process"],
        words=row["words"],
        moment=row["moment"],
        target=row["target"],
        left=STATES[row["left"]],
        proof=row["proof"],
        repair=row["repair"],
        after=tuple(row["after"].split()),
    )


POINTS = read_points()
BY_NAME = {point.name: point for point in POINTS}
