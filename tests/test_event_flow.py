"""An order's events through real processes to somebody else, whatever dies on the way."""

import signal
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest

from lab.stack.stack import Stack
from tests.receiver import Receiver, run_receiver
from tests.test_flow import place
from tests.waiting import wait_for


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as running:
        yield running


def add_endpoint(stack: Stack, url: str) -> str:
    """Return its secret."""
    done: subprocess.CompletedProcess[str] = stack.manage("add_webhook_endpoint", uuid4().hex, url)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_events_reach_who_is_told_while_the_worker_is_killed_and_another_endpoint_hangs(
    stack: Stack, sku: str, receiver: Receiver
) -> None:
    with run_receiver() as hanging:
        hanging.pause = 5
        add_endpoint(stack, hanging.url)
        secret = add_endpoint(stack, receiver.url)
        receiver.pause = 0.3
        codes = [place(stack, sku)["code"] for _ in range(8)]
        wait_for(lambda: len(receiver.requests) > 2, "a worker amid its deliveries", seconds=60)
        stack.process("webhooks").send(signal.SIGKILL)
        receiver.pause = 0

        def told(code: str) -> list[str]:
            events = {request.id: request.verify(secret) for request in receiver.requests}  # a repeat has its id
            return [event["type"] for event in events.values() if event["data"]["order"]["code"] == code]

        wait_for(lambda: all(len(told(code)) == 2 for code in codes), "all events", seconds=60)
    assert {tuple(told(code)) for code in codes} == {("order.placed", "order.confirmed")}
