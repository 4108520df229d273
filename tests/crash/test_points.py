"""A process is killed at each point of an order's life, and every order ends as if nothing had happened."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Lock
from typing import Any
from uuid import uuid4

import pytest

from tests.crash.crashes import CRASHES, Crash
from tests.crash.drill import DROPPED, Drill, Purchase
from tests.crash.points import BY_NAME, NOTHING, Left
from tests.crash.stories import Outcome, assert_outcome, crash_at, finish, finish_refund
from tests.receiver import Receiver, run_receiver
from tests.waiting import wait_for

# A process dies for one order at a time. A second death would change what is left of the first order.
DEATHS = {process: Lock() for process in ("beat", "orders", "payments", "web", "webhooks")}


def run_crash(drill: Drill, crash: Crash) -> tuple[Left, int, Outcome]:
    """Return what was left, the HTTP status of the first answer after the crash, and what became of the order."""
    purchase = Purchase(str(crash), crash.payment_method, crash.hold, crash.approves)
    deadly = {BY_NAME[name].process for name in (*crash.after, crash.point.name)}
    with ExitStack() as exits:
        if crash.point.name.endswith(".published") or crash.payment_method == DROPPED:
            deadly.add("payments")  # which has to live until it has lost an answer
        others = {"orders", "webhooks"} if crash.point.name.startswith("repair.") else set()
        for process in sorted(deadly | others):
            exits.enter_context(DEATHS[process])
        for process in others:  # one that is only starting would take the order up first
            drill.wait_until_idle(process)
        if crash.point.name.endswith(".published"):
            # Or the payments worker would change what is left before anybody could see it.
            exits.enter_context(drill.frozen("payments"))
        left = crash_at(drill, purchase, *crash.after, crash.point.name)
        answer, _ = drill.insist(purchase)
    outcome = finish(drill, purchase)
    return left, answer, finish_refund(drill, purchase) if crash.refunds else outcome


Running = Future[tuple[Left, int, Outcome]]


@pytest.fixture(scope="module")
def told(drill: Drill) -> Iterator[Receiver]:
    """Somebody who is told of each order that is confirmed."""
    with run_receiver() as receiver:
        added = drill.stack.manage("add_webhook_endpoint", uuid4().hex, receiver.url, "order.confirmed")
        assert added.returncode == 0, added.stderr
        yield receiver
        drill.execute("UPDATE events_out_endpoint SET is_on = FALSE")


@pytest.fixture(scope="module")
def outcomes(drill: Drill, told: Receiver) -> Iterator[dict[Crash, Running]]:
    """Run every crash, as many at a time as there are processes to die. Each has its own order and product."""
    drill.stock(map(str, CRASHES))
    with ThreadPoolExecutor(len(CRASHES)) as pool:
        yield {crash: pool.submit(run_crash, drill, crash) for crash in CRASHES}


@pytest.fixture(scope="module")
def violations(drill: Drill, outcomes: dict[Crash, Running]) -> list[dict[str, Any]]:
    """What the audit finds when all of them are over."""
    for outcome in outcomes.values():
        outcome.exception()  # waits
    return drill.audit()


@pytest.mark.parametrize("crash", CRASHES, ids=str)
def test_an_order_survives_a_crash(
    crash: Crash, outcomes: dict[Crash, Running], violations: list[dict[str, Any]]
) -> None:
    left, answer, outcome = outcomes[crash].result()

    assert left == crash.left
    assert answer == (201 if left == NOTHING else 200)
    assert_outcome(outcome, crash.end, refunded=crash.refunds)
    assert [found for found in violations if {outcome.code, str(crash)} & {*found["codes"]}] == []


def test_the_audit_is_clean_after_every_crash(violations: list[dict[str, Any]]) -> None:
    assert violations == []


@pytest.mark.parametrize("crash", [crash for crash in CRASHES if crash.point.name.startswith("event.")], ids=str)
def test_an_event_survives_a_crash(crash: Crash, outcomes: dict[Crash, Running], told: Receiver) -> None:
    code = outcomes[crash].result()[2].code
    times = 2 if crash.point.name == "event.sent" else 1

    wait_for(lambda: len(list_told(told, code)) == times, f"the event of {code}", seconds=60)

    assert len(set(list_told(told, code))) == 1


def list_told(receiver: Receiver, code: str) -> list[str]:
    """The id of each event of the order that was sent, as often as it was."""
    return [request.id for request in receiver.requests if json.loads(request.body)["data"]["order"]["code"] == code]
