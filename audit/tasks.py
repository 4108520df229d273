"""The tasks by which beat audits the shop and looks whether anybody is at work. Both log what is wrong."""

import logging

from celery import shared_task
from celery.exceptions import Ignore

from audit import liveness, services

logger = logging.getLogger(__name__)


@shared_task
def check_liveness() -> None:
    for trouble in liveness.check_liveness().troubles:
        logger.error("%s", trouble)


@shared_task(time_limit=30 * 60)
def record_audit() -> None:
    try:
        run = services.record_audit()
    except services.AuditIsRunning:
        raise Ignore from None  # not a success: if the running audit never ends, the liveness check has to see that
    if not run.ok:
        logger.error("the audit is not clean: %s", run.report)
