"""The audit: it compares the rows with each other, and with each provider's own ledger."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import inf
from typing import Any, TypedDict

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from audit.differences import ACCEPT_REVIEWED
from audit.invariants import CHECKS
from audit.ledger import (
    AUDITS,
    BEGINNING,
    LEDGER_TIMEOUT,
    LEDGERS,
    AuditIsRunning,
    copied_ledger,
    open_cursor,
    try_lock,
)
from audit.models import AuditRun
from audit.reconciliation import record_differences
from payments.gateway import GatewayUnavailable, read_times_to_pay
from purge import delete_in_batches

MAX_CODES = 1000  # in one violation: a report stays readable


class Violation(TypedDict):
    invariant: str
    codes: list[str]
    detail: str


class Report(TypedDict):
    ok: bool
    checked: dict[str, int]
    violations: list[Violation]


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


def audit_orders(*, since: datetime = BEGINNING, within: float = inf) -> Report:
    """Check A1 to A10 on one snapshot of the database; change nothing.

    Each provider's ledger is compared for the orders placed since `since`. It is read before the snapshot is taken, so
    an order that ended in between is not compared with it: the audit is right while orders flow.
    Raises GatewayUnavailable if the provider can't be asked, or if a list takes longer than `within` seconds.
    """
    with copied_ledger(since=since, within=within) as copy:
        return _check_orders(copy.started, since)


def _check_orders(started: datetime, since: datetime) -> Report:
    with transaction.atomic(settings.SESSION_DATABASE, durable=True), open_cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(COUNTS)
        names = ("orders", "lines", "stocks", "movements", "charges", "needs_review")
        checked = dict(zip(names, cursor.fetchone(), strict=True))
        cursor.execute(ACCEPT_REVIEWED)
        violations = list(_find_violations(started, since))
    return {"ok": not violations, "checked": checked, "violations": violations}


def _find_violations(started: datetime, since: datetime) -> Iterator[Violation]:
    params: dict[str, Any] = {
        "started": started,
        "since": since,
        "expires_after": settings.ORDER_EXPIRES_AFTER,
        "times_to_pay": json.dumps({name: time.total_seconds() for name, time in read_times_to_pay().items()}),
        "sweep_grace": settings.SWEEP_GRACE,
        "pending_grace": settings.PENDING_GRACE,
        "review_grace": settings.REVIEW_GRACE,
        "most": MAX_CODES,
    }
    with open_cursor() as cursor:
        for check in CHECKS:
            cursor.execute(FIRST_CODES.format(sql=check.sql), params)
            if codes := sorted(code for (code,) in cursor.fetchall()):
                yield {"invariant": check.invariant, "codes": codes, "detail": check.detail}


def record_audit() -> AuditRun:
    """Audit the orders of the last AUDIT_DAYS, and keep the report for AUDIT_RUN_DAYS. Write down what differs, too.

    The run is not ok if the provider can't be asked. While somebody reconciles, which may take half an hour, nothing is
    written down of what differs: who reconciles does so. Raises AuditIsRunning, having done nothing.
    """
    since = timezone.now() - timedelta(days=settings.AUDIT_DAYS)
    with try_lock(AUDITS) as is_only, try_lock(LEDGERS) as may_record:
        if not is_only:
            raise AuditIsRunning
        try:
            with copied_ledger(since=since, within=LEDGER_TIMEOUT) as copy:
                if may_record:
                    record_differences(copy)
                report: dict[str, Any] = {**_check_orders(copy.started, since)}
        except GatewayUnavailable as error:
            report = {"ok": False, "error": str(error)}
        long_ago = AuditRun.objects.filter(created_at__lt=Now() - timedelta(days=settings.AUDIT_RUN_DAYS))
        delete_in_batches(long_ago, order_by="pk")
        return AuditRun.objects.create(ok=report["ok"], report=report)
