"""How an order ends: finalized as its payment says, or cancelled on request; and what staff do when it does not end."""

from typing import Any, cast

from django.db import OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Least, Now

from accounts.models import User
from catalog.models import StockMovement
from catalog.services import MOVE, RESERVED, describe_move
from database_errors import is_lock_held, limit_lock_wait
from orders.models import Order, OrderEvent
from orders.signals import announce_event
from payments.models import Payment
from payments.services import read_status, request_cancel, resume_payment

Status = Order.Status
Reason = Order.CancelReason
Kind = OrderEvent.Kind
Movement = StockMovement.Kind

MAX_PAYMENTS = 5  # of one order, one after the other

LOCK_ORDER = "SELECT {columns} FROM orders_order WHERE code = %(code)s FOR UPDATE"

# One statement, because each round trip costs as much as all of its work. The event and the mail are named after the
# status. The clock is the database's: these times are compared with each other, and the clocks of servers differ. The
# stock comes last: buyers of the products wait from there to the commit only.
END_ORDER = f"""
WITH ended AS (
    UPDATE orders_order
    SET status = %(status)s, cancel_reason = %(cancel_reason)s, finalized_at = statement_timestamp(),
        -- The end of an order ends its review, but not that of a dispute.
        needs_review = needs_review AND EXISTS (
            SELECT FROM payments_dispute dispute
            WHERE dispute.payment_id = orders_order.payment_id AND dispute.status <> 'WON'
        )
    WHERE code = %(reference)s AND status = 'PENDING' AND sweeps = %(sweeps)s AND EXISTS (
        SELECT FROM payments_payment WHERE id = payment_id AND status = %(payment_status)s
    )
    RETURNING {{columns}}
), event AS (
    INSERT INTO orders_orderevent (order_id, kind, data)
    SELECT id, lower(status), jsonb_build_object('reason', cancel_reason) FROM ended
), mail AS (
    INSERT INTO orders_ordermail (order_id, kind)
    SELECT id, lower(status) FROM ended
), {MOVE.format(wanted=RESERVED.format(condition="EXISTS (SELECT FROM ended)"))}
SELECT {{columns}} FROM ended
"""  # noqa: S608 - parts of our own
HOLD_ORDER = """
WITH held AS (
    UPDATE orders_order SET
        held_until = LEAST(statement_timestamp() + make_interval(secs => hold_on_decline), expires_at),
        sweep_after = LEAST(statement_timestamp() + make_interval(secs => hold_on_decline), expires_at)
    WHERE id = %(order)s AND expires_at > statement_timestamp()
        AND (SELECT number FROM payments_payment WHERE id = payment_id) < %(max_payments)s
    RETURNING {columns}
), event AS (
    INSERT INTO orders_orderevent (order_id, kind, data)
    SELECT id, 'held', jsonb_build_object('until', held_until) FROM held
)
SELECT {columns} FROM held
"""


class OrderIsFinal(Exception):
    """The order was confirmed or cancelled before: it can't be changed any more."""


class NothingToReview(Exception):
    """The order does not need review: somebody has looked at it before, or it never did."""


def finalize_order(*, code: str) -> Order:
    """Confirm or cancel a PENDING order as its payment says, and deduct or release its stock, in one transaction.

    A repeat changes nothing, also one at the same time. An order whose payment has no answer yet is left as it is. One
    with `hold_on_decline` is held after a decline, and cancelled when the hold is over. Raises OperationalError if
    somebody holds one of the rows for longer than LOCK_TIMEOUT. That is no fault of the order's, and counts as no
    attempt.
    """
    # The rule: it is paid, and was never swept.
    confirmed = _describe_end(code, Status.CONFIRMED, reason="", payment=Payment.Status.SUCCEEDED, sweeps=0)
    if order := _end(confirmed, impatiently=True):
        return order
    with transaction.atomic(durable=True):
        limit_lock_wait()
        order = lock_order(code)
        if not order.sweeps:
            return _finalize(order)
    return _finalize_swept_order(code)


def _finalize_swept_order(code: str) -> Order:
    _count_attempt(code)
    try:
        with transaction.atomic(durable=True):
            limit_lock_wait()
            return _finalize(lock_order(code))
    except OperationalError as error:
        if is_lock_held(error):
            _forget_attempt(code)
        raise


def cancel_order(*, code: str, reason: Order.CancelReason, actor: User | None = None, note: str = "") -> Order:
    """Cancel a PENDING order: at once if its payment was never sent, else by the sweep, which asks the provider.

    No charge begins after this. But one may have begun: if it took the money, the order ends CONFIRMED. When staff
    cancel, the review ends too, and sweeps are counted from zero. The note is for staff; the event keeps it.
    Raises OrderIsFinal, having changed nothing.
    """
    with transaction.atomic():
        order = _lock_pending_order(code)
        if note or not order.cancel_reason:
            order.add_event(Kind.CANCEL_REQUESTED, actor=actor, note=note, reason=reason)
        asked = {"cancel_reason": order.cancel_reason or reason, "expires_at": Least("expires_at", Now())}
        if reason == Reason.STAFF:
            _end_review(order, sweep_after=Now(), **asked)
        elif not order.cancel_reason:  # a customer's click ends no review, and a second one does not hasten the sweep
            _update_order(order, sweep_after=Now(), **asked)
        request_cancel(reference=code)
        limit_lock_wait()
        return _finalize(order)


