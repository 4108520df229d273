"""The bank's page of the sandbox: the customer answers there once, and is led back to the shop."""

from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from tests.lab.test_card_tokens import make_token, make_token_params
from tests.provider import Provider, make_params

RETURN_URL = "https://shop.example.com/orders/1/return/"


def create(provider: Provider, payment_method: str = "pm_card_authenticationRequired") -> dict[str, Any]:
    params = make_params(payment_method, return_url=RETURN_URL)
    return provider.request("POST", "/v1/payment_intents", params, key=params["metadata[reference]"]).json


def browse(provider: Provider, path: str, *, language: str = "en", answer: str = "") -> tuple[int, str, str]:
    """The status, the body, and where the browser is led."""
    connection = HTTPConnection(urlsplit(provider.url).netloc, timeout=5)
    try:
        body = urlencode({"answer": answer}) if answer else None
        connection.request("POST" if answer else "GET", path, body, {"Accept-Language": language})
        response = connection.getresponse()
        return response.status, response.read().decode(), response.headers.get("Location", "")
    finally:
        connection.close()


def path_of(intent: dict[str, Any]) -> str:
    return urlsplit(str(intent["next_action"]["redirect_to_url"]["url"])).path


def read_intent(provider: Provider, intent: dict[str, Any]) -> dict[str, Any]:
    return provider.request("GET", f"/v1/payment_intents/{intent['id']}").json


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Do you want to pay 5.00 GBP?"), ("ko-KR", "결제를 승인하시겠습니까")]
)
def test_the_page_asks_in_the_browsers_language_and_changes_nothing(
    provider: Provider, language: str, words: str
) -> None:
    intent = create(provider)
    status, body, _ = browse(provider, path_of(intent), language=language)
    assert (status, words in body) == (200, True)
    assert read_intent(provider, intent)["status"] == "requires_action"


@pytest.mark.parametrize(
    ("answer", "becomes", "told"),
    [("approve", "succeeded", "succeeded"), ("fail", "requires_payment_method", "failed")],
)
def test_an_answer_counts_once_and_leads_back_with_stripes_names(
    provider: Provider, answer: str, becomes: str, told: str
) -> None:
    intent = create(provider)
    for again in (answer, "approve", "fail"):
        status, _, address = browse(provider, path_of(intent), answer=again)
        assert status == 303
        assert address.startswith(f"{RETURN_URL}?payment_intent={intent['id']}&payment_intent_client_secret=")
        assert address.endswith(f"redirect_status={told}")
    assert browse(provider, path_of(intent))[2] == address
    assert read_intent(provider, intent)["status"] == becomes


def test_the_action_of_a_token_is_for_the_script_which_is_told_in_its_frame(provider: Provider) -> None:
    token = make_token(provider, "pm_card_authenticationRequired")
    params = make_token_params(token, return_url=RETURN_URL)
    intent = provider.request("POST", "/v1/payment_intents", params, key=params["metadata[reference]"]).json
    assert intent["next_action"]["type"] == "use_stripe_sdk"

    frame = f"/bank/{intent['client_secret']}?parent=https%3A%2F%2Fshop.example.com"
    status, body, address = browse(provider, frame, answer="approve")

    assert (status, address) == (200, "")
    assert 'data-parent="https://shop.example.com"' in body
    assert 'data-status="succeeded"' in body


def test_a_card_may_be_declined_after_its_owner_has_approved(provider: Provider) -> None:
    method = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"
    intent = create(provider, method)
    assert intent["last_payment_error"] is None
    browse(provider, path_of(intent), answer="approve")
    assert read_intent(provider, intent)["last_payment_error"]["decline_code"] == "insufficient_funds"


def test_a_payment_that_was_cancelled_takes_nothing_whatever_the_customer_answers(provider: Provider) -> None:
    intent = create(provider)
    assert provider.request("POST", f"/v1/payment_intents/{intent['id']}/cancel").json["status"] == "canceled"
    browse(provider, path_of(intent), answer="approve")
    assert read_intent(provider, intent)["amount_received"] == 0


def test_nobody_finds_a_payment_without_its_secret(provider: Provider) -> None:
    intent = create(provider)
    assert browse(provider, f"/bank/{intent['id']}", answer="approve")[0] == 404
    assert read_intent(provider, intent)["status"] == "requires_action"
