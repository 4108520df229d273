"""The adapter to Stripe: what it is asked for a charge, and the fence that makes a cancel final."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import inf
from urllib.parse import quote

import stripe
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from payments.gateway import (
    CardDeclined,
    Charge,
    ChargeRequest,
    GatewayUnavailable,
    NextAction,
    PaymentProcessing,
    ProviderDispute,
    ProviderRefund,
    RequestRefused,
)
from payments.payment_form import PaymentForm
from payments.stripe_answers import (
    as_charge,
    check_reference,
    decline_code,
    describe,
    errors_are_unknown,
    intent_of,
    is_final_refusal,
    is_invalid,
    is_replayed,
    is_server_error,
    read_charge,
    read_next_action,
    refusal_code,
)
from payments.stripe_api import Answer, StripeApi
from payments.stripe_dashboard import make_payment_url
from payments.stripe_disputes import as_dispute, find_disputes, retrieve_dispute
from payments.stripe_form import make_payment_form
from payments.stripe_intents import INTENTS, StripeIntents
from payments.stripe_params import confirmed_params, is_key_forgotten, unconfirmed_params
from payments.stripe_refunds import as_refund, find_refunds, make_refund
from payments.time_limits import limit_time

BEGINNING = datetime.fromtimestamp(0, UTC)
NEXT_ACTION_TIMEOUT = 5.0  # seconds; a customer waits


class StripeGateway:
    """Speaks payments.gateway.Gateway. One instance serves all threads.

    A charge, a cancel or a refund takes STRIPE_TIMEOUT seconds at most, all its requests together; and LOOK_UP_TIMEOUT
    more where the intent has to be found in the list.
    """

    title = _("Card")
    time_to_pay: timedelta | None = None

    def __init__(self) -> None:
        self._api = StripeApi()
        self._intents = StripeIntents(self._api)

    @property
    def timeout(self) -> float:
        return float(settings.STRIPE_TIMEOUT)

    def charge(self, request: ChargeRequest) -> Charge:
        """Take the money once per key. Raises CardDeclined, RequestRefused or GatewayUnavailable.

        A repeat is answered from what Stripe saved under the key. A saved 500 is replayed for ever, and a saved
        `processing` or `requires_action` stays what it is, so after those the intent itself is looked up. A payment
        method that doesn't exist is a decline: that refusal isn't saved, but Stripe makes the ids, so an unknown one
        can't become valid. So is a token that has expired or was used for another charge: it can't become valid again.
        Once the key may be forgotten nothing is sent any more, only looked up. An answer about somebody else's intent
        is an error in the log, and unknown.
        """
        with self._api.deadline(), errors_are_unknown():
            if is_key_forgotten(request):
                return read_charge(self._intents.find(request), request)
            try:
                intent: Answer | None = self._confirm(request)
            except stripe.CardError as error:
                check_reference(intent_of(error), request)
                raise CardDeclined(decline_code(error)) from None
            except stripe.InvalidRequestError as error:
                if is_final_refusal(error):
                    if not request.only_refused and (made := self._intents.find(request)):
                        return read_charge(made, request)  # of a request before, whose answer was lost
                    raise CardDeclined(refusal_code(error)) from None
                if is_invalid(error) and intent_of(error) is None:  # nothing was made before it was refused
                    raise RequestRefused(describe(error)) from None
                raise
            except stripe.APIError as error:
                if not is_server_error(error):
                    raise
                intent = self._intents.find(request)
            if intent and intent["status"] in ("processing", "requires_action"):
                return self._follow(intent, request)
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
        with self._api.deadline(), errors_are_unknown():
            intents = self._fence(request)
            if is_key_forgotten(request):  # the fence then proves nothing about the past
                intents = self._intents.find_all(request)
            for intent in intents:
                check_reference(intent, request)
                if charge := self._close(intent["id"], request):
                    return charge
            return None

    def next_action(self, request: ChargeRequest) -> NextAction | None:
        """The bank's page, or what Stripe's script needs for a token of the card form. Raises GatewayUnavailable."""
        with self._api.deadline(NEXT_ACTION_TIMEOUT), errors_are_unknown():
            intent = self._look_up_again(request)
            check_reference(intent, request)
            return read_next_action(intent) if intent else None

    def refund(self, *, key: str, reference: str, provider_id: str, amount: int) -> str:
        """Give back `amount` minor units once per key: payments/stripe_refunds.py."""
        with self._api.deadline(), errors_are_unknown():
            return make_refund(self._api, key=key, reference=reference, intent_id=provider_id, amount=amount)

    def list_refunds(self, *, provider_id: str) -> list[ProviderRefund]:
        with self._api.deadline(), errors_are_unknown():
            return [as_refund(refund) for refund in find_refunds(self._api, provider_id)]

    def retrieve(self, provider_id: str) -> Charge | None:
        with self._api.deadline(), errors_are_unknown():
            intent = self._intents.retrieve(provider_id)
            return as_charge(intent) if intent["status"] == "succeeded" else None

    def list_charges(
        self, *, since: datetime | None = None, until: datetime | None = None, within: float = inf
    ) -> Iterator[Charge]:
        with errors_are_unknown():
            for intent in limit_time(self._intents.list_since(since or BEGINNING, until=until), within):
                if intent["status"] == "succeeded":
                    yield as_charge(intent)

    def retrieve_dispute(self, provider_id: str) -> ProviderDispute:
        with self._api.deadline(), errors_are_unknown():
            return as_dispute(retrieve_dispute(self._api, provider_id))

    def list_disputes(
        self, *, since: datetime | None = None, until: datetime | None = None, within: float = inf
    ) -> Iterator[ProviderDispute]:
        with errors_are_unknown():
            for dispute in limit_time(find_disputes(self._api, since or BEGINNING, until=until), within):
                yield as_dispute(dispute)

    def payment_url(self, provider_id: str) -> str | None:
        return make_payment_url(provider_id)

    def payment_form(self) -> PaymentForm | None:
        """Stripe's Payment Element, for cards; None without STRIPE_PUBLISHABLE_KEY."""
        return make_payment_form()

    def instructions(self, *, reference: str, amount: int, currency: str) -> Sequence[tuple[str, str]]:
        return []

    def _confirm(self, request: ChargeRequest) -> Answer:
        return self._api.ask("post", INTENTS, idempotency_key=request.key, **confirmed_params(request))

    def _look_up_again(self, request: ChargeRequest) -> Answer | None:
        """The intent of a charge that was answered before, as it is now."""
        if not is_key_forgotten(request):
            try:
                saved = self._confirm(request)  # it may be long past, so it only tells the id
                return self._intents.retrieve(saved["id"])
            except stripe.APIError as error:
                if not is_server_error(error):
                    raise
        return self._intents.find(request, within=NEXT_ACTION_TIMEOUT)

    def _follow(self, saved: Answer, request: ChargeRequest) -> Charge:
        """What has become of it since. If it has failed, close it: the customer's browser could confirm it anew."""
        check_reference(saved, request)
        intent = self._intents.retrieve(saved["id"])
        if intent["status"] == "requires_payment_method" and (charge := self._close(intent["id"], request)):
            return charge
        return read_charge(intent, request)

    def _fence(self, request: ChargeRequest) -> list[Answer]:
        """Bind the key to an unconfirmed intent, or find what the charge made that came first: one intent or none."""
        try:
            # Without the payment method: one that is gone would make this invalid, and that binds no key.
            return [self._api.ask("post", INTENTS, idempotency_key=request.key, **unconfirmed_params(request))]
        except stripe.IdempotencyError:
            return self._find_original(request)
        except stripe.InvalidRequestError as error:
            if not (is_invalid(error) or is_final_refusal(error)):
                raise
            return [] if request.only_refused else self._intents.find_all(request)
        except stripe.APIError as error:
            return self._find_after(error, request)

    def _find_original(self, request: ChargeRequest) -> list[Answer]:
        try:
            return [self._confirm(request)]
        except stripe.CardError as error:
            declined = intent_of(error)
            return [declined] if declined else []
        except stripe.InvalidRequestError as error:
            if not is_invalid(error) or not is_replayed(error):
                raise
            return self._intents.find_all(request)  # the key is used up by a refusal
        except stripe.APIError as error:
            return self._find_after(error, request)

    def _find_after(self, error: stripe.APIError, request: ChargeRequest) -> list[Answer]:
        """The intents there are after a server error, once it is the saved answer: the key is used up."""
        if not is_server_error(error) or not is_replayed(error):
            raise error
        return self._intents.find_all(request)

    def _close(self, intent_id: str, request: ChargeRequest) -> Charge | None:
        try:
            intent = self._api.ask("post", f"{INTENTS}/{quote(intent_id, safe='')}/cancel")
        except stripe.InvalidRequestError:
            intent = self._intents.retrieve(intent_id)  # its state is the reason
        check_reference(intent, request)
        match intent["status"]:
            case "canceled":
                return None
            case "succeeded":
                return read_charge(intent, request)
            case "processing":
                raise PaymentProcessing(f"payment intent {intent_id} can't be cancelled: the bank is processing it")
            case status:
                raise GatewayUnavailable(f"payment intent {intent_id} can't be cancelled yet: {status}")
