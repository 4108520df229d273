"""One request to the provider: its mark in the payment's row before it goes out, and its answer there afterwards."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from database_errors import execute_impatiently, run_again_if_lost
from payments.gateway import (
    ChargeRequest,
    Gateway,
    GatewayUnavailable,
    PaymentProcessing,
    RequestRefused,
    get_gateway,
    read_timeout,
    read_times_to_pay,
)
from payments.models import Payment
from payments.processes import is_dead, name_process
from spans import span

logger = structlog.stdlib.get_logger(__name__)
Status = Payment.Status

FIELDS = [field.attname for field in Payment._meta.concrete_fields]

# After a request's time is over, nobody begins another for so long: its process may still be writing the answer down.
IN_FLIGHT_MARGIN = timedelta(seconds=0.5)
# Its parameters are those of list_timeouts.
IN_FLIGHT_UNTIL = "statement_timestamp() + make_interval(secs => %s + coalesce((%s::jsonb ->> gateway)::float8, 0))"

# SQL, because each charge runs two of these: the ORM took longer to write them than PostgreSQL to run them. Each is a
# transaction of its own, so what it wrote is on disk once it returns.
MARK_SENT = f"""
UPDATE payments_payment SET
    -- While the customer has to act at the bank, that is what is known.
    status = CASE status WHEN 'PENDING' THEN 'SENT' ELSE status END,
    -- The provider binds the key to what comes with it first, so a shop that has moved keeps the address.
    return_url = CASE status WHEN 'PENDING' THEN %s ELSE return_url END,
    requests = requests + 1, sent_at = coalesce(sent_at, statement_timestamp()),
    in_flight_until = {IN_FLIGHT_UNTIL},
    in_flight_by = %s,
    -- If a request's mark is still there, nobody wrote down an answer to it: it may have done anything.
    only_refused = status = 'PENDING' OR in_flight_until IS NULL AND only_refused
WHERE reference = %s AND status = ANY(%s) AND (cancel_requested_at IS NULL OR %s) AND requests < %s
    AND (in_flight_until IS NULL OR in_flight_until <= statement_timestamp())
    AND NOT (status = 'PENDING' AND gateway = ANY(%s)) -- its customer has not paid yet, as far as anybody knows
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
WHERE id = %s AND status IN ('SENT', 'ACTION_REQUIRED')
"""
# No final answer: it is written only by whoever asked last. To hear the same again is no trouble, so it is not counted.
RECORD_ACTION = """
UPDATE payments_payment SET
    status = 'ACTION_REQUIRED', action_required_at = coalesce(action_required_at, statement_timestamp()),
    requests = CASE status WHEN 'ACTION_REQUIRED' THEN greatest(requests - 1, 0) ELSE requests END,
    last_error = '', only_refused = FALSE, in_flight_until = NULL, in_flight_by = ''
WHERE id = %s AND status IN ('SENT', 'ACTION_REQUIRED') AND in_flight_until = %s
"""
RECORD_ERROR = """
UPDATE payments_payment SET
    status = coalesce(%s, status), last_error = %s, only_refused = %s, in_flight_until = NULL, in_flight_by = ''
