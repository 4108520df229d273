"""Workers whose tasks run in forked processes are traced and report, too: a fork has none of its parent's threads."""

import re
from collections.abc import Iterator

import pytest

from lab.stack.processes import Process
from lab.stack.shop import WORKER, WORKERS, make_service
from lab.stack.stack import Stack
from tests.live.observing import (
    EMAIL,
    STEPS,
    find_root,
    find_trace,
    place,
    refusing_ends,
    run_observed,
    wait_for_event,
    wait_until,
)
from tests.receiver import Receiver
from tests.waiting import wait_for_workers

FORKED = ("payments", "orders")


@pytest.fixture(scope="module")
def forked(receiver: Receiver) -> Iterator[Stack]:
    """A shop whose payments and orders are worked on in two forked processes each."""
    with run_observed(receiver) as running:
        running.supervisor.stop(*(running.process(name) for name in FORKED))
        running.supervisor.start(*(make_forked(running, name) for name in FORKED))
        wait_for_workers(*(running.log(f"forked-{name}") for name in FORKED), seconds=180)
        yield running


def make_forked(stack: Stack, name: str) -> Process:
    options = re.sub(r"--pool \w+ --concurrency \d+", "--pool prefork --concurrency 2", WORKERS[name])
    return make_service(stack, f"forked-{name}", f"{WORKER} {options} -n forked-{name}@%h")


def test_an_order_is_one_trace_over_the_web_and_the_forks_of_both_workers(forked: Stack, receiver: Receiver) -> None:
    for _ in range(3):  # each fork has its first task
        code, _request_id = place(forked)
        wait_until(forked, code, "CONFIRMED")

        spans = find_trace(receiver, code)

        assert len({span.trace_id for span in spans}) == 1
        assert {span.name for span in spans} >= STEPS
        root = find_root(spans)
        assert root is not None
        assert root.name.startswith("POST ")
        assert {span.parent_span_id for span in spans} <= {span.span_id for span in spans} | {b""}


def test_a_task_that_fails_in_a_fork_is_reported_with_its_order(forked: Stack, receiver: Receiver) -> None:
    with refusing_ends(forked):
        code, request_id = place(forked)
        event = wait_for_event(receiver, code)
    wait_until(forked, code, "CONFIRMED")

    assert (event["tags"]["order"], event["tags"]["request_id"]) == (code, request_id)
    assert EMAIL not in str(event)
