"""The provider tells of each change, signed, until somebody takes it; and goes wrong in each way on demand."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from tests.provider import Provider, make_params

SECRET = "whsec_of_the_tests"
SILENCE = 0.8  # seconds: after so long nothing more comes


@dataclass
class Receiver:
    """A shop that notes what it is told, and answers with each of these statuses in turn, then with 200."""

    url: str
    statuses: list[int] = field(default_factory=list)
    received: list[tuple[str, bytes]] = field(default_factory=list)  # signature and body

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]

    @property
    def types(self) -> list[str]:
        return [event["type"].partition(".")[2] for event in self.events]

    def wait_for(self, count: int) -> None:
        """Wait for so many deliveries, and that no more come."""
        wait_until(lambda: len(self.received) >= count)
        time.sleep(SILENCE)
        assert len(self.received) == count


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            shop.received.append((self.headers["Stripe-Signature"], body))
            self.send_response(shop.statuses.pop(0) if shop.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        shop = Receiver(f"http://127.0.0.1:{server.server_address[1]}/hook/")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield shop
        server.shutdown()
        thread.join()


@pytest.fixture
def telling(receiver: Receiver) -> Iterator[Provider]:
    """A provider that tells the receiver."""
    told = {"SANDBOX_WEBHOOK_URL": receiver.url, "SANDBOX_WEBHOOK_SECRET": SECRET, "SANDBOX_WEBHOOK_LATE_SECONDS": "1"}
    provider = Provider(**told)
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()
        provider.drop_database()


def create(provider: Provider, method: str = "pm_card_visa", **params: str) -> str:
    """Ask for a payment. Return its reference."""
    asked = make_params(method) | params
    provider.request("POST", "/v1/payment_intents", asked, key=asked["metadata[reference]"])
    return str(asked["metadata[reference]"])


def test_each_outcome_is_told_once_and_signed_as_stripe_signs(telling: Provider, receiver: Receiver) -> None:
    paid, declined = create(telling), create(telling, "pm_card_visa_chargeDeclined")

    receiver.wait_for(2)

    told = {event["data"]["object"]["metadata"]["reference"]: event for event in receiver.events}
    assert (told[paid]["type"], told[declined]["type"]) == (
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
    )
    for signature, body in receiver.received:
        assert stripe.WebhookSignature.verify_header(body, signature, SECRET, 10)


def test_an_intent_that_is_not_confirmed_is_told_of_once_it_is_cancelled(telling: Provider, receiver: Receiver) -> None:
    params = make_params() | {"confirm": "false"}
    intent = telling.request("POST", "/v1/payment_intents", params, key="x").json["id"]
    receiver.wait_for(0)

    telling.request("POST", f"/v1/payment_intents/{intent}/cancel")

    receiver.wait_for(1)
    assert receiver.types == ["canceled"]


def test_a_repeat_of_a_request_is_told_of_once(telling: Provider, receiver: Receiver) -> None:
    params = make_params()
    for _ in range(3):
        telling.request("POST", "/v1/payment_intents", params, key="x")

    receiver.wait_for(1)


@pytest.mark.parametrize(("method", "end"), [("", "succeeded"), ("_declined", "payment_failed")])
def test_a_banks_late_answer_is_told_though_nobody_asks(
    telling: Provider, receiver: Receiver, method: str, end: str
) -> None:
    create(telling, f"pm_sandbox_processing{method}")

    receiver.wait_for(2)

    assert receiver.types == ["processing", end]


def test_an_event_is_sent_until_it_is_taken_and_is_the_same_to_the_byte(telling: Provider, receiver: Receiver) -> None:
    receiver.statuses = [500, 404]

    create(telling)

    wait_until(lambda: len(receiver.received) == 3)
    time.sleep(SILENCE)
    assert len(receiver.received) == 3
    assert len({body for _, body in receiver.received}) == 1


def test_a_provider_that_is_killed_sends_afterwards_what_it_had_not(telling: Provider, receiver: Receiver) -> None:
    receiver.statuses = [500]
    reference = create(telling)
    wait_until(lambda: len(receiver.received) == 1)

    telling.kill()
    telling.start()

    wait_until(lambda: len(receiver.received) == 2)
    assert {event["data"]["object"]["metadata"]["reference"] for event in receiver.events} == {reference}


def test_events_are_sent_twice_on_demand(telling: Provider, receiver: Receiver) -> None:
    telling.control(webhooks=["twice"])

    create(telling)

    receiver.wait_for(2)
    assert receiver.events[0] == receiver.events[1]


def test_events_are_sent_late_on_demand(telling: Provider, receiver: Receiver) -> None:
    telling.control(webhooks=["late"])
    started = time.monotonic()

    create(telling)

    wait_until(lambda: len(receiver.received) == 1)
    assert time.monotonic() - started >= 1


def test_events_are_sent_in_another_order_on_demand(telling: Provider, receiver: Receiver) -> None:
    telling.control(webhooks=["shuffled"])

    placed = [create(telling) for _ in range(20)]

    wait_until(lambda: len(receiver.received) == 20)
    told = [event["data"]["object"]["metadata"]["reference"] for event in receiver.events]
    assert told != placed
    assert sorted(told) == sorted(placed)


def test_events_are_never_sent_on_demand_and_neither_afterwards(telling: Provider, receiver: Receiver) -> None:
    telling.control(webhooks=["never"])
    create(telling)
    time.sleep(SILENCE)

    telling.control()
    create(telling)

    receiver.wait_for(1)


def test_without_an_address_nothing_is_written(provider: Provider) -> None:
    create(provider)

    assert provider.count_events() == 0


def test_a_dispute_is_told_of_when_it_opens_and_when_it_ends(telling: Provider, receiver: Receiver) -> None:
    create(telling)
    receiver.wait_for(1)
    charge = receiver.events[0]["data"]["object"]["id"]

    dispute = telling.open_dispute(charge)
    receiver.wait_for(2)  # two that wait are sent side by side
    telling.end_dispute(dispute, "win")

    receiver.wait_for(3)
    told = [(event["type"], event["data"]["object"]["status"]) for event in receiver.events[1:]]
    assert told == [("charge.dispute.created", "needs_response"), ("charge.dispute.closed", "won")]
    assert {event["data"]["object"]["id"] for event in receiver.events[1:]} == {dispute}
