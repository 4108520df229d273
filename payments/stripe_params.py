"""What Stripe is sent for a payment. A key is bound to it, so it is the same to the letter each time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from payments.gateway import ChargeRequest

KEY_LIFETIME = timedelta(hours=23)  # Stripe may forget a key after 24 hours, and would then charge a second time


def unconfirmed_params(request: ChargeRequest) -> dict[str, Any]:
    # A key is bound to these names and values: a release that changes them makes every unfinished charge unknown.
    number = {} if request.number == 1 else {"number": str(request.number)}
    return {
        "amount": request.amount,
        "currency": request.currency.lower(),
        "allowed_payment_method_types": ["card"],
        "metadata": {"reference": request.reference, **number},
        "expand": ["latest_charge"],
    }


def confirmed_params(request: ChargeRequest) -> dict[str, Any]:
    # The card form makes tokens, everybody else names a payment method.
    name = "confirmation_token" if request.payment_method.startswith("ctoken_") else "payment_method"
    # Without an address to come back to, nobody can act at the bank. So were the payments of older releases sent.
    action = {"return_url": request.return_url} if request.return_url else {"error_on_requires_action": True}
    return unconfirmed_params(request) | {name: request.payment_method, "confirm": True} | action


def is_key_forgotten(request: ChargeRequest) -> bool:
    return datetime.now(UTC) - request.sent_at > KEY_LIFETIME
