"""One request for a refund: its mark in the refund's row before it goes out, and its answer there afterwards."""

import logging
from functools import partial

import structlog
from django.db import connection

from database_errors import execute_impatiently, run_again_if_lost
from payments.gateway import GatewayUnavailable
from payments.refund_models import Refund
from payments.requests import IN_FLIGHT_UNTIL, execute, list_timeouts, make_storable

logger = structlog.stdlib.get_logger(__name__)
Status = Refund.Status

FIELDS = [field.attname for field in Refund._meta.concrete_fields]

MARK_ASKED = f"""
UPDATE payments_refund SET
    requests = requests + 1, sent_at = coalesce(sent_at, statement_timestamp()),
    in_flight_until = {IN_FLIGHT_UNTIL}
WHERE key = %s AND status = 'REQUESTED' AND (in_flight_until IS NULL OR in_flight_until <= statement_timestamp())
RETURNING {", ".join(FIELDS)}
"""  # noqa: S608 - the names of our own columns
RECORD_ANSWER = """
UPDATE payments_refund SET
    status = %s, provider_id = coalesce(%s, provider_id), failure_code = %s, last_error = %s,
    answered_at = statement_timestamp(), checked_at = statement_timestamp(), in_flight_until = NULL
WHERE id = %s AND status = 'REQUESTED'
"""
RECORD_ERROR = """
UPDATE payments_refund SET last_error = %s, in_flight_until = NULL
WHERE id = %s AND status = 'REQUESTED' AND in_flight_until = %s
"""
# The money came back from the customer's bank. Whoever has drawn the consequences of its success hears of it again.
RECORD_LATE_FAILURE = """
UPDATE payments_refund SET
    status = 'FAILED', failure_code = %s, answered_at = statement_timestamp(), checked_at = statement_timestamp(),
    recorded_at = NULL, sweep_after = statement_timestamp()
WHERE id = %s AND status = 'SUCCEEDED'
"""


def mark_asked(key: str) -> Refund | None:
    """Write down that this process asks the provider now. Return None if it must not, or if another process asks.

    The mark is taken away with the answer or the error. If the process is killed, the mark runs out with its request.
    """
    if connection.in_atomic_block:
        raise RuntimeError("The mark has to be durable before the provider is asked: no transaction may be open here")
    with connection.cursor() as cursor:
        execute_impatiently(cursor, MARK_ASKED, [*list_timeouts(), key])
        row = cursor.fetchone()
    return Refund.from_db(connection.alias, FIELDS, row) if row else None


def record_answer(
    refund: Refund, *, status: Status, provider_id: str | None = None, failure_code: str = "", last_error: str = ""
) -> None:
    # Compare and set: if two tasks hear an answer, one of them writes it. No answer ever replaces another.
    answer = [status.value, provider_id, failure_code, last_error, refund.pk]
    if run_again_if_lost(partial(execute, RECORD_ANSWER, answer)):
        return
    known = Refund.objects.get(pk=refund.pk)
    level = logging.INFO if known.status == status else logging.ERROR
    logger.log(level, "the refund was answered again", key=known.key, was=known.status, outcome=str(status))


def record_error(refund: Refund, error: GatewayUnavailable) -> None:
    # If this comes so late that another process asks by now, that one's mark and error stay.
    noted = [make_storable(error), refund.pk, refund.in_flight_until]
    run_again_if_lost(partial(execute, RECORD_ERROR, noted))


def record_late_failure(refund: Refund, failure_code: str) -> None:
    run_again_if_lost(partial(execute, RECORD_LATE_FAILURE, [failure_code, refund.pk]))
