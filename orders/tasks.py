"""What the orders worker does, and how an order gets there. Messages carry codes only: the rows say what is true."""

import logging
from datetime import datetime, timedelta

from celery import chain, shared_task
from django.conf import settings
from django.utils import timezone

from orders import audit, mails, services
from payments.tasks import cancel_payment, charge_payment

logger = logging.getLogger(__name__)


def process_order(code: str, *, expired: bool = False, until: datetime | None = None) -> None:
    """Publish the chain that ends an order: charge its payment (or, past its deadline, cancel it), then finalize it.

    Safe to repeat. Raises kombu's OperationalError when the broker is down, after about a second.
    """
    pay = cancel_payment if expired else charge_payment
    # A message that waits beyond the next sweep is dropped: that sweep publishes another, and two would do no more.
    until = until or timezone.now() + timedelta(seconds=settings.SWEEP_AFTER)
    chain(pay.si(code), finalize_order.si(code)).apply_async(expires=until)


@shared_task
def finalize_order(code: str) -> None:
    services.finalize_order(code=code)


@shared_task
def sweep_stuck_orders() -> None:
    for claim in services.claim_stuck_orders():
        process_order(claim.code, expired=claim.expired, until=claim.until)


@shared_task
def audit_orders() -> None:
    run = audit.record_audit()
    if not run.ok:
        logger.error("the audit is not clean: %s", run.report)


@shared_task
def send_due_mails() -> None:
    mails.send_due_mails()
