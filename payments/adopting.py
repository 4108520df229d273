"""A charge that was made at the provider, past the shop, becomes a payment of ours."""

from typing import Any

from django.db.models.functions import Now

from payments.gateway import Charge
from payments.models import Payment

Status = Payment.Status


def answer_with_charge(payment: Payment, *, charge: Charge) -> bool:
    """Write the charge down as the answer to a PENDING payment, which is never sent then. Return whether it was one."""
    pending = Payment.objects.filter(pk=payment.pk, status=Status.PENDING)
    return pending.update(**_describe(charge)) > 0


def create_adopted_payment(after: Payment, *, gateway: str, charge: Charge) -> Payment:
    """Write the charge down as the payment that follows a DECLINED one."""
    return Payment.objects.create(
        reference=after.reference,
        number=after.number + 1,
        gateway=gateway,
        amount=charge.amount,
        currency=charge.currency,
        payment_method=after.payment_method,
        created_at=charge.created_at,  # the audit looks for the charge in a list that begins then
        **_describe(charge),
    )


def _describe(charge: Charge) -> dict[str, Any]:
    return {
        "status": Status.SUCCEEDED,
        "provider_id": charge.provider_id,
        "sent_at": charge.created_at,
        "answered_at": Now(),
    }
