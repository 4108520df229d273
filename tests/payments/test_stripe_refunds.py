"""Which of Stripe's answers to a refund is a no, and which leaves the outcome open."""

import json
from typing import Any

import pytest
from pytest_django import Settings

from payments.gateway import GatewayUnavailable, RefundRefused
from payments.stripe import StripeGateway
from tests.provider import fake_provider


def make_list(*refunds: dict[str, Any]) -> str:
    return json.dumps({"object": "list", "url": "/v1/refunds", "has_more": False, "data": refunds})


def make_refund(status: str, **changes: Any) -> dict[str, Any]:
    refund = {"id": "re_1", "object": "refund", "amount": 500, "status": status, "created": 1}
    return refund | {"metadata": {"key": "refund-T-1", "reference": "T"}} | changes


def refuse(code: str | None, **fields: Any) -> str:
    return json.dumps({"error": {"type": "invalid_request_error", "code": code, "message": "No."} | fields})


def ask(settings: Settings, status: int, body: str, *lists: str) -> str:
    """Ask for a refund of 500. The POST is answered so, and the lists come one after the other, then empty ones."""
    left = list(lists)

    def answer(method: str, _: str) -> tuple[int, str]:
        return (status, body) if method == "POST" else (200, left.pop(0) if left else make_list())

    with fake_provider(answer) as settings.STRIPE_API_BASE:
        return StripeGateway().refund(key="refund-T-1", reference="T", provider_id="pi_1", amount=500)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (refuse("charge_already_refunded"), "charge_already_refunded"),
        (refuse("charge_disputed"), "charge_disputed"),
        (refuse(None, param="amount"), "amount_too_large"),
        (refuse(None), "refused"),
    ],
)
def test_a_refusal_for_what_the_charge_is_says_no(settings: Settings, body: str, code: str) -> None:
    with pytest.raises(RefundRefused) as refused:
        ask(settings, 400, body)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, refuse("resource_missing", param="payment_intent")),  # of another account, perhaps
        (404, refuse("resource_missing", param="payment_intent")),
        (401, refuse(None)),
        (403, refuse(None)),
        (409, refuse("idempotency_key_in_use", type="idempotency_error")),
        (400, refuse(None, type="idempotency_error")),
        (429, refuse("rate_limit")),
        (402, refuse("card_declined", type="card_error")),
        (500, refuse(None, type="api_error")),
        (400, "nonsense"),
        (200, "nonsense"),
        (200, "[]"),
        (200, json.dumps(make_refund("succeeded", amount="500"))),
        (200, json.dumps(make_refund("succeeded", amount=499))),
        (200, json.dumps(make_refund("succeeded", id=None))),
        (200, json.dumps(make_refund("pending"))),
        (200, json.dumps(make_refund("requires_action"))),
        (200, json.dumps(make_refund("a status that nobody has heard of"))),
    ],
)
def test_everything_else_is_unknown(settings: Settings, status: int, body: str) -> None:
    with pytest.raises(GatewayUnavailable):
        ask(settings, status, body)


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_came_to_nothing_says_no(settings: Settings, status: str) -> None:
    with pytest.raises(RefundRefused) as refused:
        ask(settings, 200, json.dumps(make_refund(status)))
    assert refused.value.code == status
    with pytest.raises(RefundRefused) as refused:
        ask(settings, 500, "", make_list(make_refund(status, failure_reason="declined")))
    assert refused.value.code == "declined"


def test_what_was_given_under_the_key_is_found_before_and_after_it_is_asked_for(settings: Settings) -> None:
    made = make_list(make_refund("succeeded", id="re_2", metadata={}), make_refund("succeeded"))
    assert ask(settings, 500, "", made) == "re_1"
    assert ask(settings, 400, refuse("charge_already_refunded"), make_list(), made) == "re_1"


def test_control_without_the_second_look_money_that_was_given_is_called_refused(settings: Settings) -> None:
    with pytest.raises(RefundRefused):
        ask(settings, 400, refuse("charge_already_refunded"), make_list(), make_list())
