"""What Stripe sends unasked: whether it is Stripe's, and what it is about."""

import json
from typing import Any

import stripe
from django.conf import settings

from payments.stripe_answers import read_code, reference_of
from payments.webhook_models import WebhookEvent

TOLERANCE = 300  # seconds; a signature that is older may be somebody's who has recorded it


class EventRefused(Exception):
    """It is not signed with one of STRIPE_WEBHOOK_SECRETS, was signed too long ago, or is no event."""


def read_event(body: bytes, signature: str) -> WebhookEvent:
    """Return the event that Stripe signed, unsaved. Raises EventRefused.

    The signature covers the body as it was sent: https://docs.stripe.com/webhooks#verify-manually
    """
    if not any(_is_signed(body, signature, secret) for secret in settings.STRIPE_WEBHOOK_SECRETS):
        raise EventRefused("it has no signature of the last minutes with one of STRIPE_WEBHOOK_SECRETS")
    try:
        text = body.decode()
        event = json.loads(text)
        return WebhookEvent(
            provider="stripe",
            event_id=read_code(event["id"]),
            type=read_code(event["type"])[: WebhookEvent.TYPE_LENGTH],
            reference=_read_reference(event["data"]["object"]),
            body=text,
        )
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise EventRefused(f"it is no event of Stripe's: {error}") from None


def _is_signed(body: bytes, signature: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE))
    except (stripe.SignatureVerificationError, ValueError, TypeError):  # a body or a header that is no text
        return False


def _read_reference(about: dict[str, Any]) -> str:
    """Empty where the shop did not make what it is about: others may use the same account."""
    reference = reference_of({"metadata": None} | about)
    return reference if len(reference) <= WebhookEvent.REFERENCE_LENGTH else ""
