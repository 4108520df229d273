"""The adapter to Stripe: what its answers mean for a charge, and the fence that makes a cancel final."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import inf
from threading import BoundedSemaphore
from time import monotonic

import stripe
from django.conf import settings
from stripe.params import PaymentIntentCreateParams

from payments.curl import CurlClient
from payments.gateway import CardDeclined, Charge, ChargeRequest, GatewayUnavailable, RequestRefused

logger = logging.getLogger(__name__)

stripe.enable_telemetry = False  # it writes a file into the home folder

CLOCK_SKEW = timedelta(hours=1)  # between our clock and Stripe's, at most
KEY_LIFETIME = timedelta(hours=23)  # Stripe may forget a key after 24 hours, and would then charge a second time

# A list has a page for each 100 payments of more than an hour: too many for the time of a charge, and no reason to keep
# the threads from charging others.
LOOK_UP_TIMEOUT = 30.0  # seconds
LOOK_UPS = 2  # at the same time in one process

# Refused for what the request says, so refused each time it is sent. Any other invalid request is our own fault
# (a wrong API key, a currency the account hasn't got), and must not cancel orders.
FINAL_REFUSALS = {"amount_too_large", "amount_too_small"}
CODE = re.compile(r"[!-~]{1,255}")  # printable ASCII: what Stripe's ids and codes are made of


class StripeGateway:
    """Speaks payments.gateway.Gateway. One instance serves all threads.

    A charge, a cancel or a refund takes STRIPE_TIMEOUT seconds at most, all its requests together; and LOOK_UP_TIMEOUT
    more where the intent has to be found in the list.
    """

    def __init__(self) -> None:
        self._look_ups = BoundedSemaphore(LOOK_UPS)
        self._http = CurlClient(timeout=settings.STRIPE_TIMEOUT)
        self._api = stripe.StripeClient(
            settings.STRIPE_API_KEY,
            base_addresses={"api": settings.STRIPE_API_BASE} if settings.STRIPE_API_BASE else {},
            http_client=self._http,
            max_network_retries=0,  # the sweep asks again, and it is counted
        ).v1

    def charge(self, request: ChargeRequest) -> Charge:
        """Take the money once per key. Raises CardDeclined, RequestRefused or GatewayUnavailable.

        A repeat is answered from what Stripe saved under the key. A saved 500 is replayed for ever, and a saved
        `processing` stays `processing`, so after those the intent itself is looked up. A payment method that doesn't
        exist is a decline: that refusal isn't saved, but Stripe makes the ids, so an unknown one can't become valid.
        Once the key may be forgotten nothing is sent any more, only looked up. An answer about somebody else's intent
        is an error in the log, and unknown.
        """
        with self._http.deadline(), answered():
            if is_key_forgotten(request):
                return read_charge(self._find_intent(request), request)
            try:
                intent: stripe.PaymentIntent | None = self._confirm(request)
            except stripe.CardError as error:
                check_reference(intent_of(error), request)
                raise CardDeclined(decline_code(error)) from None
            except stripe.InvalidRequestError as error:
                if is_final_refusal(error):
                    if not request.only_refused and (made := self._find_intent(request)):
                        return read_charge(made, request)  # of a request before, whose answer was lost
                    raise CardDeclined(error.code or "refused") from None
                if is_invalid(error) and intent_of(error) is None:  # nothing was made before it was refused
                    raise RequestRefused(describe(error)) from None
                raise
            except stripe.APIError as error:
                if not is_server_error(error):
                    raise
                intent = self._find_intent(request)
            if intent and intent.status == "processing":
                intent = self._retrieve(intent.id)
            return read_charge(intent, request)

    def cancel(self, request: ChargeRequest) -> Charge | None:
        """Make sure no money can be taken for the key from now on, or return the charge that had succeeded.

        The key itself is the fence. Stripe binds a key to the parameters it was first used with, so it is used here
        with others, that confirm nothing. Either the key is bound to our unconfirmed intent: then a charge that arrives
        later is an `idempotency_error`. Or that error is ours, because the charge arrived first: then it is sent again,
        which runs nothing but replays its answer, or says 409 while it is still running.

        The intent, ours or the charge's, is cancelled. Stripe refuses that once money was taken (the charge is
        returned) and while the bank is still to answer (GatewayUnavailable). No intent at all, after a saved 500, is
        None: nothing was taken, and the key is used up; should Stripe mend that 500 by hand later, the audit shows it.
        A repeat, after a lost answer, finds the same. A fence that is refused for what it says binds no key. If every
        request before was refused like that, there is nothing to close; else Stripe's list says what there is.
        """
        with self._http.deadline(), answered():
            intents = self._fence(request)
            if is_key_forgotten(request):  # the fence then proves nothing about the past
                intents = self._find_intents(request)
            for intent in intents:
                check_reference(intent, request)
                if charge := self._close(intent.id, request):
                    return charge
            return None

    def refund(self, *, key: str, provider_id: str, amount: int) -> str:
        """Give back `amount` minor units once per key; return the provider's id. Raises GatewayUnavailable.

        Looks for the refund first: its key may be forgotten, or its saved answer be a 500 after the money went back.
        """
        with self._http.deadline(), answered():
            made = self._api.refunds.list({"payment_intent": provider_id, "limit": 100}).auto_paging_iter()
            refund = next((refund for refund in made if getattr(refund.metadata, "key", None) == key), None)
            refund = refund or self._api.refunds.create(
                {"payment_intent": provider_id, "amount": amount, "metadata": {"key": key}}, {"idempotency_key": key}
            )
            if refund.status in ("failed", "canceled"):
                raise GatewayUnavailable(f"refund {refund.id} is {refund.status}")
            return refund.id

    def retrieve(self, provider_id: str) -> Charge | None:
        """The charge as Stripe has it now, None where it took no money. Raises GatewayUnavailable."""
        with self._http.deadline(), answered():
            intent = self._retrieve(provider_id)
            return as_charge(intent) if intent.status == "succeeded" else None

    def list_charges(self, *, since: datetime | None = None, within: float = inf) -> Iterator[Charge]:
        """Every charge that succeeded, newest first, created at `since` or later.

        Raises GatewayUnavailable, also once it has taken more than `within` seconds.
        """
        end = monotonic() + within
        with answered():
            for intent in self._list(since or datetime.fromtimestamp(0, UTC)):
                if monotonic() > end:
                    raise GatewayUnavailable(f"the provider's list takes longer than {within:.0f} seconds")
                if intent.status == "succeeded":
                    yield as_charge(intent)

    def _confirm(self, request: ChargeRequest) -> stripe.PaymentIntent:
        params = unconfirmed_params(request)
        params |= {"payment_method": request.payment_method, "confirm": True, "error_on_requires_action": True}
        return self._api.payment_intents.create(params, {"idempotency_key": request.key})

    def _fence(self, request: ChargeRequest) -> list[stripe.PaymentIntent]:
        """Bind the key to an unconfirmed intent, or find what the charge made that came first: one intent or none."""
        try:
            # Without the payment method: one that is gone would make this invalid, and that binds no key.
            return [self._api.payment_intents.create(unconfirmed_params(request), {"idempotency_key": request.key})]
        except stripe.IdempotencyError:
            return self._find_original(request)
        except stripe.InvalidRequestError as error:
            if not (is_invalid(error) or is_final_refusal(error)):
                raise
            return [] if request.only_refused else self._find_intents(request)
        except stripe.APIError as error:
            return self._find_after(error, request)

    def _find_original(self, request: ChargeRequest) -> list[stripe.PaymentIntent]:
        try:
            return [self._confirm(request)]
        except stripe.CardError as error:
            declined = intent_of(error)
            return [declined] if declined else []
        except stripe.InvalidRequestError as error:
            if not is_invalid(error) or not is_replayed(error):
                raise
            return self._find_intents(request)  # the key is used up by a refusal
        except stripe.APIError as error:
            return self._find_after(error, request)

    def _find_after(self, error: stripe.APIError, request: ChargeRequest) -> list[stripe.PaymentIntent]:
        """The intents there are after a server error, once it is the saved answer: the key is used up."""
        if not is_server_error(error) or not is_replayed(error):
            raise error
        return self._find_intents(request)

    def _close(self, intent_id: str, request: ChargeRequest) -> Charge | None:
        try:
            intent = self._api.payment_intents.cancel(intent_id)
        except stripe.InvalidRequestError:
            intent = self._retrieve(intent_id)  # its state is the reason
        check_reference(intent, request)
        match intent.status:
            case "canceled":
                return None
            case "succeeded":
                return read_charge(intent, request)
            case status:
                raise GatewayUnavailable(f"payment intent {intent_id} can't be cancelled yet: {status}")

    def _find_intent(self, request: ChargeRequest) -> stripe.PaymentIntent | None:
        """The intent that decides: one that took money before one that still may, and that before a cancelled one."""
        rank = {"succeeded": 0, "canceled": 2}
        return min(self._find_intents(request), key=lambda intent: rank.get(intent.status, 1), default=None)

    def _find_intents(self, request: ChargeRequest) -> list[stripe.PaymentIntent]:
        # By listing, which shows what was just written; Stripe's search may be a minute behind.
        with self._look_up():
            made = self._list(request.sent_at - CLOCK_SKEW)
            return [intent for intent in made if reference_of(intent) == request.reference]

    @contextmanager
    def _look_up(self) -> Iterator[None]:
        if not self._look_ups.acquire(blocking=False):
            raise GatewayUnavailable("other payments are being looked up in the provider's list")
        try:
            with self._http.deadline(LOOK_UP_TIMEOUT):
                yield
        finally:
            self._look_ups.release()

    def _list(self, since: datetime) -> Iterator[stripe.PaymentIntent]:
        page = self._api.payment_intents.list(
            {"created": {"gte": int(since.timestamp())}, "limit": 100, "expand": ["data.latest_charge"]}
        )
        return page.auto_paging_iter()

    def _retrieve(self, intent_id: str) -> stripe.PaymentIntent:
        return self._api.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]})


def unconfirmed_params(request: ChargeRequest) -> PaymentIntentCreateParams:
    # A key is bound to these names and values: a release that changes them makes every unfinished charge unknown.
    return {
        "amount": request.amount,
        "currency": request.currency.lower(),
        "allowed_payment_method_types": ["card"],
        "metadata": {"reference": request.reference},
        "expand": ["latest_charge"],
    }


def read_charge(intent: stripe.PaymentIntent | None, request: ChargeRequest) -> Charge:
    """The charge that the intent is. Raises CardDeclined, or GatewayUnavailable where it is neither yes nor no."""
    check_reference(intent, request)
    match intent:
        case None:
            raise GatewayUnavailable("the provider failed and lists no payment for this order")
        case stripe.PaymentIntent(status="succeeded"):
            charge = as_charge(intent)
            if (charge.amount, charge.currency) != (request.amount, request.currency):
                raise GatewayUnavailable(
                    f"payment intent {intent.id} took {charge.amount} {charge.currency}"
                    f" instead of {request.amount} {request.currency}"
                )
            return charge
        case stripe.PaymentIntent(status="canceled"):
            raise CardDeclined("canceled")
        case stripe.PaymentIntent(status="requires_payment_method", last_payment_error=failure) if failure:
            raise CardDeclined(read_code(failure.decline_code or failure.code or "card_declined"))
        case _:
            raise GatewayUnavailable(f"payment intent {intent.id} has the status {intent.status}")


def as_charge(intent: stripe.PaymentIntent) -> Charge:
    latest = intent.latest_charge
    return Charge(
        provider_id=read_code(intent.id),
        reference=reference_of(intent),
        amount=read_number(intent.amount_received),
        currency=intent.currency.upper(),
        refunded=read_number(latest.amount_refunded) if isinstance(latest, stripe.Charge) else 0,
        created_at=datetime.fromtimestamp(read_number(intent.created), UTC),
    )


def read_code(value: object) -> str:
    """An id or a code. Raises TypeError for what is none, as an answer may have anything."""
    if not (isinstance(value, str) and CODE.fullmatch(value)):
        raise TypeError(f"no id or code: {str(value)[:50]!a}")
    return value


def read_number(value: object) -> int:
    """A whole number. Raises TypeError."""
    if type(value) is not int:
        raise TypeError(f"no whole number: {str(value)[:50]!a}")
    return value


def reference_of(intent: stripe.PaymentIntent) -> str:
    reference = getattr(intent.metadata, "reference", "")
    is_ours = isinstance(reference, str) and reference.isprintable()
    return reference if is_ours else ""  # empty: not made by this shop


def check_reference(intent: stripe.PaymentIntent | None, request: ChargeRequest) -> None:
    """Raises GatewayUnavailable where the intent is somebody else's: its money, or its no, is not ours."""
    if intent is not None and reference_of(intent) != request.reference:
        logger.error(
            "asked for %s, the provider answered with %s of %r", request.reference, intent.id, reference_of(intent)
        )
        raise GatewayUnavailable(f"the provider answered with somebody else's payment intent: {intent.id}")


def intent_of(error: stripe.StripeError) -> stripe.PaymentIntent | None:
    """The intent that failed, where the answer names it."""
    return error.error.payment_intent if error.error else None


def is_key_forgotten(request: ChargeRequest) -> bool:
    return datetime.now(UTC) - request.sent_at > KEY_LIFETIME


def decline_code(error: stripe.CardError) -> str:
    return read_code((error.error and error.error.decline_code) or error.code or "card_declined")


def is_final_refusal(error: stripe.InvalidRequestError) -> bool:
    unknown_method = (error.code, error.param) == ("resource_missing", "payment_method")
    return unknown_method or error.code in FINAL_REFUSALS


def is_invalid(error: stripe.InvalidRequestError) -> bool:
    """Whether it is refused for what it says, and not for who asks or how often."""
    return error.http_status == 400 and error.error is not None and error.error.type == "invalid_request_error"


def is_server_error(error: stripe.StripeError) -> bool:
    return (error.http_status or 0) >= 500


def is_replayed(error: stripe.StripeError) -> bool:
    return (error.headers or {}).get("idempotent-replayed") == "true"


@contextmanager
def answered() -> Iterator[None]:
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
