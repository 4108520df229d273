"""Which orders are taken up again: those that are stuck, and those that a dead worker may have held."""

import random
from datetime import datetime, timedelta
from math import inf
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from database_errors import limit_lock_wait
from orders.models import Order, OrderEvent
from orders.querysets import OrderQuerySet
from payments.models import Payment

Kind = OrderEvent.Kind

# A worker that starts takes up only orders that were swept less often than this, by whomever. Later, their pauses are
# the sweep's: such an order may be what kills the worker, and each start would take it up at once.
REPAIRS = 3
# The provider may still be busy with the request of the process that died, and says no more than that.
ASK_AGAIN_AFTER = 3.0  # seconds


class Claim(NamedTuple):
    """An order that the sweep has taken up."""

    code: str
    expired: bool  # past its deadline: its payment is to be cancelled
    pause: float  # seconds to its next sweep


def claim_stuck_orders(*, limit: int = 100) -> list[Claim]:
    """Claim up to `limit` stuck orders, oldest first, and set the time of their next sweep. Claims are committed.

    No two callers get the same order. While only the customer is waited for, who has to act at the bank, nothing is
    counted: that is no trouble. An order that was swept more than ORDER_MAX_SWEEPS times needs review. The sweep
    still takes it up, rarely, because its payment may be answered one day. If finalizing it has failed as often, the
    sweep gives it up and leaves it to a person: each attempt may kill a worker.
    """
    with transaction.atomic():
        limit_lock_wait()
        return _claim_orders(Order.objects.stuck().order_by("sweep_after"), limit)


def claim_lost_orders(*, limit: int = 200) -> list[Claim]:
    """Claim orders that a dead worker may have held, up to `limit` of each kind. Claims are committed.

    The kinds: whoever asked the provider is gone; the provider has answered, and the order has no end; the payment was
    never sent. Of the last two the oldest are claimed: queues are first in, first out, so what a dead worker had
    fetched is older than what still waits. An order that still waits in a queue is published twice, which does no harm.
    A claim counts as a sweep. A second caller within LOST_AFTER gets none of these orders, unless both call at the very
    same moment.
    """
    long_ago = Now() - timedelta(seconds=settings.LOST_AFTER)
    just_swept = OrderEvent.objects.filter(order=OuterRef("pk"), kind=Kind.SWEPT, created_at__gte=long_ago)
    repairs = min(REPAIRS, settings.ORDER_MAX_SWEEPS)
    pending = Order.objects.pending().filter(~Exists(just_swept), sweeps__lt=repairs)
    asked = pending.filter(payment__status__in=Payment.ASKED, payment__in_flight_until__lte=Now())
    answered = pending.answered().filter(payment__answered_at__lt=long_ago)
    unsent = pending.filter(payment__in=Payment.objects.unsent(), created_at__lt=long_ago)
    with transaction.atomic():
        limit_lock_wait()
        return [
            *_claim_orders(asked.order_by("payment__in_flight_until"), limit, longest=ASK_AGAIN_AFTER),
            *_claim_orders(answered.order_by("payment__answered_at"), limit),
            *_claim_orders(unsent.order_by("created_at"), limit),
        ]


def _claim_orders(orders: OrderQuerySet, limit: int, *, longest: float = inf) -> list[Claim]:
    """`longest` is the most seconds to their next sweep."""
    free = orders.select_related("payment").select_for_update(skip_locked=True, of=("self",)).annotate(now=Now())
    claims = (_claim_order(order, order.now, longest) for order in free[:limit])  # type: ignore[attr-defined]
    return [claim for claim in claims if claim]


def _claim_order(order: Order, now: datetime, longest: float) -> Claim | None:
    if order.payment.waits_for_action and order.expires_at > now:
        return _claim_waiting_order(order, now)
    order.sweeps += 1
    order.sweep_after = now + _next_pause(order, now, longest)
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


def _claim_waiting_order(order: Order, now: datetime) -> Claim:
    """Ask again what has become of it, in case that nobody tells: as often as of an order that is swept and counted."""
    acting = (now - (order.payment.action_required_at or now)).total_seconds()
    pause = min(max(acting, settings.SWEEP_AFTER), settings.SWEEP_AFTER_MAX, (order.expires_at - now).total_seconds())
    order.sweep_after = now + timedelta(seconds=pause)
    order.save(update_fields=["sweep_after"])
    return Claim(order.code, False, pause)


def _rests(order: Order) -> bool:
    """Whether there is nothing to do before the deadline: the customer pays unasked, and no declined card is open."""
    return order.payment.waits_for_money and not Payment.objects.unclosed().filter(reference=order.code).exists()


def _next_pause(order: Order, now: datetime, longest: float) -> timedelta:
    pause = min(settings.SWEEP_AFTER * 2 ** min(order.sweeps - 1, 30), settings.SWEEP_AFTER_MAX)
    pause *= random.uniform(0.75, 1.25)  # noqa: S311 - so that they don't all come back at once
    pause = min(pause, longest)
    # The deadline, and the end of a hold, do not wait for a long pause to end.
    deadline = min(order.held_until or order.expires_at, order.expires_at)
    left = (deadline - now).total_seconds()
    if left > 0:
        pause = left if _rests(order) else min(pause, left)
    elif order.sweep_after and order.sweep_after <= deadline:
        # The first cancel may meet a charge in flight, or a lock.
        pause = min(pause, settings.SWEEP_AFTER)
    return timedelta(seconds=pause)
