"""How a payment goes: written down, asked for outside any transaction, answered by a conditional UPDATE."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from database_errors import execute_impatiently, limit_lock_wait, run_again_if_lost
from payments.gateway import (
    CardDeclined,
    Charge,
    ChargeRequest,
    Gateway,
    GatewayUnavailable,
    RequestRefused,
    get_gateway,
)
from payments.models import Payment
from payments.processes import is_dead, name_process

logger = logging.getLogger(__name__)
Status = Payment.Status

# After a request's time is over, nobody begins another for so long: its process may still be writing the answer down.
IN_FLIGHT_MARGIN = timedelta(seconds=0.5)

FIELDS = [field.attname for field in Payment._meta.concrete_fields]

# SQL, because each charge runs two of these: the ORM took longer to write them than PostgreSQL to run them. Each is a
# transaction of its own, so what it wrote is on disk once it returns.
MARK_SENT = f"""
UPDATE payments_payment SET
    status = 'SENT', requests = requests + 1, sent_at = coalesce(sent_at, statement_timestamp()),
    in_flight_until = statement_timestamp() + make_interval(secs => %s), in_flight_by = %s,
    -- If a request's mark is still there, nobody wrote down an answer to it: it may have done anything.
    only_refused = status = 'PENDING' OR in_flight_until IS NULL AND only_refused
WHERE reference = %s AND status = ANY(%s) AND (cancel_requested_at IS NULL OR %s) AND requests < %s
    AND (in_flight_until IS NULL OR in_flight_until <= statement_timestamp())
    -- A declined payment could still be confirmed at the provider: it is closed there before the next is sent.
    AND CASE WHEN number = 1 THEN TRUE ELSE NOT EXISTS (
        SELECT FROM payments_payment earlier
        WHERE earlier.reference = payments_payment.reference AND earlier.status = 'DECLINED'
            AND earlier.closed_at IS NULL
    ) END
RETURNING {", ".join(FIELDS)}
"""  # noqa: S608 - the names of our own columns
RECORD_ANSWER = """
UPDATE payments_payment SET
    status = %s, provider_id = %s, decline_code = %s, last_error = coalesce(%s, last_error),
    only_refused = FALSE, -- what was answered was executed, so it has to be closed before a next payment
    answered_at = statement_timestamp(), in_flight_until = NULL, in_flight_by = ''
WHERE id = %s AND status = 'SENT'
"""
RECORD_ERROR = """
UPDATE payments_payment SET last_error = %s, only_refused = %s, in_flight_until = NULL, in_flight_by = ''
WHERE id = %s AND status = 'SENT' AND in_flight_until = %s
"""

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


def create_payment(*, reference: str, amount: int, currency: str, payment_method: str, number: int) -> int | None:
    """Write down a PENDING payment of `amount` minor units and return its id. Nothing is sent. Numbers begin at 1.

    None, and nothing is written, if the reference has a payment of that number, or one that is unanswered or that took
    the money.
    """
    asked: dict[str, str | int] = {
        "reference": reference,
        "number": number,
        "gateway": settings.PAYMENT_GATEWAY,
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

    SENT is committed before the provider is asked. Raises GatewayUnavailable if the outcome is unknown: the payment
    stays SENT, and a repeat asks again with the same key and the same parameters. A repeat does not ask after
    PAYMENT_MAX_REQUESTS requests, after a cancel was requested, or while another request for the payment is in flight.
    The payment that was declined before it is cancelled at the provider first.
    """
    payment = _mark_sent(reference, askable=Payment.UNANSWERED)
    if payment is None and _close_declined(reference):
        payment = _mark_sent(reference, askable=Payment.UNANSWERED)
    if payment is None:
        return
    try:
        charge = _reach_gateway(payment).charge(_make_request(payment))
    except CardDeclined as decline:
        _record_answer(payment, status=Status.DECLINED, decline_code=decline.code[:64], last_error="")
    except GatewayUnavailable as error:
        _record_error(payment, error)
        raise
    else:
        _record_answer(payment, status=Status.SUCCEEDED, provider_id=charge.provider_id, last_error="")


def cancel_payment(*, reference: str) -> None:
    """Make sure that nothing is ever taken, and write down CANCELLED; or SUCCEEDED, if the money had been taken before.

    Does nothing once the outcome is known, or while another request for the payment is in flight. Raises
    GatewayUnavailable if the provider can't say yet: the payment stays SENT.
    """
    with transaction.atomic():
        limit_lock_wait()
        if cancel_pending_payment(reference=reference):
            return
    payment = _mark_sent(reference, askable=[Status.SENT], cancelling=True)
    if payment is None:
        return
    try:
        charge = _reach_gateway(payment).cancel(_make_request(payment))
    except GatewayUnavailable as error:
        _record_error(payment, error)
        raise
    if charge is None:
        _record_answer(payment, status=Status.CANCELLED)  # the last error stays: it tells staff why nothing was paid
    else:
        _record_answer(payment, status=Status.SUCCEEDED, provider_id=charge.provider_id, last_error="")


def request_cancel(*, reference: str) -> None:
    """Cancel a PENDING payment at once. A SENT one is never charged again, and waits for cancel_payment.

    A charge that has begun goes on. Does nothing once the outcome is known.
    """
    if not cancel_pending_payment(reference=reference):
        Payment.objects.unknown().filter(reference=reference, cancel_requested_at=None).update(
            cancel_requested_at=Now()
        )


