"""What Stripe's answers mean for a charge: yes, no, and everything else, which is unknown."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import stripe
import structlog

from payments.gateway import (
    ActionRequired,
    CardDeclined,
    Charge,
    ChargeRequest,
    GatewayUnavailable,
    NextAction,
    PaymentProcessing,
)
from payments.stripe_api import Answer

logger = structlog.stdlib.get_logger(__name__)

# Refused for what the request says, so refused each time it is sent. Any other invalid request is our own fault
# (a wrong API key, a currency the account hasn't got), and must not cancel orders.
FINAL_REFUSALS = {"amount_too_large", "amount_too_small"}
CODE = re.compile(r"[!-~]{1,255}")  # printable ASCII: what Stripe's ids and codes are made of
CURRENCY = re.compile(r"[A-Za-z]{3}")
LARGEST_NUMBER = 2**63 - 1  # in PostgreSQL
LONGEST_REFERENCE = 500  # characters: what Stripe's metadata have room for


def read_charge(intent: Answer | None, request: ChargeRequest) -> Charge:
    """The charge that the intent is.

    Raises CardDeclined, or where it is neither yes nor no ActionRequired, PaymentProcessing or GatewayUnavailable.
    """
    check_reference(intent, request)
    match intent:
        case None:
            raise GatewayUnavailable("the provider failed and lists no payment for this order")
        case {"status": "succeeded"}:
            charge = as_charge(intent)
            if (charge.amount, charge.currency) != (request.amount, request.currency):
                raise GatewayUnavailable(
                    f"payment intent {intent['id']} took {charge.amount} {charge.currency}"
                    f" instead of {request.amount} {request.currency}"
                )
            return charge
        case {"status": "requires_payment_method" | "canceled", "last_payment_error": failure} if failure:
            raise CardDeclined(read_code(failure.get("decline_code") or failure.get("code") or "card_declined"))
        case {"status": "canceled"}:
            raise CardDeclined("canceled")
        case {"status": "requires_action"}:
            raise ActionRequired(f"payment intent {intent['id']} waits for the customer")
        case {"status": "processing"}:
            raise PaymentProcessing(f"payment intent {intent['id']} has the status processing")
        case _:
            raise GatewayUnavailable(f"payment intent {intent['id']} has the status {intent['status']}")


def read_next_action(intent: Answer) -> NextAction | None:
    """What the customer can do now. https://docs.stripe.com/payments/3d-secure/authentication-flow"""
    match intent:
        case {"status": "requires_action", "next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": url}}}:
            return NextAction(url=read_url(url))
        case {"status": "requires_action", "client_secret": secret}:
            return NextAction(template="payments/stripe_action.html", client_secret=read_code(secret))
        case _:
            return None


def read_url(value: object) -> str:
    """An address that a browser may be sent to. Raises TypeError."""
    if not (isinstance(value, str) and value.isprintable() and value.startswith(("https://", "http://127.0.0.1:"))):
        raise TypeError("no address of a page")
    return value


def as_charge(intent: Answer) -> Charge:
    latest = intent["latest_charge"]
    return Charge(
        provider_id=read_code(intent["id"]),
        reference=reference_of(intent),
        amount=read_number(intent["amount_received"]),
        currency=read_currency(intent["currency"]),
        refunded=read_number(latest["amount_refunded"]) if isinstance(latest, dict) else 0,
        created_at=datetime.fromtimestamp(read_number(intent["created"]), UTC),
    )


def read_code(value: object) -> str:
    """An id or a code. Raises TypeError for what is none, as an answer may have anything."""
    if not (isinstance(value, str) and CODE.fullmatch(value)):
        raise TypeError(f"no id or code: {str(value)[:50]!a}")
    return value


def read_number(value: object) -> int:
    """A number of minor units, or of seconds. Raises TypeError."""
    if type(value) is not int or not 0 <= value <= LARGEST_NUMBER:
        raise TypeError(f"no whole number: {str(value)[:50]!a}")
    return value


