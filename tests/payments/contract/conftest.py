"""Each gateway in turn, behind a relay."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.conf import LazySettings

from payments.stripe import StripeGateway
from tests.payments.contract import subjects
from tests.payments.contract.relay import Relay, run_relay
from tests.payments.contract.subjects import Subject
from tests.provider import Provider


def describe_stripe(relay: Relay, **amounts: Any) -> Subject:
    return Subject(
        gateway=StripeGateway(),
        relay=relay,
        pays="pm_card_visa",
        refunds_later="pm_card_pendingRefund",
        refunds_fail="pm_card_refundFail",
        declines=subjects.DECLINES,
        unknown=subjects.UNKNOWN,
        **amounts,
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


SUBJECTS: dict[str, Callable[[pytest.FixtureRequest, LazySettings], AbstractContextManager[Subject]]] = {
    "sandbox": stripe_at_the_sandbox,
    "stripe": stripe_in_its_test_mode,
}


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, settings: LazySettings) -> Iterator[Subject]:
    with SUBJECTS[request.param](request, settings) as subject:
        yield subject
