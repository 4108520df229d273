"""Scenario e: more orders than the workers end. How long a POST takes meanwhile, and when all of them have ended."""

from datetime import datetime
from typing import TYPE_CHECKING, LiteralString

from lab.bench.load import Outcome, send_load
from lab.bench.rounds import CLIENTS, make_checkouts, pick_many
from lab.bench.shops import Shop
from lab.bench.workbench import Workbench

if TYPE_CHECKING:
    from psycopg import Connection

CASE = "overload"
SHARE = 0.3  # of what the shop accepts at most: people who come while the backlog drains

# Of the burst's orders alone: others come meanwhile. It may be over before they do.
DRAINED: LiteralString = """
SELECT greatest(extract(epoch FROM max(finalized_at) - %(begun)s), 0) FROM orders_order
WHERE created_at BETWEEN %(before)s AND %(begun)s
"""


def run_overload(bench: Workbench) -> None:
    """POSTs at a steady pace to an idle shop, then a burst, then the same pace while what the burst left drains."""
    shop, options = bench.orderly, bench.options
    for _ in range(options.rounds):
        burst = make_checkouts(shop, pick_many, 2 * options.orders)
        shop.wait_until_final()
        warm = send_load(burst[: options.orders // 2], address=shop.address, connections=CLIENTS).require(201)
        pace = SHARE * len(warm.answers) / warm.seconds
        shop.wait_until_final()
        idle = send_steadily(shop, pace=pace, seconds=options.seconds)
        shop.wait_until_final()
        with shop.connect() as connection:
            before = read_clock(connection)
            left = send_load(burst[options.orders // 2 :], address=shop.address, connections=CLIENTS).require(201)
            begun = read_clock(connection)
            busy = send_steadily(shop, pace=pace, seconds=options.seconds)
            shop.wait_until_final()
            drained = measure_drain(connection, before, begun)
        bench.figures.add(CASE, "p99 of POST when idle, ms", 1000 * idle.quantile(0.99))
        bench.figures.add(CASE, "p99 of POST under a backlog, ms", 1000 * busy.quantile(0.99))
        bench.figures.add(CASE, "drained after, s", drained)
        bench.figures.add(CASE, "orders of the burst", len(left.answers))
        bench.bar.update()


def send_steadily(shop: Shop, *, pace: float, seconds: float) -> Outcome:
    """So many checkouts a second, each at its time: people don't wait for each other's answers."""
    requests = make_checkouts(shop, pick_many, max(int(pace * seconds), 1), pace=pace)
    return send_load(requests, address=shop.address, connections=CLIENTS).require(201)


def read_clock(connection: "Connection") -> datetime:
    """The database's."""
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row  # noqa: S101 - a SELECT of one row
    now: datetime = row[0]
    return now


def measure_drain(connection: "Connection", before: datetime, begun: datetime) -> float:
    """Seconds from `begun` until the last order that was placed between the two had ended."""
    row = connection.execute(DRAINED, {"before": before, "begun": begun}).fetchone()
    return float(row[0]) if row else 0.0
