"""Does everything hold? The rows are held against each other, and against the provider's own ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import inf
from typing import Any, TypedDict

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from audit.invariants import CHECKS
from audit.models import AuditRun
from payments.gateway import GatewayUnavailable, get_gateway

MAX_CODES = 1000  # of one violation
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
MARGIN = timedelta(hours=1)  # between the provider's clock and ours, at most
AUDITS = 2  # the first key of our advisory locks: see orders.checkout
LIST_WITHIN = 20 * 60.0  # seconds: less than the task's limit, which ends its worker and the charges in it


class Violation(TypedDict):
    invariant: str
    codes: list[str]
    detail: str


class Report(TypedDict):
    ok: bool
    checked: dict[str, int]
    violations: list[Violation]


CHARGES = """
CREATE TEMP TABLE audit_charge (provider_id text, reference text, amount bigint, refunded bigint, currency text)
"""

COUNTS = """
SELECT (SELECT COUNT(*) FROM orders_order), (SELECT COUNT(*) FROM orders_orderline),
    (SELECT COUNT(*) FROM catalog_stock), (SELECT COUNT(*) FROM catalog_stockmovement),
    (SELECT COUNT(*) FROM audit_charge), (SELECT COUNT(*) FROM orders_order WHERE needs_review)
"""


class AuditIsRunning(Exception):
    """Another one, which is not over: a second would only take one more thread from the charges."""


def audit_orders(*, since: datetime = BEGINNING, within: float = inf) -> Report:
    """Check A1 to A9 on one snapshot of the database; change nothing. The provider is asked about orders since `since`.

    Safe while orders flow: the ledger is read before the snapshot is taken, and is not held against an order that
    became final in between. Raises GatewayUnavailable where the provider can't be asked, or its list takes longer than
    `within` seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute(CHARGES)
    try:
        started = _copy_charges(since, within)
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SET LOCAL statement_timeout = 0")
            violations = list(_find_violations(started, since))
            cursor.execute(COUNTS)
            names = ("orders", "lines", "stocks", "movements", "charges", "needs_review")
            checked = dict(zip(names, cursor.fetchone(), strict=True))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS audit_charge")
    return {"ok": not violations, "checked": checked, "violations": violations}


def _copy_charges(since: datetime, within: float) -> datetime:
    """Fill audit_charge; return the database's time before the first charge was read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        started: datetime = cursor.fetchone()[0]
        charges = get_gateway().list_charges(since=since - MARGIN, within=within)
        while page := list(islice(charges, 1000)):  # read first: no statement waits for the provider
            with cursor.copy("COPY audit_charge FROM STDIN") as copy:
                for charge in page:
                    copy.write_row(
                        (charge.provider_id, charge.reference, charge.amount, charge.refunded, charge.currency)
                    )
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
    }
    with connection.cursor() as cursor:
        for check in CHECKS:
            cursor.execute(check.sql, params)
            if codes := sorted(code for (code,) in cursor.fetchmany(MAX_CODES)):
                yield {"invariant": check.invariant, "codes": codes, "detail": check.detail}


def record_audit() -> AuditRun:
    """Audit the last AUDIT_DAYS, and keep the report for a month. It is not ok if the provider can't be asked.

    Raises AuditIsRunning, having done nothing.
    """
    with _only_audit():
        return _record_audit()


@contextmanager
def _only_audit() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [AUDITS])  # it ends with the session, however that ends
        if not cursor.fetchone()[0]:
            raise AuditIsRunning
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [AUDITS])


def _record_audit() -> AuditRun:
    now = timezone.now()
    since = now - timedelta(days=settings.AUDIT_DAYS)
    try:
        report: dict[str, Any] = {**audit_orders(since=since, within=LIST_WITHIN)}
    except GatewayUnavailable as error:
        report = {"ok": False, "error": str(error)}
    AuditRun.objects.filter(created_at__lt=Now() - timedelta(days=30)).delete()
    return AuditRun.objects.create(ok=report["ok"], report=report)
