"""What follows from the answer to a refund: what an order has given back, its event and mail, and the stock."""

from django.db import transaction
from django.db.models.functions import Now

from catalog.services import return_stock
from database_errors import limit_lock_wait
from orders.models import Order, OrderEvent, OrderMail
from orders.refund_models import RefundLine
from orders.services import lock_order, need_review
from payments.refund_models import Refund

Status = Refund.Status
Kind = OrderEvent.Kind


def record_refund(*, key: str) -> None:
    """Draw the consequences of a refund's outcome, once, in one transaction. Does nothing before it is known and the
    order has ended.

    The money is back by now. So the order's `refunded` says so, the customer is mailed, and the units return to stock
    under the refund's key. If it has failed, staff are told: the order needs review. A refund that succeeded and failed
    later is recorded a second time, as failed; what went back to stock stays there.
    """
    reference = Refund.objects.values_list("payment__reference", flat=True).get(key=key)
    with transaction.atomic(durable=True):
        limit_lock_wait()
        order = lock_order(reference)
        refund = Refund.objects.select_for_update().get(key=key)
        if refund.status == Status.REQUESTED or refund.recorded_at:
            return
        if order.status == Order.Status.PENDING:  # adopted, once it was paid: its own end is told first
            return
        Refund.objects.filter(pk=refund.pk).update(recorded_at=Now(), sweep_after=None)
        Order.objects.filter(pk=order.pk).update(refunded=_count_refunded(order))
        if refund.status == Status.SUCCEEDED:
            _record_success(order, refund)
        else:
            _record_failure(order, refund)


def tell_staff(*, key: str) -> None:
    """Let the order need review, because its refund has had no answer for long. It is asked for on.

    Once for each reason: a person who has looked at it is not asked again until something else is wrong.
    """
    refund = Refund.objects.open().select_related("payment").filter(key=key).first()
    if refund is None:
        return
    with transaction.atomic():
        order = lock_order(refund.payment.reference)
        reason = f"refund {refund.number} has no answer: {refund.last_error or 'no request went out'}"
        if not order.events.filter(kind=Kind.REVIEW_NEEDED, data__reason=reason).exists():
            need_review(order, reason)
            order.add_event(Kind.REVIEW_NEEDED, reason=reason)


def _record_success(order: Order, refund: Refund) -> None:
    order.add_event(Kind.REFUNDED, number=refund.number, amount=refund.amount, adopted=refund.adopted)
    OrderMail.objects.create(order=order, kind=OrderMail.Kind.REFUNDED, refund=refund)
    restocked = RefundLine.objects.filter(refund=refund, restock=True)
    if quantities := dict(restocked.values_list("line__product", "quantity")):
        return_stock(reference=refund.key, quantities=quantities)


def _record_failure(order: Order, refund: Refund) -> None:
    order.add_event(Kind.REFUND_FAILED, number=refund.number, amount=refund.amount, reason=refund.failure_code)
    need_review(order, f"refund {refund.number} failed: {refund.failure_code}")


def _count_refunded(order: Order) -> int:
    return Refund.objects.succeeded().filter(payment=order.payment_id, recorded_at__isnull=False).sum_amount()
