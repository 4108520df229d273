"""One round: a load on one shop, until all of it is final; and what it did and cost."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import LiteralString
from uuid import uuid4

from psycopg import sql

from lab.bench.load import Outcome, send_load
from lab.bench.measure import measure_cpu, measure_memory
from lab.bench.shops import Lines, OrdersLost, Shop, count_connections
from lab.bench.wire import Request

PRODUCTS = 1_000
CLIENTS = 50
HOT = "hot-0"
ACCEPTED = (201, 200)  # 200: to a repeat, after a connection that broke

CONFIRMED: LiteralString = """
SELECT count(*), extract(epoch FROM max(finalized_at) - %(begun)s) FROM {}
WHERE status = 'CONFIRMED' AND created_at >= %(begun)s
"""


@dataclass(frozen=True, kw_only=True)
class Round:
    """`cpu` is in ms an order, by process; `memory` in MB, of the largest process of that name."""

    orders: int
    refused: int
    busy: int  # 503: to be sent again
    accepted_per_second: float
    refused_per_second: float
    end_to_end_per_second: float
    cpu: dict[str, float]
    memory: dict[str, float]
    connections: int
    generator: float  # ms of CPU a request


def name_many() -> list[str]:
    return [f"many-{number}" for number in range(PRODUCTS)]


def pick_many(chooser: random.Random) -> Lines:
    """Two of a thousand products."""
    numbers = chooser.sample(range(PRODUCTS), k=2)
    return [{"sku": f"many-{number}", "quantity": chooser.randint(1, 3)} for number in numbers]


def pick_hot(_: random.Random) -> Lines:
    """The one product that everybody wants."""
    return [{"sku": HOT, "quantity": 1}]


def make_checkouts(
    shop: Shop, pick: Callable[[random.Random], Lines], count: int, *, pace: float = inf
) -> list[Request]:
    """As many checkouts, each of a customer and a key of its own. So many a second are due; or all of them at once."""
    run, chooser = uuid4().hex[:8], random.Random(count)  # noqa: S311
    return [
        Request(shop.make_checkout(f"bench-{run}-{number}", pick(chooser)), due=number / pace)
        for number in range(count)
    ]


def run_round(
    shop: Shop,
    requests: Sequence[Request],
    *,
    seconds: float,
    on_progress: Callable[[], None] = lambda: None,
) -> Round:
    """Let the clients send what they can in so many seconds, and wait until all that was accepted is confirmed.

    Raises OrdersLost where it is not.
    """
    shop.wait_until_final()
    with shop.connect() as connection:
        peak = 0

        def look(_: int) -> None:
            nonlocal peak
            peak = max(peak, count_connections(connection))
            on_progress()

        begun = connection.execute("SELECT clock_timestamp()").fetchone()
        before = measure_cpu(shop.find_pids())
        outcome = send_load(requests, address=shop.address, connections=CLIENTS, on_tick=look, at_most=seconds)
        outcome.require(*ACCEPTED, 409, 503)
        shop.wait_until_final(look)
        after = measure_cpu(shop.find_pids())
        ends = sql.SQL(CONFIRMED).format(sql.Identifier(shop.orders_table))
        row = connection.execute(ends, {"begun": begun and begun[0]}).fetchone()
    confirmed, took = row or (0, None)
    accepted = outcome.count(*ACCEPTED)
    if confirmed != accepted:
        raise OrdersLost(f"{shop.name}: {accepted} orders were accepted, {confirmed} of them confirmed")
    return describe_round(outcome, took=float(took or 1), before=before, after=after, shop=shop, connections=peak)


def describe_round(
    outcome: Outcome, *, took: float, before: dict[str, float], after: dict[str, float], shop: Shop, connections: int
) -> Round:
    orders, refused = outcome.count(*ACCEPTED), outcome.count(409)
    done = max(orders or refused, 1)
    return Round(
        orders=orders,
        refused=refused,
        busy=outcome.count(503),
        accepted_per_second=orders / outcome.seconds,
        refused_per_second=refused / outcome.seconds,
        end_to_end_per_second=orders / took,
        cpu={name: 1000 * (after[name] - before[name]) / done for name in after if name in before},
        memory=measure_memory(shop.find_pids()),
        connections=connections,
        generator=1000 * outcome.cpu / max(len(outcome.answers), 1),
    )
