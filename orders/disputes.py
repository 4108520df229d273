"""What follows from a dispute: its row, an event and a review of its order, and a mail to staff, all at once."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from database_errors import limit_lock_wait
from orders.dispute_models import DisputeMail
from orders.models import Order, OrderEvent
from orders.services import lock_order, need_review
from payments.dispute_models import Dispute
from payments.disputes import UnknownCharge, find_payment, write_dispute
from payments.gateway import ProviderDispute

Kind = OrderEvent.Kind
Status = Dispute.Status

MAILS = {
    Status.OPEN: DisputeMail.Kind.OPENED,
    Status.WON: DisputeMail.Kind.WON,
    Status.LOST: DisputeMail.Kind.LOST,
}


def record_dispute(*, gateway: str, made: ProviderDispute, asked_at: datetime) -> Dispute:
    """Write down what the provider said of a dispute at `asked_at`, and tell staff of what is new, in one transaction.

    A repeat changes nothing, and neither does an answer that is older than the last one. A dispute that opens, or is
    lost, brings its order into review. Raises UnknownCharge, having changed nothing: also if its order is archived.
    """
    payment = find_payment(gateway=gateway, made=made)
    with transaction.atomic():
        limit_lock_wait()
        order = _lock_order(payment.reference)
        dispute, is_news = write_dispute(payment=payment, made=made, asked_at=asked_at)
        if is_news:
            _tell(order, dispute)
        return dispute


def _lock_order(code: str) -> Order:
    try:
        return lock_order(code)
    except Order.DoesNotExist:
        raise UnknownCharge(f"{code} is archived.") from None


def _tell(order: Order, dispute: Dispute) -> None:
    """Both in one, if the first that is heard of a dispute is its end."""
    facts: dict[str, Any] = {"dispute": dispute.provider_id, "amount": dispute.amount, "reason": dispute.reason}
    if not order.events.filter(kind=Kind.DISPUTE_OPENED, data__dispute=dispute.provider_id).exists():
        order.add_event(Kind.DISPUTE_OPENED, **facts, until=dispute.respond_by)
    if dispute.status != Status.OPEN:
        order.add_event(Kind.DISPUTE_CLOSED, **facts, outcome=dispute.status)
    if dispute.status != Status.WON:
        words = "is lost" if dispute.status == Status.LOST else "is open"
        need_review(order, f"dispute {dispute.provider_id} {words}: {dispute.reason}")
    _mail_staff(dispute)


def _mail_staff(dispute: Dispute) -> None:
    """Write the mail of its status, or have it sent again if the bank has come back to what it said before."""
    mail, is_new = DisputeMail.objects.get_or_create(dispute=dispute, kind=MAILS[Status(dispute.status)])
    if not is_new:
        again = DisputeMail.objects.filter(pk=mail.pk, sent_at__isnull=False)
        again.update(created_at=Now(), send_after=Now(), sent_at=None, tries=0)
