"""The tasks that ask the provider, or process its webhook events. A message is a reference, a key or an id."""

import structlog
from celery import shared_task
from django.conf import settings

from payments import disputes, refunds, services, webhooks
from payments.gateway import GatewayUnavailable
from payments.webhook_models import WebhookEvent

logger = structlog.stdlib.get_logger(__name__)


@shared_task
def charge_payment(reference: str) -> None:
    try:
        services.charge_payment(reference=reference)
    except GatewayUnavailable as error:
        logger.warning("the charge is unknown", order=reference, reason=str(error))


@shared_task
def cancel_payment(reference: str) -> None:
    try:
        services.cancel_payment(reference=reference)
    except GatewayUnavailable as error:
        logger.warning("the cancel is unknown", order=reference, reason=str(error))


@shared_task
def look_up_dispute(gateway: str, provider_id: str) -> None:
    try:
        disputes.look_up_dispute(gateway=gateway, provider_id=provider_id)
    except (GatewayUnavailable, disputes.UnknownCharge) as error:
        logger.warning("the dispute is unknown", dispute=provider_id, reason=str(error))


@shared_task
def refund_payment(key: str) -> None:
    try:
        refunds.refund_payment(key=key)
    except GatewayUnavailable as error:
        logger.warning("the refund is unknown", key=key, reason=str(error))


@shared_task
def check_refund(key: str) -> None:
    try:
        refunds.check_refund(key=key)
    except GatewayUnavailable as error:
        logger.warning("whether the refund still holds is unknown", key=key, reason=str(error))


@shared_task
def process_webhook_event(pk: int) -> None:
    webhooks.process_event(pk=pk)


@shared_task
def sweep_webhook_events() -> None:
    webhooks.process_due_events()


@shared_task
def delete_old_webhook_events() -> None:
    webhooks.delete_old_events()


def publish_event(event: WebhookEvent) -> None:
    """Have the event processed at once. Raises kombu's OperationalError: the sweep takes it up then."""
    process_webhook_event.apply_async((event.pk,), expires=settings.CLOCK_SKEW)  # the sweep has taken it up by then
