"""What Stripe's disputes mean to the shop, and that an answer nobody understands is unknown."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings

from payments.gateway import GatewayUnavailable
from payments.stripe import StripeGateway
from payments.stripe_disputes import STATUSES
from tests.provider import Provider, make_params, nonsense_provider

DISPUTE = {
    "id": "dp_1",
    "object": "dispute",
    "amount": 500,
    "charge": "ch_1",
    "currency": "gbp",
    "payment_intent": "pi_1",
    "reason": "fraudulent",
    "status": "needs_response",
    "created": 1_790_000_000,
    "evidence_details": {"due_by": 1_790_600_000},
}


def test_a_dispute_is_read_and_listed_newest_first(
    gateway: StripeGateway, provider: Provider, empty_ledger: None
) -> None:
    intent = provider.request("POST", "/v1/payment_intents", make_params()).json["id"]
    first, second = provider.open_dispute(intent), provider.open_dispute(intent, amount=200, reason="duplicate")
    provider.end_dispute(first, "lose")

    listed = list(gateway.list_disputes())

    assert [(dispute.provider_id, dispute.status, dispute.amount) for dispute in listed] == [
        (second, "open", 200),
        (first, "lost", 500),
    ]
    assert gateway.retrieve_dispute(second) == listed[0]
    assert (listed[0].charge_id, listed[0].currency, listed[0].reason) == (intent, "GBP", "duplicate")
    assert listed[0].respond_by
    assert listed[0].respond_by - listed[0].created_at == timedelta(days=7)
    assert list(gateway.list_disputes(since=datetime.now(UTC) + timedelta(days=1))) == []


def test_a_list_of_several_pages_is_read_to_its_end(
    gateway: StripeGateway, provider: Provider, empty_ledger: None
) -> None:
    intent = provider.request("POST", "/v1/payment_intents", make_params()).json["id"]
    opened = [provider.open_dispute(intent) for _ in range(101)]

    assert [dispute.provider_id for dispute in gateway.list_disputes()] == opened[::-1]
    with pytest.raises(GatewayUnavailable, match="list takes longer"):
        list(gateway.list_disputes(within=0))


@pytest.mark.parametrize(("status", "meaning"), STATUSES.items())
def test_each_of_stripes_statuses_is_open_won_or_lost(settings: LazySettings, status: str, meaning: str) -> None:
    with nonsense_provider(200, json.dumps(DISPUTE | {"status": status})) as settings.STRIPE_API_BASE:
        assert StripeGateway().retrieve_dispute("dp_1").status == meaning


def test_a_dispute_of_a_charge_without_an_intent_or_a_deadline_is_read(settings: LazySettings) -> None:
    odd = {"payment_intent": None, "evidence_details": {"due_by": None}}
    with nonsense_provider(200, json.dumps(DISPUTE | odd)) as settings.STRIPE_API_BASE:
        dispute = StripeGateway().retrieve_dispute("dp_1")

    assert (dispute.charge_id, dispute.respond_by) == ("ch_1", None)


@pytest.mark.parametrize(
    "odd",
    [
        {"status": "pondered"},
        {"amount": "5.00"},
        {"amount": 2**63},
        {"currency": "g\0p"},
        {"id": None},
        {"evidence_details": None},
        {"reason": ["fraudulent"]},
    ],
)
def test_an_answer_that_nobody_understands_is_unknown(settings: LazySettings, odd: dict[str, Any]) -> None:
    with (
        nonsense_provider(200, json.dumps(DISPUTE | odd)) as settings.STRIPE_API_BASE,
        pytest.raises(GatewayUnavailable),
    ):
        StripeGateway().retrieve_dispute("dp_1")


def test_a_provider_that_does_not_answer_is_unknown(gateway: StripeGateway, provider: Provider) -> None:
    provider.control(fault="down")
    with pytest.raises(GatewayUnavailable, match="503"):
        gateway.retrieve_dispute("dp_1")
    with pytest.raises(GatewayUnavailable, match="503"):
        list(gateway.list_disputes())