def resume_order(*, code: str, actor: User | None = None, note: str = "") -> Order:
    """Let the sweep take up a PENDING order at once, and count its sweeps from zero. Raises OrderIsFinal."""
    with transaction.atomic():
        order = _lock_pending_order(code)
        _end_review(order, sweep_after=Now())
        order.add_event(Kind.RESUMED, actor=actor, note=note)
        return order


def mark_reviewed(*, code: str, actor: User, note: str) -> Order:
    """End the review of an order that a person has looked at.

    A PENDING one goes on, and its sweeps are counted from zero. If the sweep had given it up, the sweep takes it up
    again. Raises OrderIsFinal or NothingToReview, having changed nothing.
    """
    with transaction.atomic():
        order = lock_order(code)
        if not order.needs_review:
            raise NothingToReview(code) if order.status == Status.PENDING else OrderIsFinal(order.status)
        if order.status == Status.PENDING:
            _end_review(order, sweep_after=Coalesce("sweep_after", Now()))
        else:  # of a refund
            _update_order(order, needs_review=False, review_reason="")
        order.add_event(Kind.REVIEWED, actor=actor, note=note)
        return order


def _finalize(order: Order) -> Order:
    """The order's row is locked."""
    if order.status != Status.PENDING:
        return order
    # Read after the lock is held: a join would return the payment as it was before the wait.
    payment = read_status(payment_id=order.payment_id)
    match payment:
        case Payment.Status.SUCCEEDED:
            status, reason = Status.CONFIRMED, ""
        case Payment.Status.DECLINED if order.hold_on_decline and (held := _hold(order)):
            return held
        case Payment.Status.DECLINED:
            asked = order.cancel_reason if order.held_until else ""  # otherwise the decline came before the cancel
            status, reason = Status.CANCELLED, asked or Reason.CARD_DECLINED
        case Payment.Status.CANCELLED:
            status, reason = Status.CANCELLED, order.cancel_reason or Reason.EXPIRED
        case _unanswered:
            return order
    end = _describe_end(order.code, status, reason=reason, payment=payment, sweeps=order.sweeps)
    return cast(Order, _end(end))


def _end(end: dict[str, Any], *, impatiently: bool = False) -> Order | None:
    order = Order.objects.execute(END_ORDER, end, impatiently=impatiently)
    if order:
        announce_event(code=order.code, kind=Kind(order.status.lower()))
    return order


def _hold(order: Order) -> Order | None:
    """Begin the hold, or go on with it. None: there may be no other payment, or the hold is over."""
    if order.held_until is None:
        held = Order.objects.execute(HOLD_ORDER, {"order": order.pk, "max_payments": MAX_PAYMENTS})
        if held:
            announce_event(code=held.code, kind=Kind.HELD)
        return held
    return Order.objects.held().filter(pk=order.pk).first()


def _count_attempt(code: str) -> None:
    # In a transaction of its own: if finalizing fails, or kills the worker, the count survives, and the sweep gives up
    # in the end.
    with transaction.atomic():
        limit_lock_wait()
        Order.objects.answered().filter(code=code).update(finalize_attempts=F("finalize_attempts") + 1)


def _forget_attempt(code: str) -> None:
    # A lock that somebody holds is no fault of the order: it must not be given up for that.
    counted = Order.objects.pending().filter(code=code, finalize_attempts__gt=0)
    with transaction.atomic():
        limit_lock_wait()
        counted.update(finalize_attempts=F("finalize_attempts") - 1)


def lock_order(code: str) -> Order:
    """Lock the order's row until the transaction ends, and read it. Raises Order.DoesNotExist."""
    order = Order.objects.execute(LOCK_ORDER, {"code": code})
    if order is None:
        raise Order.DoesNotExist(code)
    return order


def need_review(order: Order, reason: str) -> None:
    """Let the order, whose row is locked, wait for a person; the reason is for staff."""
    Order.objects.filter(pk=order.pk).update(needs_review=True, review_reason=reason)


def _lock_pending_order(code: str) -> Order:
    order = lock_order(code)
    if order.status != Status.PENDING:
        raise OrderIsFinal(order.status)
    return order


def _describe_end(code: str, status: Order.Status, *, reason: str, payment: str, sweeps: int) -> dict[str, Any]:
    """Return the parameters of END_ORDER."""
    end = {"status": status.value, "cancel_reason": str(reason), "payment_status": payment, "sweeps": sweeps}
    kind = Movement.DEDUCTED if status == Status.CONFIRMED else Movement.RELEASED
    return end | describe_move(kind=kind, reference=code)


def _end_review(order: Order, **values: object) -> None:
    _update_order(order, needs_review=False, review_reason="", sweeps=0, finalize_attempts=0, **values)
    resume_payment(reference=order.code)


def _update_order(order: Order, **values: Any) -> None:
    Order.objects.filter(pk=order.pk).update(**values)
    order.refresh_from_db()
