"""How an order ends: finalized by what its payment says, cancelled on request, or swept when nothing happens to it."""

import random
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from catalog.services import deduct_stock, release_stock
from orders.models import Order, OrderEvent, OrderMail
from payments.models import Payment

Status = Order.Status
Reason = Order.CancelReason
Kind = OrderEvent.Kind


class OrderIsFinal(Exception):
    """The order was confirmed or cancelled before: it can't be changed any more."""


def finalize_order(*, code: str) -> Order:
    """Confirm or cancel a PENDING order as its payment says, and deduct or release its stock, in one transaction.

    A repeat, also one at the same time, changes nothing. An order whose payment has no answer yet is left as it is, and
    so is one that needs review: what went wrong so often is not tried again before a person says so.
    """
    with transaction.atomic():
        order = _lock_order(code)
        if order.status != Status.PENDING or order.needs_review:
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


def cancel_order(*, code: str, reason: Order.CancelReason, actor: User | None = None) -> Order:
    """Cancel a PENDING order: at once if its payment was never sent, else by the sweep, which asks the provider.

    So the order may still end CONFIRMED, if the money was taken first. Raises OrderIsFinal, having changed nothing.
    """
    with transaction.atomic():
        order = _lock_order(code)
        if order.status != Status.PENDING:
            raise OrderIsFinal(order.status)
        if not order.cancel_reason:
            order.cancel_reason = reason
            _add_event(order, Kind.CANCEL_REQUESTED, actor=actor, reason=reason)
        order.expires_at = min(order.expires_at, timezone.now())
        _sweep_now(order)
        unsent = Payment.objects.filter(pk=order.payment_id, status=Payment.Status.PENDING)
        unsent.update(status=Payment.Status.CANCELLED)
        return finalize_order(code=code)


def resume_order(*, code: str, actor: User | None = None) -> Order:
    """Let the sweep take up a PENDING order at once, with its attempts counted from zero. Raises OrderIsFinal."""
    with transaction.atomic():
        order = _lock_order(code)
        if order.status != Status.PENDING:
            raise OrderIsFinal(order.status)
        _sweep_now(order)
        _add_event(order, Kind.RESUMED, actor=actor)
        return order


def claim_stuck_orders(*, limit: int = 100) -> list[Order]:
    """Take up to `limit` PENDING orders whose time has come, oldest first, and push their next time on.

    No two callers get the same order. One that was claimed too often gets needs_review and is left to a person.
    """
    with transaction.atomic():
        due = Order.objects.filter(status=Status.PENDING, needs_review=False, sweep_after__lte=Now())
        claimed = []
        for order in due.order_by("sweep_after").select_for_update(skip_locked=True)[:limit]:
            order.attempts += 1
            if order.attempts > settings.SWEEP_MAX_ATTEMPTS:
                _ask_for_review(
                    order, f"swept {settings.SWEEP_MAX_ATTEMPTS} times: {order.payment.last_error or 'no end'}"
                )
            else:
                order.sweep_after = _next_sweep(order)
                order.save(update_fields=["attempts", "sweep_after"])
                _add_event(order, Kind.SWEPT, attempt=order.attempts)
                claimed.append(order)
        return claimed


def _lock_order(code: str) -> Order:
    return Order.objects.select_for_update().get(code=code)


def _finish_order(order: Order, status: Order.Status, *, reason: str) -> None:
    order.status, order.cancel_reason, order.needs_review = status, reason, False
    order.finalized_at = Now()  # the database's clock, which the audit goes by
    order.save(update_fields=["status", "cancel_reason", "needs_review", "finalized_at"])
    order.refresh_from_db(fields=["finalized_at"])
    confirmed = status == Status.CONFIRMED
    _add_event(order, Kind.CONFIRMED if confirmed else Kind.CANCELLED, reason=reason)
    OrderMail.objects.create(order=order, kind=OrderMail.Kind.CONFIRMED if confirmed else OrderMail.Kind.CANCELLED)


def _sweep_now(order: Order) -> None:
    order.sweep_after, order.attempts, order.needs_review, order.review_reason = timezone.now(), 0, False, ""
    order.save()


def _ask_for_review(order: Order, reason: str) -> None:
    order.needs_review, order.review_reason = True, reason
    order.save(update_fields=["needs_review", "review_reason"])
    _add_event(order, Kind.REVIEW_NEEDED, reason=reason)


def _next_sweep(order: Order) -> datetime:
    now = timezone.now()
    delay = min(settings.SWEEP_AFTER * 2 ** (order.attempts - 1), settings.SWEEP_AFTER_MAX)
    then = now + timedelta(seconds=delay * random.uniform(0.75, 1.25))  # noqa: S311 - jitter, so that they don't come back as one
    # The deadline doesn't wait for a long pause to end.
    return min(then, order.expires_at) if order.expires_at > now else then


def _add_event(order: Order, kind: OrderEvent.Kind, *, actor: User | None = None, **data: object) -> None:
    OrderEvent.objects.create(order=order, kind=kind, actor=actor, data=data)
