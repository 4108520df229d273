"""Measures what the model needs and the bench does not print: the log, the disk, and rounds that wait for one thing."""

import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from re import search
from typing import Any, LiteralString

from lab.bench.load import send_load
from lab.bench.rounds import CLIENTS, HOT, make_checkouts, name_many, pick_hot, pick_many, run_round
from lab.bench.shops import Shop, open_orderly
from lab.bench.stocking import PLENTY, stock_orderly
from lab.bench.wire import Request
from lab.bench.workbench import SETTINGS, NotClean
from lab.growth.cases import HALF, HALF_CONDITIONS, HALF_ORDERS, HALF_PACE, ROUNDS
from lab.growth.machine import Conditions
from lab.stack.embedded import find_programs
from lab.stack.processes import ProcessFailed
from lab.stack.shop import run_stack
from lab.stack.stack import Stack, run_servers

WARM_ORDERS, ORDERS = 300, 1000
SECONDS = 60.0  # of POSTs a round at most

# What one order writes. The provider's database is on another server, so the log is the shop's own.
LOG = """
SELECT sum(combined_size), sum(fpi_size),
    sum(count) FILTER (WHERE "resource_manager/record_type" = 'Transaction/COMMIT')
FROM pg_get_wal_stats(%(before)s, %(after)s, true)
"""
# A commit that takes longer while it holds its locks, as with a slow disk or a standby that is far away.
SLOW: LiteralString = """
CREATE OR REPLACE FUNCTION commit_slowly() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER commit_slowly AFTER INSERT OR UPDATE ON orders_order
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION commit_slowly();
CREATE CONSTRAINT TRIGGER commit_slowly AFTER UPDATE ON payments_payment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION commit_slowly()
"""
FAST = "DROP TRIGGER commit_slowly ON orders_order; DROP TRIGGER commit_slowly ON payments_payment"
WAITED = """
SELECT extract(epoch FROM avg(finalized_at - created_at)) FROM orders_order WHERE created_at >= %(begun)s
"""


def measure() -> dict[str, Any]:
    """Everything, on a stack that is thrown away. Raises OrdersLost and NotClean."""
    with run_apart() as stack:
        shop = open_orderly(stack.folder / "stack.json")
        stock_orderly(stack, [*name_many(), HOT], PLENTY)
        run_round(shop, make_checkouts(shop, pick_many, WARM_ORDERS), seconds=SECONDS)  # fills the caches
        found = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "load": round(os.getloadavg()[0], 1),
            "fsync_seconds": measure_fsync(stack.folder),
            **measure_log(shop),
            "rounds": measure_rounds(shop),
        }
        audit = stack.manage("audit")
        if audit.returncode:
            raise NotClean(audit.stdout + audit.stderr)
        return found


@contextmanager
def run_apart() -> Iterator[Stack]:
    """The shop, with the provider's database on a server of its own."""
    with run_servers() as provider:
        apart = {"SANDBOX_DATABASE_URL": provider.environment["SANDBOX_DATABASE_URL"]}
        with run_stack(caller={**os.environ, **SETTINGS, **apart}) as stack:
            yield stack


def measure_fsync(folder: Path) -> float:
    """Seconds for which PostgreSQL waits until the disk has a page of its log."""
    file = folder / "fsync"
    command = [str(find_programs() / "pg_test_fsync"), "--secs-per-test=1", f"--filename={file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = search(r"fdatasync +[\d.]+ ops/sec +(\d+) usecs/op", done.stdout)
    if found is None:
        raise ProcessFailed(done.stderr or done.stdout)
    return int(found[1]) / 1e6


def measure_log(shop: Shop) -> dict[str, float]:
    """Bytes and commits in PostgreSQL's log, and bytes of its tables and indexes, of one order."""
    with shop.connect() as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
        connection.execute("CHECKPOINT")
        before, size = _read_place(connection)
        run_round(shop, make_checkouts(shop, pick_many, ORDERS), seconds=SECONDS)
        after, grown = _read_place(connection)
        found = connection.execute(LOG, {"before": before, "after": after}).fetchone()
    written, images, commits = found or (0, 0, 0)
    return {
        "log_bytes": float(written - images) / ORDERS,
        "log_bytes_after_checkpoint": float(written) / ORDERS,
        "commits": float(commits) / ORDERS,
        "disk_bytes": (grown - size) / ORDERS,
    }


def _read_place(connection: Any) -> Any:
    row = connection.execute("SELECT pg_current_wal_insert_lsn(), pg_database_size(current_database())").fetchone()
    return row or ("0/0", 0)


def measure_rounds(shop: Shop) -> dict[str, float]:
    """Orders a second in each of ROUNDS, and the mean seconds of an order at HALF_PACE."""
    rounds = {name: measure_rate(shop, conditions, orders) for name, (conditions, orders) in ROUNDS.items()}
    with slow_commits(shop, HALF_CONDITIONS.commit):
        rounds[HALF] = measure_wait(shop)
    return rounds


def measure_rate(shop: Shop, conditions: Conditions, orders: int) -> float:
    requests = make_checkouts(shop, pick_hot if conditions.is_hot else pick_many, orders)
    shop.set_latency(round(1000 * conditions.latency))
    try:
        with slow_commits(shop, conditions.commit) if conditions.commit else nullcontext():
            return run_round(shop, requests, seconds=SECONDS).end_to_end_per_second
    finally:
        shop.set_latency(0)


@contextmanager
def slow_commits(shop: Shop, seconds: float) -> Iterator[None]:
    """Every commit of an order or a payment takes so much longer."""
    with shop.connect() as connection:
        connection.execute(SLOW.format(seconds=seconds))
        try:
            yield
        finally:
            shop.wait_until_final()
            connection.execute(FAST)


def measure_wait(shop: Shop) -> float:
    """Mean seconds from an order's beginning to its end, where HALF_PACE come a second, as people do: by chance."""
    requests = come_by_chance(make_checkouts(shop, pick_many, HALF_ORDERS))
    with shop.connect() as connection:
        begun = connection.execute("SELECT clock_timestamp()").fetchone()
        send_load(requests, address=shop.address, connections=CLIENTS).require(201)
        shop.wait_until_final()
        waited = connection.execute(WAITED, {"begun": begun and begun[0]}).fetchone()
    return float(waited[0]) if waited else 0.0


def come_by_chance(requests: Sequence[Request]) -> list[Request]:
    chance = random.Random(len(requests))  # noqa: S311
    times = accumulate(chance.expovariate(HALF_PACE) for _ in requests)
    return [Request(request.data, due=due) for request, due in zip(requests, times, strict=True)]
