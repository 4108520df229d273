"""A token of the card form is charged as a payment method is; one that can't be used any more is a decline."""

import json
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
import stripe
from django.conf import LazySettings
from pytest_django import Settings

from payments.gateway import CardDeclined, ChargeRequest, GatewayUnavailable, RequestRefused
from payments.stripe import StripeGateway
from payments.stripe_form import STRIPE_JS, make_payment_form
from tests.provider import Provider, fake_provider, make_request

REFUSAL = '{"error": {"type": "invalid_request_error", "param": "%s", "message": "no"}}'


def make_token_request(provider: Provider, payment_method: str = "pm_card_visa") -> ChargeRequest:
    answer = provider.request("POST", "/v1/test_helpers/confirmation_tokens", {"payment_method": payment_method})
    return make_request(answer.json["id"])


def test_a_token_is_charged_once_however_often_it_is_asked_for(gateway: StripeGateway, provider: Provider) -> None:
    request = make_token_request(provider)

    charge = gateway.charge(request)

    assert charge.amount == request.amount
    assert gateway.charge(request) == charge
    assert gateway.cancel(request) == charge


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_authenticationRequired", "authentication_required"),
    ],
)
def test_a_token_is_declined_as_its_card_is(gateway: StripeGateway, provider: Provider, method: str, code: str) -> None:
    request = make_token_request(provider, method)

    for _ in range(2):
        with pytest.raises(CardDeclined) as declined:
            gateway.charge(request)
        assert declined.value.code == code
    assert gateway.cancel(request) is None


def use_token(gateway: StripeGateway, provider: Provider, token: str) -> None:
    gateway.charge(make_request(token))


def expire_token(gateway: StripeGateway, provider: Provider, token: str) -> None:
    with psycopg.connect(provider.database_url) as connection:
        connection.execute("UPDATE confirmation_token SET expires_at = now() WHERE id = %s", [token])


def forget_token(gateway: StripeGateway, provider: Provider, token: str) -> None:
    with psycopg.connect(provider.database_url) as connection:
        connection.execute("DELETE FROM confirmation_token WHERE id = %s", [token])


@pytest.mark.parametrize("spoil", [use_token, expire_token, forget_token])
def test_a_token_that_can_not_be_used_any_more_is_a_decline(
    gateway: StripeGateway, provider: Provider, spoil: Callable[[StripeGateway, Provider, str], None]
) -> None:
    request = make_token_request(provider)
    spoil(gateway, provider, request.payment_method)

    for _ in range(2):
        with pytest.raises(CardDeclined) as declined:
            gateway.charge(request)
        assert declined.value.code == "confirmation_token_invalid"
    assert [charge for charge in gateway.list_charges() if charge.reference == request.reference] == []
    assert gateway.cancel(replace(request, only_refused=True)) is None


def test_a_token_that_expires_after_its_charge_was_lost_is_the_charge(
    gateway: StripeGateway, provider: Provider
) -> None:
    request = make_token_request(provider)
    provider.control(fault="drop", times=1)
    with pytest.raises(GatewayUnavailable):
        gateway.charge(request)
    expire_token(gateway, provider, request.payment_method)

    assert gateway.charge(request).amount == request.amount


def test_a_refused_token_is_no_no_where_it_took_the_money_before(settings: Settings) -> None:
    intent = {
        "id": "pi_1",
        "created": 1,
        "latest_charge": None,
        "status": "succeeded",
        "metadata": {"reference": "T-1"},
    }
    body = json.dumps({"has_more": False, "data": [intent | {"amount_received": 1234, "currency": "gbp"}]})

    def answer(method: str, _path: str) -> tuple[int, str]:
        return (400, REFUSAL % "confirmation_token") if method == "POST" else (200, body)

    with fake_provider(answer) as settings.STRIPE_API_BASE:
        assert StripeGateway().charge(make_request("ctoken_1", reference="T-1")).provider_id == "pi_1"


def test_a_token_of_a_form_that_offers_something_else_is_refused_and_no_decline(settings: Settings) -> None:
    refusal = REFUSAL % "payment_method_types"
    with fake_provider(lambda *_: (400, refusal)) as settings.STRIPE_API_BASE, pytest.raises(RequestRefused):
        StripeGateway().charge(make_request("ctoken_1"))


def test_the_form_is_that_of_the_accounts_key(settings: LazySettings) -> None:
    settings.STRIPE_JS_URL = ""
    settings.STRIPE_PUBLISHABLE_KEY = "pk_live_1"
    form = make_payment_form()
    assert form is not None
    assert (form.script, form.publishable_key, form.test_cards) == (STRIPE_JS, "pk_live_1", {})
    assert all(url.startswith("https://") for urls in form.sources.values() for url in urls)

    settings.STRIPE_PUBLISHABLE_KEY = ""
    assert make_payment_form() is None


def test_test_cards_are_named_to_who_tries_a_local_shop_alone(settings: LazySettings) -> None:
    settings.STRIPE_PUBLISHABLE_KEY = "pk_test_1"
    named = []
    for settings.LOCAL in (True, False):
        form = make_payment_form()
        assert form is not None
        named.append("4242 4242 4242 4242" in form.test_cards)
    assert named == [True, False]


def test_a_stand_in_for_the_script_is_the_only_source_of_its_form(settings: LazySettings) -> None:
    settings.STRIPE_JS_URL = "http://127.0.0.1:8420/stripe.js"
    form = make_payment_form()
    assert form is not None
    assert {url for urls in form.sources.values() for url in urls} == {"http://127.0.0.1:8420"}


def test_the_script_is_of_the_release_that_the_sdks_api_version_belongs_to() -> None:
    release = str(stripe.api_version).partition(".")[2]
    assert f"/{release}/" in STRIPE_JS
