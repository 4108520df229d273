"""How the sweep takes up stuck orders: it claims them, and each then goes the way that every order goes."""

import random
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from database_errors import limit_lock_wait
from orders.models import Order, OrderEvent

Kind = OrderEvent.Kind


class Claim(NamedTuple):
    """An order that the sweep has taken up."""

    code: str
    expired: bool  # past its deadline: its payment is to be cancelled
    pause: float  # seconds to its next sweep


def claim_stuck_orders(*, limit: int = 100) -> list[Claim]:
    """Claim up to `limit` stuck orders, oldest first, and set the time of their next sweep. Claims are committed.

    No two callers get the same order. An order that was swept more than ORDER_MAX_SWEEPS times needs review. The sweep
    still takes it up, rarely, because its payment may be answered one day. If finalizing it has failed as often, the
    sweep gives it up and leaves it to a person: each attempt may kill a worker.
    """
    with transaction.atomic():
        limit_lock_wait()
        stuck = Order.objects.stuck().select_related("payment").order_by("sweep_after")
        orders = stuck.select_for_update(skip_locked=True, of=("self",)).annotate(now=Now())[:limit]
        return [claim for order in orders if (claim := _claim_order(order, order.now))]  # type: ignore[attr-defined]


def _claim_order(order: Order, now: datetime) -> Claim | None:
    order.sweeps += 1
    order.sweep_after = now + _next_pause(order, now)
    if order.sweeps > settings.ORDER_MAX_SWEEPS:
        if not order.needs_review:
            order.needs_review = True
            order.review_reason = f"swept {settings.ORDER_MAX_SWEEPS} times: {order.payment.last_error or 'no end'}"
            order.add_event(Kind.REVIEW_NEEDED, reason=order.review_reason)
    else:
        order.add_event(Kind.SWEPT, sweep=order.sweeps)
    if order.needs_review and order.finalize_attempts >= settings.ORDER_MAX_SWEEPS:
        order.sweep_after = None
    order.save(update_fields=["sweeps", "sweep_after", "needs_review", "review_reason"])
    if order.sweep_after is None:
        return None
    return Claim(order.code, order.expires_at <= now, (order.sweep_after - now).total_seconds())


def _next_pause(order: Order, now: datetime) -> timedelta:
    pause = min(settings.SWEEP_AFTER * 2 ** min(order.sweeps - 1, 30), settings.SWEEP_AFTER_MAX)
    pause *= random.uniform(0.75, 1.25)  # noqa: S311 - so that they don't all come back at once
    # The deadline does not wait for a long pause to end.
    left = (order.expires_at - now).total_seconds()
    if left > 0:
        pause = min(pause, left)
    elif order.sweep_after and order.sweep_after <= order.expires_at:
        # The first cancel may meet a charge in flight, or a lock.
        pause = min(pause, settings.SWEEP_AFTER)
    return timedelta(seconds=pause)
