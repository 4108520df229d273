"""A copy of each provider's own ledger, in temporary tables of this session, for whoever compares it with our rows."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import inf
from time import monotonic

from django.conf import settings
from django.db import connections
from django.db.backends.utils import CursorWrapper

from payments.gateway import MAX_CLOCK_DIFFERENCE, Charge, ProviderDispute, get_gateway

BEGINNING, END = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
AUDIT_LOCK = 2  # the first key of an advisory lock; orders.checkout has another
LEDGERS, AUDITS = 0, 1  # the second key: of those who write down differences, and of the scheduled audit
LEDGER_TIMEOUT = 20 * 60.0  # seconds: at the task's time limit its worker would end, and the charges in it
DISPUTES_TIMEOUT = 5 * 60.0  # seconds for the disputes of a part
LAST_CHARGE_TIMEOUT = 60.0  # seconds after the end of its time, in which a part still waits for a charge that succeeded
PAGE = 1000  # rows that are copied at once
PART = 100_000  # charges; the copy of a part takes some 20 MB of the database's disk

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
    """Another process is at the same already. A second one would only take one more thread from the charges."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What was copied: all that providers have created at `since` or later, by their clocks, and before `until`.

    `started` is the database's time from before the first charge was read: what was written after it may be missing.
    `began` is that time of the newest part of its list: what was paid since then may be in no part.
    """

    gateways: Sequence[str]
    started: datetime
    began: datetime
    since: datetime
    until: datetime = END

    @property
    def paid_since(self) -> datetime:
        """Payments from then on, by our clock, have no charge from before the copy."""
        return self.since + MAX_CLOCK_DIFFERENCE

    @property
    def paid_until(self) -> datetime:
        """Those of then or later were looked for in a copy of what is newer: see `paid_since`."""
        return self.until + MAX_CLOCK_DIFFERENCE


def open_cursor() -> CursorWrapper:
    """A cursor of the session that keeps temporary tables and locks between transactions, past any pooler."""
    return connections[settings.SESSION_DATABASE].cursor()


@contextmanager
def copied_ledger(*, since: datetime = BEGINNING, within: float = inf) -> Iterator[Copy]:
    """Fill audit_charge and audit_dispute with what was paid at `since` or later, and drop them at the end.

    The lists go by in pages, so a million charges take no more memory than a thousand. Raises GatewayUnavailable if a
    provider can't be asked, or if a list takes longer than `within` seconds.
    """
    names, listed_since = list(settings.PAYMENT_GATEWAYS), since - MAX_CLOCK_DIFFERENCE
    with _tables() as cursor:
        started = _read_time(cursor)
        for name in names:
            gateway = get_gateway(name)
            _copy_charges(cursor, name, gateway.list_charges(since=listed_since, within=within))
            _copy_disputes(cursor, name, gateway.list_disputes(since=listed_since, within=within))
        cursor.execute("ANALYZE audit_charge, audit_dispute")
        yield Copy(gateways=names, started=started, began=started, since=listed_since)


@contextmanager
def copied_part(
    name: str, *, since: datetime, until: datetime = END, began: datetime | None = None, end: float = inf
) -> Iterator[Copy]:
    """Do so with the newest part of one gateway's list between two times: PART charges, or those read by `end`.

    `end` is a time of monotonic(). The copy's `since` says how far it goes, and so where the next part ends. A part
    takes in a second at least. `began` is that of the newest part. Raises GatewayUnavailable.
    """
    before = until if until < END else None
    with _tables() as cursor:
        started = _read_time(cursor)
        within = max(0, end - monotonic()) + LAST_CHARGE_TIMEOUT
        charges = get_gateway(name).list_charges(since=since, until=before, within=within)
        part = _Part(charges, end)
        _copy_charges(cursor, name, part)
        if part.left:
            since = part.left + timedelta(seconds=1)
        disputes = get_gateway(name).list_disputes(since=since, until=before, within=DISPUTES_TIMEOUT)
        _copy_disputes(cursor, name, disputes)
        cursor.execute("ANALYZE audit_charge, audit_dispute")
        yield Copy(gateways=[name], started=started, began=began or started, since=since, until=until)


@dataclass
class _Part:
    """The newest charges of a list: whole seconds, as providers count in them.

    After they were read `left` is the newest second that is not among them; None: nothing is left.
    """

    charges: Iterator[Charge]
    end: float
    left: datetime | None = None

    def __iter__(self) -> Iterator[Charge]:
        last = None
        for number, charge in enumerate(self.charges):
            second = charge.created_at.replace(microsecond=0)
            if last and second != last and (number >= PART or monotonic() > self.end):
                self.left = second
                return
            yield charge
            last = second


@contextmanager
def _tables() -> Iterator[CursorWrapper]:
    with open_cursor() as cursor:
        cursor.execute(TABLES)
    try:
        with open_cursor() as cursor:
            yield cursor
    finally:
        with open_cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS audit_charge, audit_dispute")


def _read_time(cursor: CursorWrapper) -> datetime:
    cursor.execute("SELECT statement_timestamp()")
    time: datetime = cursor.fetchone()[0]
    return time


def _copy_charges(cursor: CursorWrapper, name: str, charges: Iterable[Charge]) -> None:
    _copy(cursor, "audit_charge", ((name, *list_charge_columns(charge)) for charge in charges))


def _copy_disputes(cursor: CursorWrapper, name: str, disputes: Iterator[ProviderDispute]) -> None:
    _copy(cursor, "audit_dispute", ((name, *list_dispute_columns(dispute)) for dispute in disputes))


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
    with try_lock(LEDGERS) as is_ours:
        if not is_ours:
            raise AuditIsRunning
        yield


@contextmanager
def try_lock(lock: int) -> Iterator[bool]:
    """Hold LEDGERS or AUDITS to the end of the block, or say at once that somebody else does."""
    with open_cursor() as cursor:
        # The lock belongs to the session: if this process is killed, PostgreSQL gives it back.
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [AUDIT_LOCK, lock])
        is_ours: bool = cursor.fetchone()[0]
        try:
            yield is_ours
        finally:
            if is_ours:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [AUDIT_LOCK, lock])
