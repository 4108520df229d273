"""How a payment goes: written down, asked for outside any transaction, answered by a conditional UPDATE."""

from collections.abc import Sequence

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from database_errors import limit_lock_wait
from payments.gateway import ActionRequired, CardDeclined, Charge, GatewayUnavailable, get_gateway
from payments.models import Payment
from payments.requests import (
    calling,
    make_request,
    make_storable,
    mark_sent,
    reach_gateway,
    record_action,
    record_answer,
    record_error,
)

logger = structlog.stdlib.get_logger(__name__)
Status = Payment.Status

CREATE = """
INSERT INTO payments_payment (reference, number, gateway, amount, currency, payment_method)
VALUES (%(reference)s, %(number)s, %(gateway)s, %(amount)s, %(currency)s, %(payment_method)s)
ON CONFLICT DO NOTHING
RETURNING id
"""
# The first payment, as a part of another statement's WITH. {row} is a part that returns `code`, `total`, `currency` and
# `payment_id`, which it drew by NEXT_ID. The parameters of the statement name the gateway and the payment method.
CREATE_FOR = """
INSERT INTO payments_payment (id, reference, gateway, amount, currency, payment_method)
SELECT payment_id, code, %(gateway)s, total, currency, %(payment_method)s FROM {row}
"""
NEXT_ID = "nextval(pg_get_serial_sequence('payments_payment', 'id'))"


def create_payment(
    *, reference: str, amount: int, currency: str, payment_method: str, number: int, gateway: str = ""
) -> int | None:
    """Write down a PENDING payment of `amount` minor units and return its id. Nothing is sent. Numbers begin at 1.

    The gateway is that of new payments where none is named.

    None, and nothing is written, if the reference has a payment of that number, or one that is unanswered or that took
    the money.
    """
    asked: dict[str, str | int] = {
        "reference": reference,
        "number": number,
        "gateway": gateway or settings.PAYMENT_GATEWAY,
        "amount": amount,
        "currency": currency,
        "payment_method": payment_method,
    }
    with connection.cursor() as cursor:
        cursor.execute(CREATE, asked)
        created = cursor.fetchone()
        return created and int(created[0])