def read_currency(value: object) -> str:
    """In upper case. Raises TypeError."""
    if not (isinstance(value, str) and CURRENCY.fullmatch(value)):
        raise TypeError(f"no currency: {str(value)[:50]!a}")
    return value.upper()


def read_metadata(answer: Answer, name: str) -> object:
    metadata = answer["metadata"]
    return metadata.get(name) if isinstance(metadata, dict) else None


def is_of(intent: Answer, request: ChargeRequest) -> bool:
    """Whether the intent was made for this payment: for its reference and its number."""
    return (reference_of(intent), read_metadata(intent, "number") or "1") == (request.reference, str(request.number))


def reference_of(intent: Answer) -> str:
    reference = read_metadata(intent, "reference")
    is_ours = isinstance(reference, str) and reference.isprintable() and len(reference) <= LONGEST_REFERENCE
    return str(reference) if is_ours else ""  # empty: not made by this shop


def check_reference(intent: Answer | None, request: ChargeRequest) -> None:
    """Raises GatewayUnavailable where the intent is somebody else's: its money, or its no, is not ours."""
    if intent is not None and not is_of(intent, request):
        found = {"found": intent["id"], "reference": reference_of(intent)}
        logger.error("the provider answered with somebody else's payment", key=request.key, **found)
        raise GatewayUnavailable(f"the provider answered with somebody else's payment intent: {intent['id']}")


def intent_of(error: stripe.StripeError) -> Answer | None:
    """The intent that failed, where the answer names it."""
    body = error.json_body
    return body["error"].get("payment_intent") if error.error and isinstance(body, dict) else None


def decline_code(error: stripe.CardError) -> str:
    return read_code((error.error and error.error.decline_code) or error.code or "card_declined")


def is_final_refusal(error: stripe.InvalidRequestError) -> bool:
    unknown_method = (error.code, error.param) == ("resource_missing", "payment_method")
    return unknown_method or is_bad_token(error) or error.code in FINAL_REFUSALS


def is_bad_token(error: stripe.InvalidRequestError) -> bool:
    """Whether the token doesn't exist, was used or has expired: Stripe lists no code for each, but names the param."""
    return is_invalid(error) and error.param == "confirmation_token"


def refusal_code(error: stripe.InvalidRequestError) -> str:
    return "confirmation_token_invalid" if is_bad_token(error) else error.code or "refused"


def is_invalid(error: stripe.InvalidRequestError) -> bool:
    """Whether it is refused for what it says, and not for who asks or how often."""
    return error.http_status == 400 and error.error is not None and error.error.type == "invalid_request_error"


def is_server_error(error: stripe.StripeError) -> bool:
    return (error.http_status or 0) >= 500


def is_replayed(error: stripe.StripeError) -> bool:
    return (error.headers or {}).get("idempotent-replayed") == "true"


@contextmanager
def errors_are_unknown() -> Iterator[None]:
    """Turn every error that is left into GatewayUnavailable: an answer that can't be told is unknown, never a no."""
    try:
        yield
    except stripe.StripeError as error:
        # Not chained: the SDK's message may quote the body it could not read.
        raise GatewayUnavailable(describe(error)) from None
    except (AttributeError, TypeError, ValueError, LookupError, ArithmeticError, OSError) as error:
        raise GatewayUnavailable(f"the provider's answer lacks what it should have: {error}") from None


def describe(error: stripe.StripeError) -> str:
    match error:
        case stripe.APIConnectionError():
            return f"no answer from the provider: {error}"
        case stripe.StripeError(error=None):
            return f"the provider's answer ({error.http_status}) is not in Stripe's format"
        case _:
            said = getattr(error.error, "code", None) or getattr(error.error, "type", None)
            words = f": {error.error.message}" if isinstance(error, stripe.InvalidRequestError) and error.error else ""
            return f"the provider answered {error.http_status} {said}{words}"[:500]
