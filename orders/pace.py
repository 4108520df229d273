"""How many orders the shop can end: what it did in the last seconds, and whether any order waits for it."""

from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from orders.models import Order

LATELY = 5  # seconds
LATE = 3  # seconds after which an order that nobody has come to is late
LONG_AGO = 60  # seconds; what is older is a matter for the sweep
GROWTH = 2  # times what the shop has shown that it can do, to find out whether it can do more


def measure_pace() -> float:
    """The visitors a second that may go to the checkout, from the orders that were confirmed lately.

    While the shop keeps up, it may be given twice as many, and WAITING_ROOM_LEAST beside. Once orders wait for it, it
    is given as many as it ends. Raises a database error.
    """
    confirmed = Order.objects.filter(
        status=Order.Status.CONFIRMED, finalized_at__gt=Now() - timedelta(seconds=LATELY)
    ).count()
    done = confirmed / LATELY
    pace = done if _is_behind() else GROWTH * done + settings.WAITING_ROOM_LEAST
    return max(settings.WAITING_ROOM_LEAST, min(pace, settings.WAITING_ROOM_MOST))


def _is_behind() -> bool:
    since, until = Now() - timedelta(seconds=LONG_AGO), Now() - timedelta(seconds=LATE)
    return Order.objects.waiting_for_us().filter(created_at__gt=since, created_at__lt=until).exists()
