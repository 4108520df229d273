"""A copy of each provider's own ledger, in temporary tables of this session, for whoever compares it with our rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from math import inf

from django.conf import settings
from django.db import connection

from payments.gateway import MAX_CLOCK_DIFFERENCE, get_gateway

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
AUDIT_LOCK = 2  # the first key of an advisory lock; orders.checkout has another
LEDGER_TIMEOUT = 20 * 60.0  # seconds: at the task's time limit its worker would end, and the charges in it
PAGE = 1000  # rows that are copied at once

TABLES = """
CREATE TEMP TABLE audit_charge (
    gateway text, provider_id text, reference text, amount bigint, refunded bigint, currency text,
    created_at timestamptz
)
"""


class AuditIsRunning(Exception):
    """Another process reads the ledgers. A second one would only take one more thread from the charges."""


@contextmanager
def copied_ledger(*, since: datetime = BEGINNING, within: float = inf) -> Iterator[datetime]:
    """Fill audit_charge with what was charged at `since` or later, and drop it at the end.

    Yields the database's time from before the first charge was read: what was written after that time may be missing in
    the copy. The lists go by in pages, so a million charges take no more memory than a thousand. Raises
    GatewayUnavailable if a provider can't be asked, or if a list takes longer than `within` seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
    try:
        yield _copy_charges(since, within)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS audit_charge")


def _copy_charges(since: datetime, within: float) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        started: datetime = cursor.fetchone()[0]
        for name in settings.PAYMENT_GATEWAYS:
            charges = get_gateway(name).list_charges(since=since - MAX_CLOCK_DIFFERENCE, within=within)
            # Read each page before its COPY begins, so that no statement waits for the provider.
            while page := list(islice(charges, PAGE)):
                with cursor.copy("COPY audit_charge FROM STDIN") as copy:
                    for charge in page:
                        amounts = charge.amount, charge.refunded, charge.currency
                        copy.write_row((name, charge.provider_id, charge.reference, *amounts, charge.created_at))
        cursor.execute("ANALYZE audit_charge")
    return started


@contextmanager
def lock_ledgers() -> Iterator[None]:
    """Be the only one that reads the ledgers to write down what it finds. Raises AuditIsRunning."""
    with connection.cursor() as cursor:
        # The lock belongs to the session: if this process is killed, PostgreSQL gives it back.
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [AUDIT_LOCK])
        if not cursor.fetchone()[0]:
            raise AuditIsRunning
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [AUDIT_LOCK])
