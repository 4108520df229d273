"""How a refund goes: written down, asked for outside any transaction, answered by a conditional UPDATE."""

import random
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from database_errors import limit_lock_wait
from payments.gateway import GatewayUnavailable, ProviderRefund, RefundRefused
from payments.models import Payment
from payments.refund_models import Refund, RefundQuerySet
from payments.refund_requests import mark_asked, record_answer, record_error, record_late_failure
from payments.requests import make_storable, reach_gateway

Status = Refund.Status


class NotRefundable(Exception):
    """Nothing is refunded. `code` is stable, so that programs can rely on it."""

    code = "not_refundable"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class RefundTooLarge(NotRefundable):
    """It is more than what is left: what was charged, less what was given back and what is being given back."""

    code = "refund_too_large"


def lock_payment(payment_id: int) -> Payment:
    """Lock the payment's row until the transaction ends, and read it: nobody else adds a refund to it meanwhile."""
    return Payment.objects.select_for_update().get(pk=payment_id)


def count_left(payment: Payment) -> int:
    """How many minor units can still be refunded: what was charged, less what was, or perhaps was, given back.

    What the customer's bank has taken back is not given a second time.
    """
    return max(_count_not_given(payment) - payment.disputes.not_won().sum_amount(), 0)


def find_next_number(payment: Payment) -> int:
    """The number of the payment's next refund. A page names it, so that its button makes one refund."""
    return payment.refunds.count() + 1  # none is ever deleted


def request_refund(payment: Payment, *, amount: int) -> Refund:
    """Write down a REQUESTED refund of `amount` minor units, with the payment's next number. Nothing is sent.

    The payment is locked. Raises RefundTooLarge, having written nothing.
    """
    _check_left(payment, amount, left=count_left(payment))
    return _create_refund(payment, amount=amount, sweep_after=Now() + _pause(0))


def refund_payment(*, key: str) -> None:
    """Ask the provider to give the money back, and write down SUCCEEDED or FAILED. Once that is known, a repeat does
    nothing.

    The mark that somebody asks is committed before the provider is asked. Raises GatewayUnavailable if the outcome is
    unknown: the refund stays REQUESTED, and a repeat asks again with the same key. A repeat does not ask while another
    request for the refund is in flight.
    """
    refund = mark_asked(key)
    if refund is None:
        return
    payment = refund.payment
    try:
        given = reach_gateway(refund.gateway).refund(
            key=refund.key, reference=payment.reference, provider_id=payment.provider_id or "", amount=refund.amount
        )
    except RefundRefused as refusal:
        record_answer(refund, status=Status.FAILED, failure_code=refusal.code[:64], last_error=make_storable(refusal))
    except GatewayUnavailable as error:
        record_error(refund, error)
        raise
    else:
        record_answer(refund, status=Status.SUCCEEDED, provider_id=given)


def check_refund(*, key: str) -> None:
    """Ask the provider whether a refund that SUCCEEDED still holds. If not, write down FAILED.

    Nothing is asked for, so a repeat does no harm. Raises GatewayUnavailable if the provider can't say.
    """
    refund = Refund.objects.select_related("payment").filter(key=key, status=Status.SUCCEEDED).first()
    if refund is None:
        return
    made = reach_gateway(refund.gateway).list_refunds(provider_id=refund.payment.provider_id or "")
    now = next((fact for fact in made if fact.provider_id == refund.provider_id), None)
    if now is None:
        raise GatewayUnavailable(f"the provider does not list the refund {refund.provider_id}")
    if now.status == "failed":
        record_late_failure(refund, now.failure_code[:64])
    else:
        Refund.objects.filter(pk=refund.pk, recorded_at__isnull=False).update(checked_at=Now(), sweep_after=None)


def adopt_refund(*, payment_id: int, made: ProviderRefund) -> Refund | None:
    """Write down a refund that the provider shows and our rows don't, so that the books agree again.

    Return its row, new or known; None for one that has not succeeded, as there is nothing to adopt. One of our own that
    was refused, and is shown all the same, is adopted too. The order hears of it by the sweep. Raises RefundTooLarge
    while a refund of our own that is not answered yet is for the same money: it will be refused, and this adopted then.
    """
    with transaction.atomic():
        payment = lock_payment(payment_id)
        if known := _find_known(payment, made):
            return known
        if made.status != "succeeded":
            return None
        _check_left(payment, made.amount, left=_count_not_given(payment))  # also of what a dispute takes back as well
        answer = {"status": Status.SUCCEEDED, "provider_id": made.provider_id, "answered_at": Now()}
        return _create_refund(payment, amount=made.amount, adopted=True, checked_at=Now(), sweep_after=Now(), **answer)


def claim_due_refunds(*, limit: int = 100) -> list[Refund]:
    """Claim up to `limit` refunds that are due, the longest due first, and set the time of their next sweep.

    Claims are committed. No two callers get the same. A refund is due until its outcome is known and recorded: its
    pauses grow up to SWEEP_AFTER_MAX, and it is never given up, because somebody's money is owed.
    """
    with transaction.atomic():
        limit_lock_wait()
        due = Refund.objects.due().order_by("sweep_after").select_for_update(skip_locked=True)[:limit]
        return [_claim_refund(refund) for refund in due]


def hasten_refunds(refunds: RefundQuerySet) -> None:
    """Let the sweep take these up at once: to ask for them, or after one that has succeeded. A failed one is over."""
    refunds.exclude(status=Status.FAILED, recorded_at__isnull=False).update(sweep_after=Now())


def make_key(payment: Payment, number: int) -> str:
    """The refund's own idempotency key: `refund-CODE-1` is the first of the first payment."""
    return f"{payment.key.replace('charge-', 'refund-', 1)}-{number}"


def _find_known(payment: Payment, made: ProviderRefund) -> Refund | None:
    refunds = payment.refunds.all()
    same = refunds.filter(provider_id=made.provider_id).first()
    return same or refunds.not_failed().filter(key=made.key).first()


def _count_not_given(payment: Payment) -> int:
    if payment.status != Payment.Status.SUCCEEDED:
        return 0
    return payment.amount - payment.refunds.not_failed().sum_amount()


def _check_left(payment: Payment, amount: int, *, left: int) -> None:
    if amount > left:
        raise RefundTooLarge(f"Only {left} of {payment.amount} minor units are left to refund.")


def _create_refund(payment: Payment, **fields: Any) -> Refund:
    number = find_next_number(payment)  # under the payment's lock
    return Refund.objects.create(
        payment=payment,
        number=number,
        key=make_key(payment, number),
        gateway=payment.gateway,
        **fields,
    )


def _claim_refund(refund: Refund) -> Refund:
    refund.sweeps += 1
    Refund.objects.filter(pk=refund.pk).update(sweeps=refund.sweeps, sweep_after=Now() + _pause(refund.sweeps))
    return refund


def _pause(sweeps: int) -> timedelta:
    pause = min(settings.SWEEP_AFTER * 2 ** min(sweeps, 30), settings.SWEEP_AFTER_MAX)
    return timedelta(seconds=pause * random.uniform(1, 1.25))  # noqa: S311 - so that they don't all come back at once
