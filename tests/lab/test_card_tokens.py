"""A token stands for a card: it is made in the browser, is used once, and does not last."""

import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import psycopg
import pytest

from lab.sandbox.cards import CARD_NUMBERS
from lab.sandbox.faults import TOKENS
from tests.provider import Provider, Reply, make_params

INTENTS = "/v1/payment_intents"


def make_token(provider: Provider, payment_method: str = "pm_card_visa") -> str:
    answer = provider.request("POST", "/v1/test_helpers/confirmation_tokens", {"payment_method": payment_method})
    assert answer.status == HTTPStatus.OK
    return str(answer.json["id"])


def make_token_params(token: str, **changes: Any) -> dict[str, Any]:
    params = make_params(confirmation_token=token, **changes)
    del params["payment_method"]
    return params


def charge(provider: Provider, params: dict[str, Any]) -> Reply:
    return provider.request("POST", INTENTS, params, key=params["metadata[reference]"])


def send_from_browser(provider: Provider, path: str, params: dict[str, str], *, key: str) -> tuple[int, str]:
    """With a key of the browser's, and an idempotency key, which browsers have no reason to send."""
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "from-the-browser"}
    try:
        with urlopen(Request(f"{provider.url}{path}", urlencode(params).encode(), headers)) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def tokenize(provider: Provider, number: str, *, key: str = "pk_test_sandbox") -> tuple[int, str]:
    params = {"payment_method_data[card][number]": number, "allowed_payment_method_types[0]": "card"}
    return send_from_browser(provider, "/v1/confirmation_tokens", params, key=key)


def test_a_token_takes_the_money_of_its_card_once(provider: Provider) -> None:
    params = make_token_params(make_token(provider))

    first, replay = charge(provider, params), charge(provider, params)
    other = charge(provider, make_token_params(params["confirmation_token"]))

    assert (first.status, first.json["status"]) == (200, "succeeded")
    assert (replay.body, replay.replayed) == (first.body, True)
    assert (other.status, other.json["error"]["param"]) == (400, "confirmation_token")


def test_a_token_of_a_declined_card_is_used_up_too(provider: Provider) -> None:
    token = make_token(provider, "pm_card_visa_chargeDeclinedInsufficientFunds")

    first, other = charge(provider, make_token_params(token)), charge(provider, make_token_params(token))

    assert (first.status, first.json["error"]["decline_code"]) == (402, "insufficient_funds")
    assert (other.status, other.json["error"]["param"]) == (400, "confirmation_token")


def test_one_token_in_requests_at_the_same_time_is_one_charge(provider: Provider) -> None:
    token = make_token(provider)

    with psycopg.connect(provider.database_url) as connection, ThreadPoolExecutor(5) as threads:
        connection.execute("SELECT FROM confirmation_token WHERE id = %s FOR UPDATE", [token])
        charges = [threads.submit(charge, provider, make_token_params(token)) for _ in range(5)]
        wait_for_locks(provider, 5)  # each has found the token unused
        connection.rollback()

    assert sorted(answer.result().status for answer in charges) == [200, 400, 400, 400, 400]


def wait_for_locks(provider: Provider, count: int) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 5
    with psycopg.connect(provider.database_url, autocommit=True) as connection:
        while connection.execute(waiting).fetchone() != (count,):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_token_that_has_expired_charges_nothing(provider: Provider) -> None:
    token = make_token(provider)
    with psycopg.connect(provider.database_url) as connection:
        connection.execute("UPDATE confirmation_token SET expires_at = now() WHERE id = %s", [token])

    refused = charge(provider, make_token_params(token))

    assert (refused.status, refused.json["error"]["param"]) == (400, "confirmation_token")


def test_a_token_that_nobody_made_is_missing(provider: Provider) -> None:
    error = charge(provider, make_token_params("ctoken_0")).json["error"]

    assert (error["code"], error["param"]) == ("resource_missing", "confirmation_token")


def test_a_token_is_taken_by_a_charge_of_the_methods_that_its_form_offered_and_by_no_other(provider: Provider) -> None:
    _status, body = tokenize(provider, "4242424242424242")
    token = Reply(status=200, body=body, replayed=False).json["id"]

    other = charge(provider, make_token_params(token))
    same = charge(provider, make_token_params(token, **{"allowed_payment_method_types[0]": "card"}))

    assert (other.status, other.json["error"]["param"]) == (400, "allowed_payment_method_types")
    assert same.status == HTTPStatus.OK


def test_every_test_number_is_a_card_that_the_provider_knows() -> None:
    assert set(CARD_NUMBERS.values()) <= TOKENS.keys()


@pytest.mark.parametrize("number", ["4111111111111111", "", "4242"])
def test_a_card_that_is_no_test_card_is_refused(provider: Provider, number: str) -> None:
    status, body = tokenize(provider, number)

    assert status == HTTPStatus.PAYMENT_REQUIRED
    assert "test_mode_live_card" in body


def test_no_cards_number_is_kept(provider: Provider) -> None:
    for number in ("4242424242424242", "4111111111111111"):
        tokenize(provider, number)

    with psycopg.connect(provider.database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows = connection.execute(f"SELECT t::text FROM {table} t WHERE t::text ~ '42424242|41111111'").fetchall()  # noqa: S608
            assert rows == [], table


@pytest.mark.parametrize("path", [INTENTS, "/v1/refunds", "/v1/test_helpers/confirmation_tokens"])
def test_the_key_that_every_browser_knows_takes_no_money(provider: Provider, path: str) -> None:
    params = {"amount": "500", "currency": "gbp", "payment_method": "pm_card_visa", "confirm": "true"}

    status, body = send_from_browser(provider, path, params, key="pk_test_sandbox")

    assert status == HTTPStatus.FORBIDDEN
    assert "secret_key_required" in body


@pytest.mark.parametrize(
    ("file", "content_type"),
    [
        ("stripe.js", "text/javascript; charset=utf-8"),
        ("card_form.html", "text/html; charset=utf-8"),
        ("card_form.js", "text/javascript; charset=utf-8"),
        ("card_form.css", "text/css; charset=utf-8"),
    ],
)
def test_browsers_are_given_the_card_form(provider: Provider, file: str, content_type: str) -> None:
    with urlopen(f"{provider.url}/{file}?locale=ko") as answer:
        assert answer.headers["Content-Type"] == content_type
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
