"""What beat asks for between the audits that people ask for: both jobs tell the log what is wrong."""

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
        raise Ignore from None  # no success, so that an audit that never ends is seen to be overdue
    if not run.ok:
        logger.error("the audit is not clean: %s", run.report)