def read_status(*, payment_id: int) -> str:
    """Return what is known of the payment now, whatever the transaction has read before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT status FROM payments_payment WHERE id = %s", [payment_id])
        (status,) = cursor.fetchone()
        return str(status)


def charge_payment(*, reference: str) -> None:
    """Ask the provider for the money and write down SUCCEEDED or DECLINED. Once that is known, a repeat does nothing.

    Where the customer has to act at the bank, ACTION_REQUIRED is written down, and a repeat asks what came of it. SENT
    is committed before the provider is asked. Raises GatewayUnavailable if the outcome is unknown: the payment stays
    as it is, and a repeat asks again with the same key and the same parameters. A repeat does not ask after
    PAYMENT_MAX_REQUESTS requests, after a cancel was requested, or while another request for the payment is in flight.
    The payment that was declined before it is cancelled at the provider first.
    """
    payment = _mark_sent(reference, askable=Payment.UNANSWERED)
    if payment is None:
        return
    try:
        with calling("charge", payment.key):
            charge = reach_gateway(payment.gateway).charge(make_request(payment))
    except CardDeclined as decline:
        record_answer(payment, status=Status.DECLINED, decline_code=decline.code[:64], last_error="")
    except ActionRequired:
        record_action(payment)
    except GatewayUnavailable as error:
        record_error(payment, error)
        raise
    else:
        record_answer(payment, status=Status.SUCCEEDED, provider_id=charge.provider_id, last_error="")


def list_instructions(payment: Payment) -> list[tuple[str, str]]:
    """What a customer has to know who pays unasked: a label and its value, line by line."""
    lines = get_gateway(payment.gateway).instructions(
        reference=payment.reference, amount=payment.amount, currency=payment.currency
    )
    return [(str(label), value) for label, value in lines]


def announce_payment(*, reference: str, gateway: str, amount: int, currency: str) -> bool:
    """Money of `amount` minor units is there: have the payment that waits for it asked about. Return whether one does.

    From now on the payment is SENT, so no cancel takes it back by its row alone: the gateway says that it is paid.
    """
    waiting = Payment.objects.filter(reference=reference, gateway=gateway, status=Status.PENDING)
    return waiting.filter(amount=amount, currency=currency).update(status=Status.SENT, sent_at=Now()) > 0


def cancel_payment(*, reference: str) -> None:
    """Make sure that nothing is ever taken, and write down CANCELLED; or SUCCEEDED, if the money had been taken before.

    Does nothing once the outcome is known, or while another request for the payment is in flight. Raises
    GatewayUnavailable if the provider can't say yet: the payment stays unanswered.
    """
    with transaction.atomic():
        limit_lock_wait()
        if cancel_pending_payment(reference=reference):
            return
    payment = _mark_sent(reference, askable=Payment.ASKED, cancelling=True)
    if payment is None:
        return
    try:
        with calling("cancel", payment.key):
            charge = reach_gateway(payment.gateway).cancel(make_request(payment))
    except GatewayUnavailable as error:
        record_error(payment, error)
        raise
    if charge is None:
        record_answer(payment, status=Status.CANCELLED)  # the last error stays: it tells staff why nothing was paid
    else:
        record_answer(payment, status=Status.SUCCEEDED, provider_id=charge.provider_id, last_error="")


def request_cancel(*, reference: str) -> None:
    """Cancel a PENDING payment at once. One that was sent is never charged again, and waits for cancel_payment.

    A charge that has begun goes on. Does nothing once the outcome is known.
    """
    if not cancel_pending_payment(reference=reference):
        Payment.objects.asked().filter(reference=reference, cancel_requested_at=None).update(cancel_requested_at=Now())


def cancel_pending_payment(*, reference: str) -> bool:
    """Cancel a PENDING payment, by the row alone: it was never sent, and a charge that comes later finds it cancelled.

    Return whether it was PENDING. Any other payment is left as it is.
    """
    pending = Payment.objects.filter(reference=reference, status=Status.PENDING)
    return pending.update(status=Status.CANCELLED, answered_at=Now()) > 0


def resume_payment(*, reference: str) -> None:
    """Let the provider be asked again as often as at first."""
    Payment.objects.unanswered().filter(reference=reference).update(requests=0)


def _mark_sent(reference: str, *, askable: Sequence[Status], cancelling: bool = False) -> Payment | None:
    """As mark_sent, once the provider has cancelled the payment that was declined before."""
    payment = mark_sent(reference, askable=askable, cancelling=cancelling)
    if payment is None and _close_declined(reference):
        return mark_sent(reference, askable=askable, cancelling=cancelling)
    return payment


def _close_declined(reference: str) -> bool:
    """Have the provider cancel the declined payment before the present one. Return whether there was one to cancel.

    Should the provider show that it took the money all the same, that is the answer to the present payment: nothing is
    asked for a second time. Unless all of it was given back: that pays nothing, and can't be taken again. Raises
    GatewayUnavailable if the provider can't say yet.
    """
    payments = Payment.objects.filter(reference=reference)
    declined = payments.unclosed().order_by("number").last()
    if declined is None or not payments.unanswered().exists():
        return False
    try:
        with calling("cancel", declined.key):
            charge = reach_gateway(declined.gateway).cancel(make_request(declined))
    except GatewayUnavailable as error:
        payments.unanswered().update(last_error=make_storable(error))
        raise
    if charge and charge.refunded < charge.amount:
        _adopt(declined, charge)
        return False
    payments.filter(pk=declined.pk, closed_at=None).update(closed_at=Now())
    return True


def _adopt(declined: Payment, charge: Charge) -> None:
    """Write down, as the answer to the present payment, that the declined one took the money after all."""
    logger.error(
        "a declined payment took the money later",
        key=declined.key,
        order=declined.reference,
        provider_id=charge.provider_id,
    )
    present = Payment.objects.filter(reference=declined.reference, status=Status.PENDING, gateway=declined.gateway)
    answer = {"status": Status.SUCCEEDED, "provider_id": charge.provider_id, "last_error": f"taken by {declined.key}"}
    if not present.update(**answer, sent_at=Now(), answered_at=Now()):  # that of another gateway can't be its answer
        error = f"{declined.key} took the money after it was declined: {charge.provider_id}"
        Payment.objects.unanswered().filter(reference=declined.reference).update(last_error=error)
