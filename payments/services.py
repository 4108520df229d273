"""How a payment goes: written down, asked for outside any transaction, answered by a conditional UPDATE."""

import logging
import os
import socket
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, F, Q, When
from django.db.models.functions import Coalesce, Now

from database_errors import limit_lock_wait
from payments.gateway import CardDeclined, ChargeRequest, GatewayUnavailable, RequestRefused, get_gateway
from payments.models import Payment

logger = logging.getLogger(__name__)
Status = Payment.Status

# From the end of a request's time until another may begin: what it takes to write down that it has ended.
IN_FLIGHT_MARGIN = timedelta(seconds=0.5)

# A request whose mark is still there was never answered: who can say what became of it.
ONLY_REFUSED = Case(
    When(status=Status.PENDING, then=True), When(in_flight_until__isnull=False, then=False), default=F("only_refused")
)


def create_payment(*, reference: str, amount: int, currency: str, payment_method: str) -> Payment:
    """Write down a PENDING payment of `amount` minor units. Nothing is sent."""
    return Payment.objects.create(reference=reference, amount=amount, currency=currency, payment_method=payment_method)


def charge_payment(*, reference: str) -> None:
    """Ask the provider for the money and write down SUCCEEDED or DECLINED. Once that is known, a repeat does nothing.

    SENT is committed before the provider is asked. Raises GatewayUnavailable where the outcome is unknown: the payment
    stays SENT, and a repeat asks again with the same key and the same parameters, at most PAYMENT_MAX_REQUESTS times,
    not once its cancel was requested, and not while another request for it is in flight.
    """
    payment = _mark_sent(reference, status__in=Payment.UNANSWERED, cancel_requested_at=None)
    if payment is None:
        return
    _release_connection()
    try:
        charge = get_gateway().charge(_make_request(payment))
    except CardDeclined as decline:
        _record_answer(reference, status=Status.DECLINED, decline_code=decline.code[:64], last_error="")
    except GatewayUnavailable as error:
        _record_error(payment, error)
        raise
    else:
        _record_answer(reference, status=Status.SUCCEEDED, provider_id=charge.provider_id, last_error="")


def cancel_payment(*, reference: str) -> None:
    """Make sure that nothing is ever taken, and write down CANCELLED; or SUCCEEDED, if the money had been taken before.

    Does nothing once the outcome is known, nor while another request for it is in flight. Raises GatewayUnavailable
    where the provider can't say yet: it stays SENT.
    """
    with transaction.atomic():
        limit_lock_wait()
        if cancel_unsent_payment(reference=reference):
            return
    payment = _mark_sent(reference, status=Status.SENT)
    if payment is None:
        return
    _release_connection()
    try:
        charge = get_gateway().cancel(_make_request(payment))
    except GatewayUnavailable as error:
        _record_error(payment, error)
        raise
    if charge is None:
        _record_answer(reference, status=Status.CANCELLED)  # its last error stays: staff are told why it was not paid
    else:
        _record_answer(reference, status=Status.SUCCEEDED, provider_id=charge.provider_id, last_error="")


def request_cancel(*, reference: str) -> None:
    """Cancel a payment that was never sent. Of one that was, no charge begins any more: it waits for cancel_payment.

    A charge that has begun goes on. Does nothing once the outcome is known.
    """
    if not cancel_unsent_payment(reference=reference):
        sent = Payment.objects.filter(reference=reference, status=Status.SENT, cancel_requested_at=None)
        sent.update(cancel_requested_at=Now())


def cancel_unsent_payment(*, reference: str) -> bool:
    """Cancel a payment that was never sent, by the row alone: a charge that comes later finds it and refuses.

    Return whether it was one; any other is left as it is.
    """
    unsent = Payment.objects.filter(reference=reference, status=Status.PENDING)
    return unsent.update(status=Status.CANCELLED, answered_at=Now()) > 0


def resume_payment(*, reference: str) -> None:
    """Let the provider be asked again as often as at first."""
    Payment.objects.filter(reference=reference).update(requests=0)


def _mark_sent(reference: str, **askable: object) -> Payment | None:
    """Write down that the provider is asked now, and by whom; None where it must not be, or somebody else asks it.

    The mark ends with the answer or the error. One whose process was killed stops holding with its request's time.
    """
    until = Now() + timedelta(seconds=settings.STRIPE_TIMEOUT) + IN_FLIGHT_MARGIN
    # Durable: the row is on disk before the provider hears of it; a transaction around this is an error. So is the
    # count: a request that kills its worker each time is not made for ever.
    with transaction.atomic(durable=True):
        limit_lock_wait()  # a row that somebody holds must not keep a thread from the other payments
        landed = Q(in_flight_until=None) | Q(in_flight_until__lte=Now())
        payments = Payment.objects.filter(
            landed, reference=reference, requests__lt=settings.PAYMENT_MAX_REQUESTS, **askable
        )
        mark = {"in_flight_until": until, "in_flight_by": _name_process(), "only_refused": ONLY_REFUSED}
        if not payments.update(
            status=Status.SENT, sent_at=Coalesce("sent_at", Now()), requests=F("requests") + 1, **mark
        ):
            return None
        return Payment.objects.get(reference=reference)


def _name_process() -> str:
    """Host, pid and start, in ticks of the host's clock: a later process with the pid has another name."""
    start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    return f"{socket.gethostname()} {os.getpid()} {start}"


def _make_request(payment: Payment) -> ChargeRequest:
    return ChargeRequest(
        key=payment.key,
        reference=payment.reference,
        amount=payment.amount,
        currency=payment.currency,
        payment_method=payment.payment_method,
        sent_at=payment.sent_at or payment.created_at,
        only_refused=payment.only_refused,
    )


def _release_connection() -> None:
    # A provider that hangs must not hold the shop's database connections as well.
    if not connection.in_atomic_block:
        connection.close()


def _record_answer(reference: str, **answer: str) -> None:
    # Compare and set: of two tasks that hear the same answer one writes it, and none overwrites an answer with another.
    unanswered = Payment.objects.filter(reference=reference, status=Status.SENT)
    if not unanswered.update(answered_at=Now(), **Payment.NOT_IN_FLIGHT, **answer):
        known = Payment.objects.get(reference=reference)
        contradicts = known.provider_id != answer.get("provider_id")  # both None: nothing was taken, says either
        level = logging.ERROR if contradicts else logging.INFO
        logger.log(level, "payment %s is %s, and was answered again: %s", reference, known.status, answer)


def _record_error(payment: Payment, error: GatewayUnavailable) -> None:
    # Where it comes so late that another process asks by now, that one's mark and error stand.
    ours = Payment.objects.filter(
        reference=payment.reference, status=Status.SENT, in_flight_until=payment.in_flight_until
    )
    refused = payment.only_refused and isinstance(error, RequestRefused)
    ours.update(last_error=_make_storable(str(error))[:1000], only_refused=refused, **Payment.NOT_IN_FLIGHT)


def _make_storable(text: str) -> str:
    """Without what PostgreSQL's text can't hold, and an answer in JSON can: NUL, and half of a surrogate pair."""
    return text.replace("\0", "").encode(errors="replace").decode()
