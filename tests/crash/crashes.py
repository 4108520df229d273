"""Every crash of the matrix: an order on its way to a point, with a good card, or where it matters a declined one."""

from dataclasses import dataclass

from tests.crash.drill import DECLINED, DROPPED, VISA
from tests.crash.points import BY_NAME, CHARGED, CLOSED, POINTS, Left, Point
from tests.crash.stories import BY_STAFF, EXPIRED, PAID, REFUSED

UNPAID = {
    "succeeded": "requires_payment_method",
    "SUCCEEDED": "DECLINED",
    "CONFIRMED": "CANCELLED",
    "DEDUCTED RESERVED": "RELEASED RESERVED",
}


@dataclass(frozen=True)
class Crash:
    """The point at which an order's process is killed, what is left there, and how the order ends all the same."""

    point: Point
    end: tuple[str, str]
    left: Left
    name: str = ""
    payment_method: str = VISA
    hold: int = 0  # seconds after a decline
    after: tuple[str, ...] = ()

    @property
    def refunds(self) -> bool:
        """Whether the confirmed order is refunded."""
        return self.point.name.startswith("refund.")

    def __str__(self) -> str:
        return "-".join(filter(None, [self.point.name, self.name]))


def accept(point: Point) -> Crash:
    end = PAID
    if point.name.startswith("expiry."):
        end = EXPIRED
    elif point.name == "cancel.committed":
        end = BY_STAFF
    elif point.name.startswith("again."):
        return Crash(point, PAID, point.left, "", DECLINED, hold=600)
    elif point.name.startswith("held."):
        hold = 600 if point.name == "held.over" else 2
        return Crash(point, REFUSED, point.left, "", DECLINED, hold=hold)
    method = DROPPED if point.name.startswith("webhook.") else VISA
    return Crash(point, end, point.left, payment_method=method, after=point.after)


def decline(name: str) -> Crash:
    point = BY_NAME[name]
    left = Left(*(UNPAID.get(state or "", state) for state in point.left))
    return Crash(point, REFUSED, left, "declined", DECLINED)


def expire_charged(name: str) -> Crash:
    """The order is past its deadline, but the provider already has the money, so it is confirmed."""
    return Crash(BY_NAME[name], PAID, CHARGED, "charged", after=("charge.unread",))


CRASHES = [
    *map(accept, POINTS),
    *map(decline, ["charge.unread", "charge.answered", "charge.recorded"]),
    *map(decline, ["finalize.unwritten", "finalize.written", "finalize.committed"]),
    *map(expire_charged, ["expiry.before-fence", "expiry.fenced", "expiry.closed"]),
    Crash(BY_NAME["expiry.closed"], EXPIRED, CLOSED, "declined", DECLINED, after=("charge.unread",)),
]
