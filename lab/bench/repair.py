"""Scenario g: a worker is killed every 15 seconds. How long until what it held has ended."""

import os
import signal
import time
from threading import Thread
from typing import TYPE_CHECKING

from lab.bench.figures import quantile
from lab.bench.load import send_load
from lab.bench.rounds import CLIENTS, make_checkouts, pick_many
from lab.bench.shops import OrdersLost
from lab.bench.workbench import Workbench

if TYPE_CHECKING:
    from psycopg import Connection

CASE = "repair"
EVERY = 15.0  # seconds: the supervisor starts a worker that dies sooner later each time
PACE = 8.0  # orders a second
LATENCY = 300  # ms, so that a payments worker always holds some
WITHIN = 5.0  # seconds in which the worker must come to hold an order

# What each worker holds: charges that were sent, and orders whose payment has its answer but that have not ended.
HELD = """
SELECT o.id FROM orders_order o JOIN payments_payment payment ON payment.id = o.payment_id
WHERE o.status = 'PENDING' AND (payment.status = 'SENT') = %s AND payment.status <> 'PENDING'
"""
ENDED = """
SELECT extract(epoch FROM finalized_at - %s) FROM orders_order WHERE finalized_at > %s AND id = ANY(%s)
"""


def run_repair(bench: Workbench) -> None:
    """Kill the workers in turn while people buy at a steady pace; the times from each kill to the end of its orders."""
    shop, kills = bench.orderly, bench.options.kills
    every = EVERY if not bench.options.smoke else 1.0
    shop.set_latency(LATENCY)
    try:
        buyers = Thread(target=buy_steadily, args=[bench, kills * every + WITHIN], daemon=True)
        buyers.start()
        times: list[float] = []
        with shop.connect() as connection:
            time.sleep(min(every, 3))
            held = [kill_one(bench, connection, number, every) for number in range(kills)]
            buyers.join()
            shop.wait_until_final()
            for killed_at, orders in held:
                times += [float(row[0]) for row in connection.execute(ENDED, [killed_at, killed_at, orders])]
    finally:
        shop.set_latency(0)
    if not times:
        raise OrdersLost("no order that a killed worker held has ended since")
    for figure, share in (("p50, s", 0.5), ("p95, s", 0.95)):
        bench.figures.add(CASE, f"from the kill to the end of an order, {figure}", quantile(times, share))
    bench.figures.add(CASE, "orders held by the killed", len(times))


def buy_steadily(bench: Workbench, seconds: float) -> None:
    checkouts = make_checkouts(bench.orderly, pick_many, int(PACE * seconds), pace=PACE)
    send_load(checkouts, address=bench.orderly.address, connections=CLIENTS)


def kill_one(bench: Workbench, connection: "Connection", number: int, every: float) -> tuple[object, list[int]]:
    """SIGKILL the next worker in turn once it holds an order; the time of it, and the orders. Raises OrdersLost."""
    begun, name = time.monotonic(), ("payments", "orders")[number % 2]
    bench.bar.set_postfix_str(f"kill -9 {name}")
    while not (held := [row[0] for row in connection.execute(HELD, [name == "payments"])]):
        if time.monotonic() > begun + WITHIN:
            raise OrdersLost(f"the {name} worker never held an order")
        time.sleep(0.002)
    os.kill(bench.orderly.find_pids()[name], signal.SIGKILL)
    killed_at = connection.execute("SELECT clock_timestamp()").fetchone()
    bench.bar.update()
    time.sleep(max(begun + every - time.monotonic(), 0))
    return killed_at and killed_at[0], held
