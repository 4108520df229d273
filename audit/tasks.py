"""The tasks by which beat audits the shop and looks whether anybody is at work. They log what is wrong."""

from datetime import timedelta

import structlog
from celery import shared_task
from celery.exceptions import Ignore
from django.conf import settings
from django.utils import timezone

from audit import ledger, liveness, reconciliation, services, surplus
from audit.models import Difference, LedgerPass
from payments.gateway import GatewayUnavailable
from payments.tasks import look_up_dispute

logger = structlog.stdlib.get_logger(__name__)


@shared_task
def check_liveness() -> None:
    for trouble in liveness.check_liveness().troubles:
        logger.error("the shop is not at work", reason=str(trouble))


@shared_task(time_limit=30 * 60)
def record_audit() -> None:
    surplus.refund_all_surplus()
    try:
        run = services.record_audit()
    except ledger.AuditIsRunning:
        raise Ignore from None  # not a success: if the running audit never ends, the liveness check has to see that
    _look_up_disputes()
    if not run.ok:
        logger.error("the audit is not clean", run=run.pk, report=run.report)


@shared_task(time_limit=30 * 60)
def reconcile() -> None:
    """The audit does the same with its shorter list. This one finds what becomes of charges long afterwards."""
    since = timezone.now() - timedelta(days=settings.RECONCILE_DAYS)
    try:
        reconciliation.go_on_reconciling(since=since, within=ledger.LEDGER_TIMEOUT)
    except ledger.AuditIsRunning:
        raise Ignore from None
    except GatewayUnavailable as error:
        logger.error("the ledgers can't be compared", reason=str(error))
        raise Ignore from None  # no success: if it never is one, the liveness check says so
    _look_up_disputes()
    if slow := list(LedgerPass.objects.slow().values_list("gateway", flat=True)):
        logger.error("the reconciliation can't keep up: set RECONCILE_EVERY to less", gateways=slow)
    if count := Difference.objects.unresolved().count():
        logger.error("differences from the providers' ledgers are open", count=count)


@shared_task
def refund_surplus(pk: int) -> None:
    try:
        surplus.refund_surplus(pk=pk)
    except GatewayUnavailable as error:
        logger.warning("the refund of a difference is unknown", difference=pk, reason=str(error))


def _look_up_disputes() -> None:
    """Ask for those whose webhook was lost. There is nothing to decide, and their deadline runs."""
    lost = Difference.objects.unresolved().filter(kind=Difference.Kind.DISPUTE_DIFFERS).exclude(reference="")
    for gateway, provider_id in lost.values_list("gateway", "provider_id"):
        look_up_dispute.delay(gateway, provider_id)
