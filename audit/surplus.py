"""Money at a provider that belongs to no order is given back: decided in the difference's row, then asked for."""

import structlog
from django.db.models.functions import Now

from audit.models import Difference
from payments.gateway import GatewayUnavailable, RefundRefused
from payments.requests import make_storable, reach_gateway

logger = structlog.stdlib.get_logger(__name__)


def refund_surplus(*, pk: int) -> None:
    """Ask the provider to give the money of a difference back, if that was decided, and write down its answer.

    A repeat asks again with the same key, until there is an answer; then it does nothing. Refused, the difference is
    open again. Raises GatewayUnavailable if the outcome is unknown.
    """
    asked = Difference.objects.being_refunded().filter(pk=pk)
    difference = asked.first()
    if difference is None:
        return
    try:
        reach_gateway(difference.gateway).refund(
            key=difference.refund_key,
            reference=difference.reference,
            provider_id=difference.provider_id,
            amount=difference.amount_there,
        )
    except RefundRefused as refusal:
        asked.update(refund_requested_at=None, last_error=make_storable(refusal))
    except GatewayUnavailable as error:
        asked.update(last_error=make_storable(error))
        raise
    else:
        asked.update(resolution=Difference.Resolution.REFUNDED, resolved_at=Now(), last_error="")


def refund_all_surplus() -> None:
    """Ask for all that was decided and has no answer yet: its message was lost, or whoever asked is gone."""
    for pk in list(Difference.objects.being_refunded().values_list("pk", flat=True)):
        try:
            refund_surplus(pk=pk)
        except GatewayUnavailable as error:
            logger.warning("the refund of a difference is unknown", difference=pk, reason=str(error))
