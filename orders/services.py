"""How an order ends: finalized by what its payment says, cancelled on request, or swept when nothing happens to it."""

import random
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Least, Now

from accounts.models import User
from catalog.services import deduct_stock, release_stock
from database_errors import is_lock_held, limit_lock_wait
from orders.models import Order, OrderEvent, OrderMail
from payments.models import Payment
from payments.services import request_cancel, resume_payment

Status = Order.Status
Reason = Order.CancelReason
Kind = OrderEvent.Kind


class Claim(NamedTuple):
    """An order that the sweep has taken up: whether it is past its deadline, and the seconds to its next sweep."""

    code: str
    expired: bool
    pause: float


class OrderIsFinal(Exception):
    """The order was confirmed or cancelled before: it can't be changed any more."""


class NothingToReview(Exception):
    """The order does not need review: somebody has looked at it before, or it never did."""


def finalize_order(*, code: str) -> Order:
    """Confirm or cancel a PENDING order as its payment says, and deduct or release its stock, in one transaction.

    A repeat, also one at the same time, changes nothing. An order whose payment has no answer yet is left as it is. Of
    an order that was swept, the attempt is counted before it is made. Raises OperationalError, having counted nothing,
    where somebody holds a lock on one of the rows: nobody waits behind it.
    """
    _count_finalize_attempt(code)
    try:
        return _finalize_order(code)
    except OperationalError as error:
        if is_lock_held(error):
            _forget_finalize_attempt(code)
        raise


def _finalize_order(code: str) -> Order:
    with transaction.atomic():
        limit_lock_wait()
        order = _lock_order(code)
        if order.status != Status.PENDING:
            return order
        # Read after the lock is held: a join would return the payment as it was before the wait.
        match Payment.objects.get(pk=order.payment_id).status:
            case Payment.Status.SUCCEEDED:
                deduct_stock(reference=code)
                _finish_order(order, Status.CONFIRMED, reason="")
            case Payment.Status.DECLINED:
                release_stock(reference=code)
                _finish_order(order, Status.CANCELLED, reason=Reason.CARD_DECLINED)
            case Payment.Status.CANCELLED:
                release_stock(reference=code)
                _finish_order(order, Status.CANCELLED, reason=order.cancel_reason or Reason.EXPIRED)
        return order


def cancel_order(*, code: str, reason: Order.CancelReason, actor: User | None = None, note: str = "") -> Order:
    """Cancel a PENDING order: at once if its payment was never sent, else by the sweep, which asks the provider.

    So the order may still end CONFIRMED, if the money was taken first; no charge begins any more. Staff's reason ends
    its review, and its sweeps are counted from zero. The note is for staff: it is kept in the event.
    Raises OrderIsFinal, having changed nothing.
    """
    with transaction.atomic():
        order = _lock_pending_order(code)
        if note or not order.cancel_reason:
            _add_event(order, Kind.CANCEL_REQUESTED, actor=actor, note=note, reason=reason)
        asked = {"cancel_reason": order.cancel_reason or reason, "expires_at": Least("expires_at", Now())}
        if reason == Reason.STAFF:
            _end_review(order, sweep_after=Now(), **asked)
        elif not order.cancel_reason:  # a customer's click ends no review, and a second one does not hasten the sweep
            _update_order(order, sweep_after=Now(), **asked)
        request_cancel(reference=code)
        return finalize_order(code=code)


def resume_order(*, code: str, actor: User | None = None, note: str = "") -> Order:
    """Let the sweep take up a PENDING order at once, with its sweeps counted from zero. Raises OrderIsFinal."""
    with transaction.atomic():
        order = _lock_pending_order(code)
        _end_review(order, sweep_after=Now())
        _add_event(order, Kind.RESUMED, actor=actor, note=note)
        return order


def mark_reviewed(*, code: str, actor: User, note: str) -> Order:
    """End the review of a PENDING order that a person has looked at: its sweeps are counted from zero.

    It goes on as before; one that the sweep had given up is swept again. Raises OrderIsFinal and NothingToReview,
    having changed nothing.
    """
    with transaction.atomic():
        order = _lock_pending_order(code)
        if not order.needs_review:
            raise NothingToReview(code)
        _end_review(order, sweep_after=Coalesce("sweep_after", Now()))
        _add_event(order, Kind.REVIEWED, actor=actor, note=note)
        return order


