"""The audit: it compares the rows with each other, and with each provider's own ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import inf
from typing import Any, TypedDict

from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Now
from django.utils import timezone

from audit.invariants import CHECKS
from audit.models import AuditRun
from payments.gateway import MAX_CLOCK_DIFFERENCE, GatewayUnavailable, get_gateway

MAX_CODES = 1000  # in one violation: a report stays readable
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
AUDIT_LOCK = 2  # the first key of an advisory lock; orders.checkout has another
LEDGER_TIMEOUT = 20 * 60.0  # seconds: at the task's time limit its worker would end, and the charges in it


class Violation(TypedDict):
    invariant: str
    codes: list[str]
    detail: str


class Report(TypedDict):
    ok: bool
    checked: dict[str, int]
    violations: list[Violation]


CHARGES = """
CREATE TEMP TABLE audit_charge (
    gateway text, provider_id text, reference text, amount bigint, refunded bigint, currency text
)
"""

COUNTS = """
SELECT (SELECT COUNT(*) FROM orders_order), (SELECT COUNT(*) FROM orders_orderline),
    (SELECT COUNT(*) FROM catalog_stock), (SELECT COUNT(*) FROM catalog_stockmovement),
    (SELECT COUNT(*) FROM audit_charge), (SELECT COUNT(*) FROM orders_order WHERE needs_review)
"""


# A CTE, for with a plain LIMIT PostgreSQL would choose plans that find some rows early, and mostly there are none.
FIRST_CODES = """
WITH found (code) AS MATERIALIZED ({sql})
SELECT code FROM found LIMIT %(most)s
"""


class AuditIsRunning(Exception):
    """Another audit is not over yet. A second one would only take one more thread from the charges."""


def audit_orders(*, since: datetime = BEGINNING, within: float = inf) -> Report:
    """Check A1 to A9 on one snapshot of the database; change nothing.

    Each provider's ledger is compared for the orders placed since `since`. It is read before the snapshot is taken, so
    an order that ended in between is not compared with it: the audit is right while orders flow.
    Raises GatewayUnavailable if the provider can't be asked, or if a list takes longer than `within` seconds.
    """
    with _session().cursor() as cursor:
        cursor.execute(CHARGES)
    try:
        started = _copy_charges(since, within)
        with transaction.atomic(settings.SESSION_DATABASE, durable=True), _session().cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SET LOCAL statement_timeout = 0")
            violations = list(_find_violations(started, since))
            cursor.execute(COUNTS)
            names = ("orders", "lines", "stocks", "movements", "charges", "needs_review")
            checked = dict(zip(names, cursor.fetchone(), strict=True))
    finally:
        with _session().cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS audit_charge")
    return {"ok": not violations, "checked": checked, "violations": violations}


def _session() -> BaseDatabaseWrapper:
    """The connection that keeps a temporary table and a lock from one transaction to the next, past any pooler."""
    return connections[settings.SESSION_DATABASE]


def _copy_charges(since: datetime, within: float) -> datetime:
    """Fill audit_charge, and return the database's time from before the first charge was read."""
    with _session().cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        started: datetime = cursor.fetchone()[0]
        for name in settings.PAYMENT_GATEWAYS:
            charges = get_gateway(name).list_charges(since=since - MAX_CLOCK_DIFFERENCE, within=within)
            # Read each page before its COPY begins, so that no statement waits for the provider.
            while page := list(islice(charges, 1000)):
                with cursor.copy("COPY audit_charge FROM STDIN") as copy:
                    for charge in page:
                        amounts = charge.amount, charge.refunded, charge.currency
                        copy.write_row((name, charge.provider_id, charge.reference, *amounts))
        cursor.execute("ANALYZE audit_charge")
    return started


def _find_violations(started: datetime, since: datetime) -> Iterator[Violation]:
    params: dict[str, Any] = {
        "started": started,
        "since": since,
        "expires_after": settings.ORDER_EXPIRES_AFTER,
        "sweep_grace": settings.SWEEP_GRACE,
        "pending_grace": settings.PENDING_GRACE,
        "review_grace": settings.REVIEW_GRACE,
        "most": MAX_CODES,
    }
    with _session().cursor() as cursor:
        for check in CHECKS:
            cursor.execute(FIRST_CODES.format(sql=check.sql), params)
            if codes := sorted(code for (code,) in cursor.fetchall()):
                yield {"invariant": check.invariant, "codes": codes, "detail": check.detail}


def record_audit() -> AuditRun:
    """Audit the orders of the last AUDIT_DAYS, and keep the report for a month.

    The run is not ok if the provider can't be asked. Raises AuditIsRunning, having done nothing.
    """
    since = timezone.now() - timedelta(days=settings.AUDIT_DAYS)
    with _lock_audit():
        try:
            report: dict[str, Any] = {**audit_orders(since=since, within=LEDGER_TIMEOUT)}
        except GatewayUnavailable as error:
            report = {"ok": False, "error": str(error)}
        AuditRun.objects.filter(created_at__lt=Now() - timedelta(days=30)).delete()
        return AuditRun.objects.create(ok=report["ok"], report=report)


@contextmanager
def _lock_audit() -> Iterator[None]:
    with _session().cursor() as cursor:
        # The lock belongs to the session: if this process is killed, PostgreSQL gives it back.
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [AUDIT_LOCK])
        if not cursor.fetchone()[0]:
            raise AuditIsRunning
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [AUDIT_LOCK])