def cancel_pending_payment(*, reference: str) -> bool:
    """Cancel a PENDING payment, by the row alone: it was never sent, and a charge that comes later finds it cancelled.

    Return whether it was PENDING. Any other payment is left as it is.
    """
    pending = Payment.objects.filter(reference=reference, status=Status.PENDING)
    return pending.update(status=Status.CANCELLED, answered_at=Now()) > 0


def resume_payment(*, reference: str) -> None:
    """Let the provider be asked again as often as at first."""
    Payment.objects.unanswered().filter(reference=reference).update(requests=0)


def end_dead_requests() -> None:
    """End the time of marks whose process ran on this host and is dead: nobody will write that answer down.

    The mark itself stays in the row, because what the request did is unknown.
    """
    in_flight = Payment.objects.unknown().filter(in_flight_until__gt=Now())
    names = in_flight.values_list("in_flight_by", flat=True).distinct()
    dead = [name for name in names if is_dead(name)]
    if dead:
        with transaction.atomic():
            orphaned = in_flight.filter(in_flight_by__in=dead).select_for_update(skip_locked=True)
            Payment.objects.filter(pk__in=orphaned.values("pk")).update(in_flight_until=Now())


def _mark_sent(reference: str, *, askable: Sequence[Status], cancelling: bool = False) -> Payment | None:
    """Write down that this process asks the provider now. Return None if it must not, or if another process asks.

    The mark is taken away with the answer or the error. If the process is killed, the mark runs out with its request.
    """
    # Durable: the row is on disk before the provider hears of it, and a transaction around this is an error. The count
    # is on disk too, so that a request that kills its worker each time is not made for ever.
    if connection.in_atomic_block:
        raise RuntimeError("SENT has to be durable before the provider is asked: no transaction may be open here")
    seconds = settings.STRIPE_TIMEOUT + IN_FLIGHT_MARGIN.total_seconds()
    names = [status.value for status in askable]
    marked = [seconds, name_process(), reference, names, cancelling, settings.PAYMENT_MAX_REQUESTS]
    with connection.cursor() as cursor:
        execute_impatiently(cursor, MARK_SENT, marked)  # somebody may hold the row; other payments need this thread
        row = cursor.fetchone()
    return Payment.from_db(connection.alias, FIELDS, row) if row else None


def _close_declined(reference: str) -> bool:
    """Have the provider cancel the declined payment before the one that waits. Return whether there was one to cancel.

    Should the provider show that it took the money all the same, that is the answer to the payment that waits: nothing
    is asked for a second time. Raises GatewayUnavailable if the provider can't say yet.
    """
    payments = Payment.objects.filter(reference=reference)
    declined = payments.filter(status=Status.DECLINED, closed_at=None).order_by("number").last()
    if declined is None or not payments.filter(status=Status.PENDING).exists():
        return False
    try:
        charge = _reach_gateway(declined).cancel(_make_request(declined))
    except GatewayUnavailable as error:
        payments.filter(status=Status.PENDING).update(last_error=_make_storable(error))
        raise
    if charge:
        _adopt(declined, charge)
    else:
        payments.filter(pk=declined.pk, closed_at=None).update(closed_at=Now())
    return charge is None


def _adopt(declined: Payment, charge: Charge) -> None:
    """Write down, as the answer to the payment that waits, that the declined one took the money after all."""
    logger.error("payment %s was declined, and took the money later: %s", declined, charge.provider_id)
    waiting = Payment.objects.filter(reference=declined.reference, status=Status.PENDING, gateway=declined.gateway)
    answer = {"status": Status.SUCCEEDED, "provider_id": charge.provider_id, "last_error": f"taken by {declined.key}"}
    waiting.update(**answer, sent_at=Now(), answered_at=Now())


def _reach_gateway(payment: Payment) -> Gateway:
    connection.close()  # if the provider hangs, it must not hold the shop's connections too
    return get_gateway(payment.gateway)


def _make_request(payment: Payment) -> ChargeRequest:
    return ChargeRequest(
        key=payment.key,
        reference=payment.reference,
        number=payment.number,
        amount=payment.amount,
        currency=payment.currency,
        payment_method=payment.payment_method,
        sent_at=payment.sent_at or payment.created_at,
        only_refused=payment.only_refused,
    )


def _record_answer(
    payment: Payment,
    *,
    status: Status,
    provider_id: str | None = None,
    decline_code: str = "",
    last_error: str | None = None,
) -> None:
    # Compare and set: if two tasks hear the same answer, one of them writes it. No answer ever replaces another. It is
    # written to the payment that was asked for: a late one may find that the reference has another payment by now.
    answer = [status.value, provider_id, decline_code, last_error, payment.pk]  # known nowhere else
    if run_again_if_lost(partial(_execute, RECORD_ANSWER, answer)):
        return
    known = Payment.objects.get(pk=payment.pk)
    contradicts = known.provider_id != provider_id  # both None: both say that nothing was taken
    level = logging.ERROR if contradicts else logging.INFO
    logger.log(level, "payment %s was answered again: %s", known, answer)


def _record_error(payment: Payment, error: GatewayUnavailable) -> None:
    # If this comes so late that another process asks by now, that one's mark and error stay.
    refused = payment.only_refused and isinstance(error, RequestRefused)
    noted = [_make_storable(error), refused, payment.pk, payment.in_flight_until]
    run_again_if_lost(partial(_execute, RECORD_ERROR, noted))


def _execute(statement: str, parameters: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def _make_storable(error: GatewayUnavailable) -> str:
    """Take out what JSON can hold and PostgreSQL's text can't: NUL, and half of a surrogate pair."""
    return str(error).replace("\0", "").encode(errors="replace").decode()[:1000]
