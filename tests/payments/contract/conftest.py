"""Each gateway in turn, behind a relay."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from threading import current_thread, main_thread
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from payments.gateway import Charge, ChargeRequest, GatewayUnavailable
from payments.manual import ManualGateway, TransferReused, ask_for_refund, record_arrival, record_sent_refund
from payments.stripe import StripeGateway
from payments.transfers import Transfer, TransferRefund
from tests.payments.contract import subjects
from tests.payments.contract.relay import Relay, run_relay
from tests.payments.contract.subjects import Subject
from tests.provider import Provider

TODAY = datetime.now(UTC).date()


def describe_stripe(relay: Relay, **particulars: Any) -> Subject:
    return Subject(
        gateway=StripeGateway(),
        network=relay,
        pays="pm_card_visa",
        refunds_later="pm_card_pendingRefund",
        refunds_fail="pm_card_refundFail",
        declines=subjects.DECLINES,
        unknown=subjects.UNKNOWN,
        asks="pm_card_authenticationRequired",
        **particulars,
    )


@contextmanager
def stripe_at_the_sandbox(request: pytest.FixtureRequest, settings: LazySettings) -> Iterator[Subject]:
    provider: Provider = request.getfixturevalue("provider")
    with run_relay(provider.url) as relay:
        settings.STRIPE_API_BASE, settings.STRIPE_TIMEOUT = relay.url, 5
        yield describe_stripe(
            relay,
            chargeable=subjects.CHARGEABLE + subjects.SANDBOX_CHARGEABLE,
            declined_amounts=subjects.DECLINED_AMOUNTS + subjects.SANDBOX_DECLINED_AMOUNTS,
            refused_amounts=subjects.REFUSED_AMOUNTS + subjects.SANDBOX_REFUSED_AMOUNTS,
            asks_and_processes="pm_sandbox_action_processing",
            act=lambda action, answer: provider.act(action.url, answer),
        )


@contextmanager
def stripe_in_its_test_mode(request: pytest.FixtureRequest, settings: LazySettings) -> Iterator[Subject]:
    key = subjects.read_test_key()
    if not key:
        pytest.skip("Stripe's test mode is not asked: STRIPE_TEST_KEY is not set")
    with run_relay("https://api.stripe.com") as relay:
        settings.STRIPE_API_KEY, settings.STRIPE_API_BASE, settings.STRIPE_TIMEOUT = key, relay.url, 20
        yield describe_stripe(
            relay,
            chargeable=subjects.CHARGEABLE,
            declined_amounts=subjects.DECLINED_AMOUNTS,
            refused_amounts=subjects.REFUSED_AMOUNTS,
        )


class PromptTransfers(ManualGateway):
    """The gateway of transfers, with customers who pay when they are asked, and staff who look at the bank at once."""

    def charge(self, request: ChargeRequest) -> Charge:
        asked: Any = {"reference": request.reference, "amount": request.amount, "currency": request.currency}
        with close_the_threads_connection():
            with suppress(TransferReused):  # a customer pays once for each key
                record_arrival(**asked, provider_id=f"bank-{request.key}", arrived_on=TODAY)
            try:
                return super().charge(request)
            except GatewayUnavailable:
                for late in Transfer.objects.unused().filter(reference=request.reference):
                    ask_for_refund(late, key=late.provider_id, amount=late.amount)
                raise

    def cancel(self, request: ChargeRequest) -> Charge | None:
        with close_the_threads_connection():
            return super().cancel(request)

    def refund(self, *, key: str, reference: str, provider_id: str, amount: int) -> str:
        asked: Any = {"key": key, "reference": reference, "provider_id": provider_id, "amount": amount}
        with close_the_threads_connection():
            with suppress(GatewayUnavailable):
                return super().refund(**asked)
            for refund in TransferRefund.objects.unsent().filter(key=key):
                record_sent_refund(pk=refund.pk, provider_id=f"bank-{key}", sent_on=TODAY)
            return super().refund(**asked)


@contextmanager
def close_the_threads_connection() -> Iterator[None]:
    try:
        yield
    finally:
        if current_thread() is not main_thread():
            connection.close()


@contextmanager
def transfers_in_our_database(request: pytest.FixtureRequest, settings: LazySettings) -> Iterator[Subject]:
    yield Subject(
        gateway=PromptTransfers(),
        network=None,
        pays="transfer",
        refunds_later="",
        refunds_fail="",
        asks="",
        declines={},
        unknown={},
        chargeable=subjects.CHARGEABLE + subjects.SANDBOX_CHARGEABLE,
        declined_amounts=[],
        refused_amounts=[],
    )


SUBJECTS: dict[str, Callable[[pytest.FixtureRequest, LazySettings], AbstractContextManager[Subject]]] = {
    "sandbox": stripe_at_the_sandbox,
    "stripe": stripe_in_its_test_mode,
    "manual": transfers_in_our_database,
}


IN_OUR_DATABASE = pytest.param("manual", marks=pytest.mark.django_db(transaction=True))


@pytest.fixture(params=[IN_OUR_DATABASE if name == "manual" else name for name in SUBJECTS])
def subject(request: pytest.FixtureRequest, settings: LazySettings) -> Iterator[Subject]:
    with SUBJECTS[request.param](request, settings) as subject:
        yield subject
