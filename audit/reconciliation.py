"""The reconciliation: what each provider's ledger and our rows say differently is written down, until it is gone."""

from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any

from django.conf import settings
from django.db import transaction

from audit.differences import COLUMNS, COUNT_MATCHED, QUERIES
from audit.ledger import BEGINNING, copied_ledger, lock_ledgers, open_cursor

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
# Only what this ledger would show: a shorter list says nothing of what happened before it begins.
CLOSE = """
UPDATE audit_difference SET resolution = 'gone', resolved_at = now()
WHERE resolution = '' AND refund_requested_at IS NULL AND last_seen_at < now()
    AND occurred_at >= %(since)s AND gateway = ANY(%(gateways)s)
"""


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """How many charges the ledgers have, how many our rows have just so, and how many differences came and went."""

    charges: int
    matched: int
    opened: int
    closed: int


def reconcile(*, since: datetime = BEGINNING, within: float = inf) -> Reconciliation:
    """Compare each provider's ledger since `since` with our rows, both ways, and write down what differs.

    A repeat writes nothing new. A difference that has gone is closed. Payments that are being asked for are no
    difference. Raises AuditIsRunning, or GatewayUnavailable if a provider can't be asked or takes longer than `within`
    seconds, having written nothing.
    """
    with lock_ledgers(), copied_ledger(since=since, within=within) as started:
        return record_differences(started=started, since=since)


def record_differences(*, started: datetime, since: datetime) -> Reconciliation:
    """Write down what differs from the copied ledger. The caller holds lock_ledgers, or an older copy could win."""
    params: dict[str, Any] = {"started": started, "since": since, "gateways": list(settings.PAYMENT_GATEWAYS)}
    with transaction.atomic(settings.SESSION_DATABASE, durable=True), open_cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(FOUND, params)
        cursor.execute(OPEN)
        opened = sum(is_new for (is_new,) in cursor.fetchall())
        cursor.execute(CLOSE, params)
        closed = cursor.rowcount
        cursor.execute(f"SELECT (SELECT count(*) FROM audit_charge), ({COUNT_MATCHED})")
        charges, matched = cursor.fetchone()
    return Reconciliation(charges=charges, matched=matched, opened=opened, closed=closed)
