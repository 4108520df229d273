"""A copy of each provider's own ledger, in temporary tables of this session, for whoever compares it with our rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from math import inf

from django.conf import settings
from django.db import connections
from django.db.backends.utils import CursorWrapper

from payments.gateway import MAX_CLOCK_DIFFERENCE, Charge, ProviderDispute, get_gateway

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
AUDIT_LOCK = 2  # the first key of an advisory lock; orders.checkout has another
LEDGER_TIMEOUT = 20 * 60.0  # seconds: at the task's time limit its worker would end, and the charges in it
PAGE = 1000  # rows that are copied at once

TABLES = """
CREATE TEMP TABLE audit_charge (
    gateway text, provider_id text, reference text, amount bigint, refunded bigint, owed bigint, currency text,
    created_at timestamptz
);
CREATE TEMP TABLE audit_dispute (
    gateway text, provider_id text, charge_id text, amount bigint, currency text, status text, created_at timestamptz
)
"""


class AuditIsRunning(Exception):
    """Another process reads the ledgers. A second one would only take one more thread from the charges."""


def open_cursor() -> CursorWrapper:
    """A cursor of the session that keeps temporary tables and locks between transactions, past any pooler."""
    return connections[settings.SESSION_DATABASE].cursor()


@contextmanager
def copied_ledger(*, since: datetime = BEGINNING, within: float = inf) -> Iterator[datetime]:
    """Fill audit_charge and audit_dispute with what happened at `since` or later, and drop them at the end.

    Yields the database's time from before the first charge was read: what was written after that time may be missing in
    the copy. The lists go by in pages, so a million charges take no more memory than a thousand. Raises
    GatewayUnavailable if a provider can't be asked, or if a list takes longer than `within` seconds.
    """
    with open_cursor() as cursor:
        cursor.execute(TABLES)
    try:
        yield _copy_ledgers(since - MAX_CLOCK_DIFFERENCE, within)
    finally:
        with open_cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS audit_charge, audit_dispute")


def _copy_ledgers(since: datetime, within: float) -> datetime:
    with open_cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        started: datetime = cursor.fetchone()[0]
        for name in settings.PAYMENT_GATEWAYS:
            gateway = get_gateway(name)
            charges = gateway.list_charges(since=since, within=within)
            _copy(cursor, "audit_charge", ((name, *list_charge_columns(charge)) for charge in charges))
            disputes = gateway.list_disputes(since=since, within=within)
            _copy(cursor, "audit_dispute", ((name, *list_dispute_columns(dispute)) for dispute in disputes))
        cursor.execute("ANALYZE audit_charge, audit_dispute")
    return started


def list_charge_columns(charge: Charge) -> Sequence[object]:
    amounts = charge.amount, charge.refunded, charge.owed, charge.currency
    return charge.provider_id, charge.reference, *amounts, charge.created_at


def list_dispute_columns(dispute: ProviderDispute) -> Sequence[object]:
    amounts = dispute.amount, dispute.currency, dispute.status.upper()
    return dispute.provider_id, dispute.charge_id, *amounts, dispute.created_at


def _copy(cursor: CursorWrapper, table: str, rows: Iterator[Sequence[object]]) -> None:
    # Read each page before its COPY begins, so that no statement waits for the provider.
    while page := list(islice(rows, PAGE)):
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for row in page:
                copy.write_row(row)


@contextmanager
def lock_ledgers() -> Iterator[None]:
    """Be the only one that reads the ledgers to write down what it finds. Raises AuditIsRunning."""
    with open_cursor() as cursor:
        # The lock belongs to the session: if this process is killed, PostgreSQL gives it back.
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [AUDIT_LOCK])
        if not cursor.fetchone()[0]:
            raise AuditIsRunning
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [AUDIT_LOCK])