def claim_stuck_orders(*, limit: int = 100) -> list[Claim]:
    """Take up to `limit` PENDING orders whose time has come, oldest first, and push their next time on.

    No two callers get the same order. One that was claimed too often needs review, and is claimed on, rarely: its
    payment may be answered yet. One that was finalized as often, its payment answered, and that still has no end, is
    left to a person: finalizing fails or kills.
    """
    with transaction.atomic():
        limit_lock_wait()
        due = Order.objects.filter(status=Status.PENDING, sweep_after__lte=Now()).annotate(now=Now())
        orders = due.order_by("sweep_after").select_for_update(skip_locked=True, of=("self",)).select_related("payment")
        return [claim for order in orders[:limit] if (claim := _claim_order(order, order.now))]  # type: ignore[attr-defined]


def _claim_order(order: Order, now: datetime) -> Claim | None:
    order.sweeps += 1
    order.sweep_after = now + _next_pause(order, now)
    if order.sweeps > settings.ORDER_MAX_SWEEPS:
        if not order.needs_review:
            order.needs_review = True
            order.review_reason = f"swept {settings.ORDER_MAX_SWEEPS} times: {order.payment.last_error or 'no end'}"
            _add_event(order, Kind.REVIEW_NEEDED, reason=order.review_reason)
    else:
        _add_event(order, Kind.SWEPT, sweep=order.sweeps)
    if order.needs_review and order.finalize_attempts >= settings.ORDER_MAX_SWEEPS:
        order.sweep_after = None
    order.save(update_fields=["sweeps", "sweep_after", "needs_review", "review_reason"])
    if order.sweep_after is None:
        return None
    return Claim(order.code, order.expires_at <= now, (order.sweep_after - now).total_seconds())


def _count_finalize_attempt(code: str) -> None:
    # Not in the transaction that finalizes: one that fails, or kills its worker, would take the count with it.
    swept = Order.objects.filter(code=code, status=Status.PENDING, sweeps__gt=0)
    answered = swept.exclude(payment__status__in=Payment.UNANSWERED)
    if not answered.exists():
        return
    with transaction.atomic():
        limit_lock_wait()
        answered.update(finalize_attempts=F("finalize_attempts") + 1)


def _forget_finalize_attempt(code: str) -> None:
    # A lock that somebody holds is no fault of the order: it must not be given up for that.
    counted = Order.objects.filter(code=code, status=Status.PENDING, finalize_attempts__gt=0, sweeps__gt=0)
    with transaction.atomic():
        limit_lock_wait()
        counted.update(finalize_attempts=F("finalize_attempts") - 1)


def _lock_order(code: str) -> Order:
    return Order.objects.select_for_update().get(code=code)


def _lock_pending_order(code: str) -> Order:
    order = _lock_order(code)
    if order.status != Status.PENDING:
        raise OrderIsFinal(order.status)
    return order


def _finish_order(order: Order, status: Order.Status, *, reason: str) -> None:
    # The database's clock here and below: others of its kind are compared with it, and servers disagree.
    _update_order(order, status=status, cancel_reason=reason, needs_review=False, finalized_at=Now())
    confirmed = status == Status.CONFIRMED
    _add_event(order, Kind.CONFIRMED if confirmed else Kind.CANCELLED, reason=reason)
    OrderMail.objects.create(order=order, kind=OrderMail.Kind.CONFIRMED if confirmed else OrderMail.Kind.CANCELLED)


def _end_review(order: Order, **values: object) -> None:
    _update_order(order, needs_review=False, review_reason="", sweeps=0, finalize_attempts=0, **values)
    resume_payment(reference=order.code)


def _update_order(order: Order, **values: Any) -> None:
    Order.objects.filter(pk=order.pk).update(**values)
    order.refresh_from_db()


def _next_pause(order: Order, now: datetime) -> timedelta:
    pause = min(settings.SWEEP_AFTER * 2 ** min(order.sweeps - 1, 30), settings.SWEEP_AFTER_MAX)
    pause *= random.uniform(0.75, 1.25)  # noqa: S311 - jitter, so that they don't come back as one
    # The deadline doesn't wait for a long pause to end.
    left = (order.expires_at - now).total_seconds()
    if left > 0:
        pause = min(pause, left)
    elif order.sweep_after and order.sweep_after <= order.expires_at:
        pause = min(pause, settings.SWEEP_AFTER)  # this first cancel may meet a charge in flight, or a lock
    return timedelta(seconds=pause)


def _add_event(
    order: Order, kind: OrderEvent.Kind, *, actor: User | None = None, note: str = "", **data: object
) -> None:
    data |= {"note": note} if note else {}
    OrderEvent.objects.create(order=order, kind=kind, actor=actor, data=data)
