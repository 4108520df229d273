"""The protocol that every payment provider's adapter speaks, and its bad news: no, unknown, and refused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from math import inf
from typing import Literal, Protocol

from django.conf import settings
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from payments.payment_form import PaymentForm

MAX_CLOCK_DIFFERENCE = timedelta(hours=1)  # between a provider's clock and ours


class CardDeclined(Exception):
    """The provider said no: nothing was taken, and nothing can be under this key."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class GatewayUnavailable(Exception):
    """The outcome is unknown: money may have been taken. Ask again with the same request; compensate nothing."""


class RefundRefused(Exception):
    """The provider said no to a refund: nothing was given back, and nothing will be under this key."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(detail or code)
        self.code = code


class RequestRefused(GatewayUnavailable):
    """The provider refused the request because of what it says, and did nothing.

    This is no decline: the same request may be taken later. It is never raised for who asks, how often, or a key in
    use. The text is for staff, in the provider's words.
    """


class ActionRequired(GatewayUnavailable):
    """The customer has to act first, mostly at the bank. Nothing was taken yet; it may be at any moment."""


class PaymentProcessing(GatewayUnavailable):
    """The bank has the payment in hand and answers later. Until then nobody can call it back."""


@dataclass(frozen=True, kw_only=True)
class ChargeRequest:
    """What the provider is asked for. It is the same, to the letter, each time."""

    key: str  # idempotency key
    reference: str  # the order code
    number: int = 1  # of the reference's payments, one after the other
    amount: int  # minor units
    currency: str  # ISO 4217, upper case
    payment_method: str
    sent_at: datetime  # the first time: the provider knows nothing of it from before
    return_url: str = ""  # where the customer comes back to after acting at the bank; empty: nobody can act
    only_refused: bool = False  # every request under the key so far ended as RequestRefused: none is in flight


@dataclass(frozen=True, kw_only=True)
class Charge:
    """Money taken at the provider."""

    provider_id: str
    reference: str
    amount: int  # minor units
    currency: str  # ISO 4217, upper case
    refunded: int  # minor units, at most `amount`
    created_at: datetime
    owed: int = 0  # minor units that pay nothing of ours: a person is to send them back, and has not yet


@dataclass(frozen=True, kw_only=True)
class ProviderRefund:
    """A refund as the provider has it."""

    provider_id: str
    key: str  # our own; empty: it began at the provider
    amount: int  # minor units
    status: Literal["pending", "succeeded", "failed"]
    failure_code: str = ""  # of one that has failed: nothing was given back, or it came back
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class ProviderDispute:
    """Money that a customer's bank takes back, or asks about, as the provider has it.

    It is gone while the dispute is open. It comes back if the dispute is won, and stays gone if it is lost.
    """

    provider_id: str
    charge_id: str  # the provider's id of the charge: a Charge's provider_id
    amount: int  # minor units
    currency: str  # ISO 4217, upper case
    reason: str  # in the provider's words
    status: Literal["open", "won", "lost"]
    respond_by: datetime | None  # None: there is no deadline
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class NextAction:
    """What the customer has to do before the money can be taken: open a page of the bank's, or let a script ask.

    Both values are for the customer's browser alone, so neither is ever logged or stored.
    """

    url: str = field(default="", repr=False)  # the bank's page, which leads back to the request's `return_url`
    # Where there is no page: a template in which the provider's script does it. It is given the shop's PaymentForm as
    # `payment_form`, this as `action`, and `return_url`, where it leads to afterwards.
    template: str = ""
    client_secret: str = field(default="", repr=False)


class Gateway(Protocol):
    @property
    def title(self) -> str | Promise:
        """Its name for a customer who chooses how to pay."""
        ...

    @property
    def timeout(self) -> float:
        """The seconds that a charge, a cancel or a refund takes at most, all its requests together."""
        ...

    @property
    def time_to_pay(self) -> timedelta | None:
        """How long an order waits for a customer who pays unasked, such as by a transfer; None: the provider is asked.

        Its payment stays PENDING. Nobody asks about it until `announce_payment` says that its money is there.
        """
        ...

    def charge(self, request: ChargeRequest) -> Charge:
        """Take exactly the amount asked for, once per key.

        Raises CardDeclined, ActionRequired, PaymentProcessing, RequestRefused or GatewayUnavailable.

        An answer that belongs to another reference, or to another number, is never returned, and never taken for a
        decline. After ActionRequired or PaymentProcessing a repeat tells what has become of it.
        """
        ...

    def cancel(self, request: ChargeRequest) -> Charge | None:
        """Make sure no money can be taken for the key from now on, or return the charge that had succeeded.

        A declined payment can be cancelled too: some providers let it be confirmed later. None is definitive, also for
        a charge request that arrives later. A provider that refuses the charge because of what it says may refuse the
        cancel too. None then means that every request was refused (`only_refused`), or that the provider lists nothing
        for the payment. Raises GatewayUnavailable if neither can be proven yet.
        """
        ...

    def next_action(self, request: ChargeRequest) -> NextAction | None:
        """What the customer has to do now, after ActionRequired; None if there is nothing to do, or no way to do it.

        Changes nothing. Raises GatewayUnavailable, after a few seconds at most: a customer waits.
        """
        ...

    def refund(self, *, key: str, reference: str, provider_id: str, amount: int) -> str:
        """Give back `amount` minor units of a charge, once per key; return the id of the refund.

        Raises RefundRefused if nothing was given back and nothing can be under this key, also by a request that is
        still on its way; or GatewayUnavailable, also while the provider has it as pending.
        """
        ...

    def list_refunds(self, *, provider_id: str) -> Sequence[ProviderRefund]:
        """Return every refund of a charge, newest first, those that failed too. Raises GatewayUnavailable."""
        ...

    def retrieve(self, provider_id: str) -> Charge | None:
        """Return the charge as the provider has it now, or None if it took no money. Raises GatewayUnavailable."""
        ...

    def list_charges(
        self, *, since: datetime | None = None, until: datetime | None = None, within: float = inf
    ) -> Iterator[Charge]:
        """Yield every charge that succeeded, newest first, created at `since` or later and before `until`.

        Raises GatewayUnavailable, also after more than `within` seconds.
        """
        ...

    def retrieve_dispute(self, provider_id: str) -> ProviderDispute:
        """Return the dispute as the provider has it now. Raises GatewayUnavailable."""
        ...

    def list_disputes(
        self, *, since: datetime | None = None, until: datetime | None = None, within: float = inf
    ) -> Iterator[ProviderDispute]:
        """Yield every dispute, newest first, opened in this time. Raises GatewayUnavailable, as list_charges."""
        ...

    def payment_url(self, provider_id: str) -> str | None:
        """The address of the charge's page at the provider, for staff; None if there is none. Asks nobody."""
        ...

    def payment_form(self) -> PaymentForm | None:
        """The provider's form for the shop's page, or None if there is none."""
        ...

    def instructions(self, *, reference: str, amount: int, currency: str) -> Sequence[tuple[str | Promise, str]]:
        """What a customer has to know who pays unasked: a label and its value, line by line. Asks nobody."""
        ...


@cache
def get_gateway(name: str = "") -> Gateway:
    """The adapter of that name in PAYMENT_GATEWAYS, or that of new payments; one of each for the process.

    Raises GatewayUnavailable where the shop has no such gateway any more: what it did is unknown.
    """
    if not name:
        return get_gateway(settings.PAYMENT_GATEWAY)
    if name not in settings.PAYMENT_GATEWAYS:
        raise GatewayUnavailable(f"PAYMENT_GATEWAYS has no {name}")
    gateway: Gateway = import_string(settings.PAYMENT_GATEWAYS[name])()
    return gateway


def read_timeout(name: str) -> float:
    """The seconds that the gateway of that name may take; 0 where the shop has no such gateway any more."""
    return get_gateway(name).timeout if name in settings.PAYMENT_GATEWAYS else 0


def read_times_to_pay() -> dict[str, timedelta]:
    """How long an order waits for its customer, by the names of the gateways that have a `time_to_pay`."""
    return {name: time for name in settings.PAYMENT_GATEWAYS if (time := get_gateway(name).time_to_pay)}
