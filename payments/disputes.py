"""What is known of a dispute: the provider is asked, and whoever keeps the order writes it down."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from payments.dispute_models import Dispute
from payments.gateway import ProviderDispute
from payments.models import Payment
from payments.requests import reach_gateway

Status = Dispute.Status
STATUSES = {"open": Status.OPEN, "won": Status.WON, "lost": Status.LOST}


class UnknownCharge(Exception):
    """The dispute is about a charge that is no payment of ours: others may use the same account."""


def look_up_dispute(*, gateway: str, provider_id: str) -> None:
    """Ask the provider for the dispute as it is now, and have DISPUTE_NEWS_HOOK write it down.

    Safe to repeat. Raises GatewayUnavailable, or UnknownCharge.
    """
    made, asked_at = ask_for_dispute(gateway=gateway, provider_id=provider_id)
    import_string(settings.DISPUTE_NEWS_HOOK)(gateway=gateway, made=made, asked_at=asked_at)


def ask_for_dispute(*, gateway: str, provider_id: str) -> tuple[ProviderDispute, datetime]:
    """Return what the provider says, and the database's time from before it was asked. Raises GatewayUnavailable."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        (asked_at,) = cursor.fetchone()
    return reach_gateway(gateway).retrieve_dispute(provider_id), asked_at


def find_payment(*, gateway: str, made: ProviderDispute) -> Payment:
    """The payment that is disputed. Raises UnknownCharge."""
    payment = Payment.objects.filter(gateway=gateway, provider_id=made.charge_id).first()
    if payment is None:
        raise UnknownCharge(made.charge_id)
    return payment


def write_dispute(*, payment: Payment, made: ProviderDispute, asked_at: datetime) -> tuple[Dispute, bool]:
    """Write down what the provider said at `asked_at`, and return the row and whether its status is news.

    An answer that is older than the last one changes nothing. The caller keeps others away by the lock of its order.
    """
    status = STATUSES[made.status]
    said: dict[str, Any] = {
        "amount": made.amount,
        "reason": made.reason,
        "status": status,
        "respond_by": made.respond_by,
    }
    closed = {"closed_at": None if status == Status.OPEN else Now()}
    same = Dispute.objects.filter(gateway=payment.gateway, provider_id=made.provider_id)
    known = same.first()
    if known is None:
        facts: dict[str, Any] = {"gateway": payment.gateway, "provider_id": made.provider_id, "currency": made.currency}
        facts |= {"opened_at": made.created_at, "checked_at": asked_at}
        return Dispute.objects.create(payment=payment, **facts, **said, **closed), True
    is_news = known.checked_at < asked_at and known.status != status
    same.filter(checked_at__lt=asked_at).update(**said, **(closed if is_news else {}), checked_at=asked_at)
    return same.get(), is_news
