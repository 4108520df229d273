"""What Stripe is asked for a refund, and what its answers mean."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import stripe

from payments.gateway import GatewayUnavailable, ProviderRefund, RefundRefused
from payments.stripe_answers import (
    describe,
    is_invalid,
    is_replayed,
    is_server_error,
    read_code,
    read_metadata,
    read_number,
)
from payments.stripe_api import Answer, StripeApi

REFUNDS = "/v1/refunds"
RefundStatus = Literal["pending", "succeeded", "failed"]
# https://docs.stripe.com/refunds#failed-refunds. What is not named here is still to be decided.
STATUSES: dict[str, RefundStatus] = {"succeeded": "succeeded", "failed": "failed", "canceled": "failed"}


def make_refund(api: StripeApi, *, key: str, reference: str, intent_id: str, amount: int) -> str:
    """Give the money back once per key, and return the refund's id. Raises RefundRefused or GatewayUnavailable.

    Looks for the refund first: its key may be forgotten, or its saved answer be a 500 after the money went back. Looks
    again after a refusal: what was refused as too much may have been given by an earlier request under the key. A 500
    that Stripe saved before any money went back is repeated for as long as it keeps the key, so it is a refusal, too.
    """
    if made := _find_refund(api, intent_id, key):
        return _read_answer(made, amount)
    metadata = {"key": key, "reference": reference}
    try:
        made = api.ask("post", REFUNDS, idempotency_key=key, payment_intent=intent_id, amount=amount, metadata=metadata)
    except stripe.StripeError as error:
        if not is_definite(error):
            raise
        made = _find_refund(api, intent_id, key)
        if made is None:
            raise RefundRefused(refusal_code(error), describe(error)) from None
    return _read_answer(made, amount)


def find_refunds(api: StripeApi, intent_id: str) -> Iterator[Answer]:
    """Stripe's refunds of the payment intent, newest first."""
    return api.ask_for_all(REFUNDS, payment_intent=intent_id)


def as_refund(refund: Answer) -> ProviderRefund:
    key = read_metadata(refund, "key")
    status: RefundStatus = STATUSES.get(refund["status"], "pending")
    return ProviderRefund(
        provider_id=read_code(refund["id"]),
        key=key if isinstance(key, str) else "",
        amount=read_number(refund["amount"]),
        status=status,
        failure_code=read_code(refund.get("failure_reason") or refund["status"]) if status == "failed" else "",
        created_at=datetime.fromtimestamp(read_number(refund["created"]), UTC),
    )


def is_definite(error: stripe.StripeError) -> bool:
    """Whether it is refused for good: for what it says, for what the charge is, or because its key is used up.

    An intent that Stripe can't find may be one of another account, whose key was set by mistake: that is no no.
    """
    if isinstance(error, stripe.InvalidRequestError):
        return is_invalid(error) and error.code != "resource_missing"
    return is_server_error(error) and is_replayed(error)


def refusal_code(error: stripe.StripeError) -> str:
    """Stripe has no code for an amount that is more than what is left, but names the param."""
    if is_server_error(error):
        return "provider_failed"
    return read_code(error.code or ("amount_too_large" if getattr(error, "param", None) == "amount" else "refused"))


def _find_refund(api: StripeApi, intent_id: str, key: str) -> Answer | None:
    made = find_refunds(api, intent_id)
    return next((refund for refund in made if read_metadata(refund, "key") == key), None)


def _read_answer(made: Answer, amount: int) -> str:
    refund = as_refund(made)
    if refund.amount != amount:
        raise GatewayUnavailable(f"refund {refund.provider_id} is of {refund.amount} instead of {amount}")
    match refund.status:
        case "succeeded":
            return refund.provider_id
        case "failed":
            raise RefundRefused(refund.failure_code, f"refund {refund.provider_id} is {made['status']}")
        case "pending":
            raise GatewayUnavailable(f"refund {refund.provider_id} is {made['status']}")
