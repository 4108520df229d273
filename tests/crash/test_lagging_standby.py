"""The control for a failover: a standby that is asynchronous lacks what its primary had answered."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from lab.stack.profiles import PROFILE
from lab.stack.servers import throwaway_database
from lab.stack.standby import find_receiver, let_it_lag, promote
from tests.crash.conftest import run_drill
from tests.crash.drill import PRICE, Drill, Purchase
from tests.crash.stories import PAID, finish
from tests.waiting import wait_for

UNITS = 20
LOST = 12
LAG = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) = 0 FROM pg_stat_replication"


@pytest.fixture
def doubled(tmp_path: Path) -> Iterator[Drill]:
    """A shop whose database has a synchronous standby, and whose provider has a database of its own."""
    with throwaway_database(os.environ["DATABASE_URL"], f"provider_{uuid4().hex}") as provider_url:
        clocks = {PROFILE: "standby", "SANDBOX_DATABASE_URL": provider_url, "SWEEP_AFTER_MAX": "4"}
        with run_drill(tmp_path, **clocks) as running:
            yield running


def test_control_a_standby_that_lags_loses_orders_and_the_audit_names_each_of_them(doubled: Drill) -> None:
    sku = uuid4().hex
    doubled.stock([sku], units=UNITS)
    kept, waiting, lost = Purchase(sku), Purchase(sku), [Purchase(sku) for _ in range(LOST)]
    doubled.insist(kept)
    assert finish(doubled, kept).end == PAID
    let_it_lag(doubled.stack.environment["DATABASE_URL"])
    with doubled.without("payments"):
        doubled.insist(waiting)  # the standby has the order, and will not hear of its money
        receiver = freeze_receiver(doubled)
    codes = sorted(str(doubled.insist(purchase)[1]["code"]) for purchase in lost)
    assert {finish(doubled, purchase).end for purchase in [waiting, *lost]} == {PAID}

    fail_over(doubled, receiver)

    assert [(found["invariant"], found["codes"]) for found in doubled.audit()] == [("A6", codes)]
    assert finish(doubled, waiting).charges == 1
    assert reconcile(doubled) == dict.fromkeys(codes, "refund")
    for number in list_differences(doubled):
        assert doubled.remedy(number, "refund")
    wait_for(lambda: list_differences(doubled) == [], "the refunds")
    assert {doubled.count_refunded(code) for code in codes} == {PRICE}
    assert doubled.stock_of(sku) == (UNITS - 2, 0)
    assert doubled.audit() == []


def reconcile(drill: Drill) -> dict[str, str]:
    """The remedy of each difference, by the code of the order that is missing."""
    report = json.loads(drill.stack.manage("reconcile", "--json").stdout)
    return {found["reference"]: found["remedy"] for found in report["differences"]}


def list_differences(drill: Drill) -> Any:
    return drill.query("SELECT coalesce(array_agg(id), '{}') FROM audit_difference WHERE resolved_at IS NULL")


def freeze_receiver(drill: Drill) -> int:
    """Let the standby catch up, and then hear nothing more. Return the process that is frozen."""
    wait_for(lambda: drill.query(LAG), "the standby to catch up")
    receiver = find_receiver(standby_of(drill))
    os.kill(receiver, signal.SIGSTOP)
    return receiver


def standby_of(drill: Drill) -> str:
    url = urlsplit(drill.stack.environment["DATABASE_URL"])
    return url._replace(netloc=f"{url.username}:{url.password}@{url.netloc.rpartition(',')[2]}", query="").geturl()


def fail_over(drill: Drill, receiver: int) -> None:
    """Kill the primary, which nobody starts again, and let the standby go on, whose `receiver` is frozen until then."""
    primary = drill.stack.process("postgres")
    primary.stop_signal = signal.SIGKILL
    drill.stack.supervisor.stop(primary)
    os.kill(receiver, signal.SIGTERM)  # it ends before it reads what has come meanwhile
    os.kill(receiver, signal.SIGCONT)
    promote(standby_of(drill))