WHERE id = %s AND status IN ('SENT', 'ACTION_REQUIRED') AND in_flight_until = %s
"""


def mark_sent(reference: str, *, askable: Sequence[Status], cancelling: bool = False) -> Payment | None:
    """Write down that this process asks the provider now. Return None if it must not, or if another process asks.

    The mark is taken away with the answer or the error. If the process is killed, the mark runs out with its request.
    """
    # Durable: the row is on disk before the provider hears of it, and a transaction around this is an error. The count
    # is on disk too, so that a request that kills its worker each time is not made for ever.
    if connection.in_atomic_block:
        raise RuntimeError("SENT has to be durable before the provider is asked: no transaction may be open here")
    return_url = settings.PAYMENT_RETURN_URL.format(reference=reference)
    mark = [return_url, *list_timeouts(), name_process()]
    names = [status.value for status in askable]
    asked = [reference, names, cancelling, settings.PAYMENT_MAX_REQUESTS, [*read_times_to_pay()]]
    with connection.cursor() as cursor:
        # Impatiently: somebody may hold the row, and other payments need this thread.
        execute_impatiently(cursor, MARK_SENT, mark + asked)
        row = cursor.fetchone()
    return Payment.from_db(connection.alias, FIELDS, row) if row else None


def list_timeouts() -> list[float | str]:
    """The parameters of IN_FLIGHT_UNTIL: the margin, and how long a request to each gateway may take."""
    timeouts = {name: read_timeout(name) for name in settings.PAYMENT_GATEWAYS}
    return [IN_FLIGHT_MARGIN.total_seconds(), json.dumps(timeouts)]


def reach_gateway(name: str) -> Gateway:
    """The gateway, for a call that may hang: it must not hold the shop's connections to the database too."""
    connection.close()
    return get_gateway(name)


@contextmanager
def calling(verb: str, key: str) -> Iterator[None]:
    """A call to the provider under this key. The log says how long it took, and what came of it."""
    begun, outcome = time.monotonic(), "done"
    try:
        with span(f"{verb} at the provider", key=key):
            yield
    except Exception as error:  # which is the answer, such as CardDeclined, or that there was none
        outcome = type(error).__name__
        raise
    finally:
        seconds = round(time.monotonic() - begun, 3)
        logger.info("the provider was asked", call=verb, key=key, outcome=outcome, seconds=seconds)


def make_request(payment: Payment) -> ChargeRequest:
    return ChargeRequest(
        key=payment.key,
        reference=payment.reference,
        number=payment.number,
        amount=payment.amount,
        currency=payment.currency,
        payment_method=payment.payment_method,
        sent_at=payment.sent_at or payment.created_at,
        return_url=payment.return_url,
        only_refused=payment.only_refused,
    )


def record_answer(
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
    if run_again_if_lost(partial(execute, RECORD_ANSWER, answer)):
        return
    known = Payment.objects.get(pk=payment.pk)
    contradicts = known.provider_id != provider_id  # both None: both say that nothing was taken
    level = logging.ERROR if contradicts else logging.INFO
    logger.log(level, "the payment was answered again", key=known.key, was=known.status, outcome=status.value)


def record_action(payment: Payment) -> None:
    """Write down that the customer has to act. If another process asks by now, what that one hears is newer."""
    run_again_if_lost(partial(execute, RECORD_ACTION, [payment.pk, payment.in_flight_until]))


def record_error(payment: Payment, error: GatewayUnavailable) -> None:
    # If this comes so late that another process asks by now, that one's mark and error stay.
    refused = payment.only_refused and isinstance(error, RequestRefused)
    status = Status.SENT.value if isinstance(error, PaymentProcessing) else None  # the customer has nothing left to do
    noted = [status, make_storable(error), refused, payment.pk, payment.in_flight_until]
    run_again_if_lost(partial(execute, RECORD_ERROR, noted))


def execute(statement: str, parameters: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def make_storable(error: Exception) -> str:
    """Take out what JSON can hold and PostgreSQL's text can't: NUL, and half of a surrogate pair."""
    return str(error).replace("\0", "").encode(errors="replace").decode()[:1000]


def end_dead_requests() -> None:
    """End the time of marks whose process ran on this host and is dead: nobody will write that answer down.

    The mark itself stays in the row, because what the request did is unknown.
    """
    in_flight = Payment.objects.asked().filter(in_flight_until__gt=Now())
    names = in_flight.values_list("in_flight_by", flat=True).distinct()
    dead = [name for name in names if is_dead(name)]
    if dead:
        with transaction.atomic():
            orphaned = in_flight.filter(in_flight_by__in=dead).select_for_update(skip_locked=True)
            Payment.objects.filter(pk__in=orphaned.values("pk")).update(in_flight_until=Now())
