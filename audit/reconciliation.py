"""The reconciliation: what each provider's ledger and our rows say differently is written down, until it is gone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from math import inf
from time import monotonic
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from audit.differences import CARRY, COLUMNS, COUNT, QUERIES
from audit.ledger import BEGINNING, END, Copy, copied_part, lock_ledgers, open_cursor
from audit.models import LedgerPass
from payments.gateway import MAX_CLOCK_DIFFERENCE

# A difference that was resolved while the ledger was being read is in the copy as it was before.
FOUND = f"""
CREATE TEMP TABLE audit_found ON COMMIT DROP AS
SELECT * FROM ({" UNION ALL ".join(f"SELECT '{kind}', * FROM ({sql}) same" for kind, sql in QUERIES.items())})
    AS found (kind, {COLUMNS})
WHERE NOT EXISTS (
    SELECT FROM audit_difference known
    WHERE (known.kind, known.gateway, known.provider_id) = (found.kind, found.gateway, found.provider_id)
        AND known.resolved_at >= %(started)s
)
"""
OPEN = f"""
INSERT INTO audit_difference (kind, {COLUMNS}) SELECT kind, {COLUMNS} FROM audit_found
ON CONFLICT (
    kind, gateway, provider_id, amount_there, currency_there, amount_here, currency_here, status_there, status_here
) WHERE resolution IN ('', 'reviewed')
DO UPDATE SET last_seen_at = now()
RETURNING xmax = 0
"""
# Only what this copy would show: it says nothing of what is older or newer, or was paid after it began.
CLOSE = """
UPDATE audit_difference difference SET resolution = 'gone', resolved_at = now()
WHERE resolution = '' AND refund_requested_at IS NULL AND last_seen_at < now() AND gateway = ANY(%(gateways)s)
    AND CASE kind
        WHEN 'missing_there' THEN occurred_at >= %(paid_since)s AND occurred_at < %(paid_until)s AND NOT EXISTS (
            SELECT FROM payments_payment payment
            WHERE (payment.gateway, payment.provider_id) = (difference.gateway, difference.provider_id)
                AND payment.status = 'SUCCEEDED' AND payment.answered_at >= %(began)s
        )
        ELSE occurred_at >= %(since)s AND occurred_at < %(until)s
    END
"""


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """How many charges the ledgers have, how many our rows have just so, and how many differences came and went."""

    charges: int
    matched: int
    opened: int
    closed: int


class Part(NamedTuple):
    """What came of a part of a gateway's list, and what the older parts have to know of it."""

    done: Reconciliation
    since: datetime
    began: datetime
    carried: Sequence[int]


def reconcile(*, since: datetime = BEGINNING) -> Reconciliation:
    """Compare each provider's ledger since `since` with our rows, both ways, and write down what differs.

    A repeat writes nothing new. A difference that has gone is closed. Payments that are being asked for are no
    difference. Each part of a list is written down by itself. Raises AuditIsRunning, having written nothing, or
    GatewayUnavailable.
    """
    with lock_ledgers():
        parts = [part.done for name in settings.PAYMENT_GATEWAYS for part in _compare(name, since=since)]
    names = [field.name for field in fields(Reconciliation)]
    return Reconciliation(**{name: sum(getattr(part, name) for part in parts) for name in names})


def go_on_reconciling(*, since: datetime, within: float) -> None:
    """Do the same for `within` seconds, and go on where the last call stopped. After the end it begins anew."""
    with lock_ledgers():
        for name in settings.PAYMENT_GATEWAYS:
            _go_on(name, since=since, end=monotonic() + within / len(settings.PAYMENT_GATEWAYS))


def _go_on(name: str, *, since: datetime, end: float) -> None:
    LedgerPass.objects.get_or_create(gateway=name)
    progress = LedgerPass.objects.filter(gateway=name)
    until, began, carried = progress.values_list("compared_since", "began_at", "carried").get()
    for part in _compare(name, since=since, until=until or END, began=began, carried=carried, end=end):
        progress.update(compared_since=part.since, began_at=part.began, carried=part.carried)
        if monotonic() > end:
            return
    progress.update(compared_since=None, began_at=None, carried=[], ended_at=Now())


def _compare(
    name: str,
    *,
    since: datetime,
    until: datetime = END,
    began: datetime | None = None,
    carried: Sequence[int] = (),
    end: float = inf,
) -> Iterator[Part]:
    """Compare a gateway's list, part by part and the newest first, and write down what differs in each."""
    listed_since = since - MAX_CLOCK_DIFFERENCE
    while until > listed_since:
        with copied_part(name, since=listed_since, until=until, began=began, end=end) as copy:
            done = record_differences(copy, carried=carried)
            until, began, carried = copy.since, copy.began, _find_carried(copy, carried)
        yield Part(done, until, began, carried)


def record_differences(copy: Copy, *, carried: Sequence[int] = ()) -> Reconciliation:
    """Write down what differs from the copied ledger. The caller holds lock_ledgers, or an older copy could win."""
    params = _describe(copy, carried)
    with transaction.atomic(settings.SESSION_DATABASE, durable=True), open_cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(FOUND, params)
        cursor.execute(OPEN)
        opened = sum(is_new for (is_new,) in cursor.fetchall())
        cursor.execute(CLOSE, params)
        closed = cursor.rowcount
        cursor.execute(COUNT)
        charges, matched = cursor.fetchone()
    return Reconciliation(charges=charges, matched=matched, opened=opened, closed=closed)


def _find_carried(copy: Copy, carried: Sequence[int]) -> list[int]:
    with transaction.atomic(settings.SESSION_DATABASE, durable=True), open_cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(CARRY, _describe(copy, carried))
        return [pk for (pk,) in cursor.fetchall()]


def _describe(copy: Copy, carried: Sequence[int]) -> dict[str, Any]:
    names = ("gateways", "started", "began", "since", "until", "paid_since", "paid_until")
    return {**{name: getattr(copy, name) for name in names}, "carried": list(carried)}
