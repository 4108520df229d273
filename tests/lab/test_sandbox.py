"""The provider keeps Stripe's rules, and loses nothing that it answered when it is killed."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pytest

from tests.provider import Provider, Reply, make_params


def create(provider: Provider, params: dict[str, Any], *, key: str | None = None) -> Reply:
    return provider.request("POST", "/v1/payment_intents", params, key=key or params["metadata[reference]"])


def all_charges(provider: Provider) -> list[dict[str, Any]]:
    """Every intent that took money, page by page."""
    intents: list[dict[str, Any]] = []
    page: dict[str, Any] = {"has_more": True}
    while page["has_more"]:
        after = f"&starting_after={intents[-1]['id']}" if intents else ""
        page = provider.request("GET", f"/v1/payment_intents?limit=100{after}").json
        intents += page["data"]
    return [intent for intent in intents if intent["status"] == "succeeded"]


def charges_of(provider: Provider, params: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = params["metadata[reference]"]
    return [charge for charge in all_charges(provider) if charge["metadata"]["reference"] == wanted]


@pytest.mark.parametrize("token", ["pm_card_visa", "pm_card_mastercard"])
def test_a_good_card_is_charged(provider: Provider, token: str) -> None:
    answer = create(provider, make_params(token) | {"expand[0]": "latest_charge"})
    assert (answer.status, answer.json["status"], answer.json["amount_received"]) == (200, "succeeded", 500)
    assert answer.json["latest_charge"]["amount_refunded"] == 0


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
def test_a_bad_card_is_declined_and_nothing_is_taken(
    provider: Provider, token: str, code: str, decline_code: str | None
) -> None:
    params = make_params(token)
    answer = create(provider, params)
    error = answer.json["error"]
    assert (answer.status, error["type"], error["code"]) == (402, "card_error", code)
    assert error.get("decline_code") == decline_code
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert charges_of(provider, params) == []


def test_the_same_key_and_parameters_replay_the_answer_to_the_byte(provider: Provider) -> None:
    params = make_params()
    first, again = create(provider, params), create(provider, params)
    assert (again.status, again.body) == (first.status, first.body)
    assert (first.replayed, again.replayed) == (False, True)
    assert len(charges_of(provider, params)) == 1


def test_the_same_key_with_other_parameters_is_refused(provider: Provider) -> None:
    params = make_params()
    create(provider, params)
    answer = create(provider, params | {"amount": 501})
    assert (answer.status, answer.json["error"]["type"]) == (400, "idempotency_error")
    assert [charge["amount"] for charge in charges_of(provider, params)] == [500]


def test_a_key_in_flight_is_refused_until_it_is_answered(provider: Provider) -> None:
    params = make_params("pm_sandbox_slow")
    with ThreadPoolExecutor(2) as pool:
        first, second = sorted(pool.map(lambda _: create(provider, params), range(2)), key=lambda reply: reply.status)
    assert (first.status, first.json["status"]) == (200, "succeeded")
    assert (second.status, second.json["error"]["code"]) == (409, "idempotency_key_in_use")
    assert create(provider, params).body == first.body
    assert len(charges_of(provider, params)) == 1


def test_one_key_in_twenty_threads_is_one_charge(provider: Provider) -> None:
    params = make_params()
    barrier = threading.Barrier(20)

    def together(_: int) -> Reply:
        barrier.wait()
        return create(provider, params)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(together, range(20)))
    assert {answer.status for answer in answers} <= {200, 409}
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    assert len(charges_of(provider, params)) == 1


def test_without_a_common_key_twenty_threads_are_twenty_charges(provider: Provider) -> None:
    params = make_params()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda n: create(provider, params, key=f"{params['metadata[reference]']}-{n}"), range(20)))
    assert len(charges_of(provider, params)) == 20


def test_an_invalid_request_is_not_saved_under_its_key(provider: Provider) -> None:
    params = make_params()
    refused = create(provider, params | {"payment_method": "pm_nobody_knows"})
    assert (refused.status, refused.json["error"]["code"]) == (400, "resource_missing")
    assert refused.json["error"]["param"] == "payment_method"
    assert create(provider, params).status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "0"},
        {"amount": "-5"},
        {"amount": "1.5"},
        {"amount": "29"},
        {"amount": "1000000000000"},
        {"amount": "1000000000", "payment_method": "pm_card_amex"},
        {"amount": "٣"},
        {"currency": "pounds"},
        {"currency": "zzz"},
        {"currency": "jpy", "amount": "49"},
        {"currency": "huf", "amount": "17499"},
        {"currency": "kwd", "amount": "5124"},
        {"currency": "isk", "amount": "550"},
        {"currency": "ugx", "amount": "125050"},
        {"payment_method_types[0]": "card"},
        {"confirm": "false", "error_on_requires_action": "true"},
    ],
)
def test_parameters_that_stripe_refuses_are_refused(provider: Provider, change: dict[str, str]) -> None:
    params = make_params() | change
    assert create(provider, params).status == 400
    assert charges_of(provider, params) == []


@pytest.mark.parametrize(
    ("currency", "amount"), [("gbp", "30"), ("kwd", "5120"), ("isk", "500"), ("jpy", "551"), ("krw", "3000000000")]
)
def test_an_amount_in_whole_steps_of_its_currency_is_charged(provider: Provider, currency: str, amount: str) -> None:
    params = make_params() | {"currency": currency, "amount": amount}
    assert create(provider, params).status == 200
    assert [charge["amount"] for charge in charges_of(provider, params)] == [int(amount)]


def test_a_request_without_a_key_of_the_account_is_refused(provider: Provider) -> None:
    params = make_params()
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{provider.url}/v1/payment_intents", data=urlencode(params).encode())
    assert charges_of(provider, params) == []


@pytest.mark.parametrize(("token", "taken"), [("pm_sandbox_500_before", 0), ("pm_sandbox_500_after", 1)])
def test_a_500_is_saved_and_replayed_whether_money_was_taken_or_not(provider: Provider, token: str, taken: int) -> None:
    params = make_params(token)
    first, again = create(provider, params), create(provider, params)
    assert (first.status, again.status, again.replayed) == (500, 500, True)
    assert len(charges_of(provider, params)) == taken


@pytest.mark.parametrize("token", ["pm_sandbox_drop", "pm_sandbox_hang"])
def test_an_answer_that_is_lost_is_replayed(provider: Provider, token: str) -> None:
    params = make_params(token)
    with ThreadPoolExecutor() as pool:
        lost = pool.submit(create, provider, params)
        with pytest.raises((OSError, HTTPException)):
            lost.result(timeout=3)
    again = create(provider, params)
    assert (again.status, again.replayed) == (200, True)
    assert len(charges_of(provider, params)) == 1


def read_for_a_while(provider: Provider, method: str, path: str, params: dict[str, Any]) -> bytes:
    """What comes within a third of a second, on the bare wire."""
    body = urlencode(params)
    head = f"{method} {path} HTTP/1.1\r\nAuthorization: Bearer sk_test_sandbox\r\nContent-Length: {len(body)}\r\n"
    key = f"Idempotency-Key: {params['metadata[reference]']}\r\n" if params else ""
    came, until = b"", time.monotonic() + 0.3
    with socket.create_connection(("127.0.0.1", urlsplit(provider.url).port or 0), timeout=5) as wire:
        wire.sendall(f"{head}{key}\r\n{body}".encode())
        while time.monotonic() < until:
            came += wire.recv(4096)
    return came


def test_an_answer_that_trickles_comes_byte_by_byte_after_the_money_was_taken(provider: Provider) -> None:
    params = make_params("pm_sandbox_trickle")
    came = read_for_a_while(provider, "POST", "/v1/payment_intents", params)
    assert b"HTTP/1.1 200 OK\r\n".startswith(came)
    assert came
    again = create(provider, params)
    assert (again.status, again.replayed) == (200, True)
    assert len(charges_of(provider, params)) == 1


def test_every_answer_trickles_where_the_control_says_so(provider: Provider) -> None:
    params = make_params()
    create(provider, params)
    provider.control(fault="trickle")
    for method in ("POST", "GET"):
        came = read_for_a_while(provider, method, "/v1/payment_intents", params if method == "POST" else {})
        assert b"HTTP/1.1 200 OK\r\n".startswith(came)
        assert came
    provider.control()
    assert len(charges_of(provider, params)) == 1


@pytest.mark.parametrize(
    ("token", "end"),
    [("pm_sandbox_processing", "succeeded"), ("pm_sandbox_processing_declined", "requires_payment_method")],
)
def test_processing_can_not_be_cancelled_and_ends_by_itself(provider: Provider, token: str, end: str) -> None:
    intent = create(provider, make_params(token)).json
    assert intent["status"] == "processing"
    refused = provider.request("POST", f"/v1/payment_intents/{intent['id']}/cancel")
    assert (refused.status, refused.json["error"]["code"]) == (400, "payment_intent_unexpected_state")
    time.sleep(0.35)
    assert provider.request("GET", f"/v1/payment_intents/{intent['id']}").json["status"] == end


def test_a_cancelled_intent_takes_no_money_and_a_taken_one_is_not_cancelled(provider: Provider) -> None:
    params = make_params() | {"confirm": "false"}
    waiting, taken = create(provider, params).json, create(provider, make_params()).json
    assert waiting["status"] == "requires_confirmation"
    assert provider.request("POST", f"/v1/payment_intents/{waiting['id']}/cancel").json["status"] == "canceled"
    assert provider.request("POST", f"/v1/payment_intents/{taken['id']}/cancel").status == 400
    assert charges_of(provider, params) == []
    assert provider.request("GET", f"/v1/payment_intents/{taken['id']}").json["status"] == "succeeded"


def test_the_list_is_newest_first_in_pages(provider: Provider) -> None:
    made = [create(provider, make_params()).json["id"] for _ in range(5)]
    first = provider.request("GET", "/v1/payment_intents?limit=2").json
    second = provider.request("GET", f"/v1/payment_intents?limit=3&starting_after={first['data'][-1]['id']}").json
    assert [intent["id"] for intent in first["data"] + second["data"]] == made[::-1]
    assert first["has_more"]
    tomorrow = int(time.time()) + 86_400
    assert provider.request("GET", f"/v1/payment_intents?created[gte]={tomorrow}").json["data"] == []


def test_refunds_never_exceed_the_charge(provider: Provider) -> None:
    intent = create(provider, make_params()).json

    def refund(n: int) -> int:
        form = {"payment_intent": intent["id"], "amount": 100}
        return provider.request("POST", "/v1/refunds", form, key=f"{intent['id']}-{n}").status

    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(refund, range(10)))
    assert sorted(statuses) == [200] * 5 + [400] * 5
    refunds = provider.request("GET", f"/v1/refunds?payment_intent={intent['id']}").json["data"]
    assert sum(refund["amount"] for refund in refunds) == 500
    path = f"/v1/payment_intents/{intent['id']}?expand[0]=latest_charge"
    assert provider.request("GET", path).json["latest_charge"]["amount_refunded"] == 500


def test_a_kill_in_the_middle_of_charges_loses_none_that_was_answered(provider: Provider) -> None:
    answered: list[tuple[dict[str, Any], Reply]] = []
    sent: list[dict[str, Any]] = []
    stop = threading.Event()

    def keep_charging() -> None:
        while not stop.is_set():
            params = make_params()
            sent.append(params)
            with suppress(OSError, HTTPException):
                answered.append((params, create(provider, params)))

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(keep_charging)
        slow = make_params("pm_sandbox_slow")
        pool.submit(create, provider, slow)
        while len(answered) < 40:
            time.sleep(0.01)
        provider.kill()
        stop.set()
    provider.start()

    for params, answer in answered:
        again = create(provider, params)
        assert (again.body, again.replayed) == (answer.body, True)
    for params in [*sent, slow]:  # no key stayed locked, and none is charged a second time
        assert create(provider, params).status == 200
    taken = [charge["metadata"]["reference"] for charge in all_charges(provider)]
    wanted = {params["metadata[reference]"] for params in [*sent, slow]}
    assert sorted(reference for reference in taken if reference in wanted) == sorted(wanted)


def test_a_scripted_fault_strikes_as_often_as_it_was_told(provider: Provider) -> None:
    provider.control(fault="down", times=2)
    params = make_params()
    assert [create(provider, params).status for _ in range(4)] == [503, 503, 200, 200]
    provider.control(fault="decline", times=1)
    assert [create(provider, make_params()).status for _ in range(2)] == [402, 200]
    provider.control(fault="500_after", times=1)
    params = make_params()
    assert [create(provider, params).status for _ in range(2)] == [500, 500]
    assert len(charges_of(provider, params)) == 1


def test_a_scripted_fault_outlives_a_restart_until_it_is_taken_back(provider: Provider) -> None:
    provider.control(fault="down")
    provider.kill()
    provider.start()
    assert create(provider, make_params()).status == 503
    assert provider.request("DELETE", "/control").json == {
        "fault": None,
        "times": None,
        "latency_ms": 0,
        "webhooks": [],
    }
    assert create(provider, make_params()).status == 200


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        '{"webhooks": ["eaten"]}',
        '{"webhooks": "never"}',
        '{"fault": "fire"}',
        '{"times": 0}',
        '{"latency_ms": -1}',
        '{"latency": 1}',
        '{"times": true}',
    ],
)
def test_a_fault_that_nobody_knows_is_refused(provider: Provider, body: str) -> None:
    assert provider.request("POST", "/control", raw=body).status == 400
    assert provider.request("GET", "/control").json["fault"] is None


def test_a_stop_is_prompt_while_an_answer_hangs(provider: Provider) -> None:
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(create, provider, make_params("pm_sandbox_hang"))
        time.sleep(0.2)
        assert provider.stop() == 0
        with pytest.raises((OSError, HTTPException)):
            hanging.result()
