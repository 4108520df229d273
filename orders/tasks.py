"""What the orders worker does, and how an order gets there. Messages carry codes only: the rows say what is true."""

import logging

from celery import chain, shared_task

from orders import audit, mails, services
from payments.tasks import cancel_payment, charge_payment

logger = logging.getLogger(__name__)


def process_order(code: str, *, expired: bool = False) -> None:
    """Publish the chain that ends an order: charge its payment (or, past its deadline, cancel it), then finalize it.

    Safe to repeat. Raises kombu's OperationalError when the broker is down, after about a second.
    """
    pay = cancel_payment if expired else charge_payment
    chain(pay.si(code), finalize_order.si(code)).apply_async()


@shared_task
def finalize_order(code: str) -> None:
    services.finalize_order(code=code)


@shared_task
def sweep_stuck_orders() -> None:
    for code, expired in services.claim_stuck_orders():
        process_order(code, expired=expired)


@shared_task
def audit_orders() -> None:
    run = audit.record_audit()
    if not run.ok:
        logger.error("the audit is not clean: %s", run.report)


@shared_task
def send_due_mails() -> None:
    mails.send_due_mails()
