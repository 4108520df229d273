"""What the payments worker does: the tasks that talk to the provider. They carry nothing but the reference."""

import logging

from celery import shared_task

from payments import services
from payments.gateway import GatewayUnavailable

logger = logging.getLogger(__name__)


@shared_task
def charge_payment(reference: str) -> None:
    try:
        services.charge_payment(reference=reference)
    except GatewayUnavailable as error:
        logger.warning("charge of %s is unknown: %s", reference, error)


@shared_task
def cancel_payment(reference: str) -> None:
    try:
        services.cancel_payment(reference=reference)
    except GatewayUnavailable as error:
        logger.warning("cancel of %s is unknown: %s", reference, error)
