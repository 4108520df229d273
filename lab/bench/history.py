"""Scenario f: orders that ended long ago, in our tables and in the provider's, as if each had been bought and paid."""

import json
import os
import random
import subprocess
import sys
import time
from uuid import uuid4

from lab.bench.against import hold_stack
from lab.bench.copies import copy_orders
from lab.bench.load import send_load
from lab.bench.rounds import CLIENTS, make_checkouts, pick_many
from lab.bench.shops import VISA, Shop
from lab.bench.throughput import in_turn
from lab.bench.wire import Request
from lab.bench.workbench import NotClean, Workbench
from lab.stack.processes import ProcessFailed, child_command
from lab.stack.var import BASE_DIR

CASE = "history"
ORIGINALS = 50  # orders that the shop processes, to be copied
DECLINED = "pm_card_visa_chargeDeclined"
DECLINED_EACH = 10  # of the originals, one
MB = 1024  # of ru_maxrss, which Linux counts in KB
WITH, WITHOUT = "CPU ms/order with", "CPU ms/order without"


def run_history(bench: Workbench) -> None:
    """An order's CPU in a shop with the history and in one without, in turn; and two audits of the history.

    Raises NotClean.
    """
    figures = bench.figures
    figures.add(CASE, "orders", bench.options.history)
    begun = time.monotonic()
    write_history(bench)
    figures.add(CASE, "written in, s", time.monotonic() - begun)
    with hold_stack("without history", BASE_DIR) as empty:
        shops = {WITH: bench.orderly, WITHOUT: empty}
        for number in range(-1, bench.options.rounds):
            costs = {figure: measure_order(bench, shops[figure]) for figure in in_turn(tuple(shops), number)}
            if number < 0:
                continue  # it filled the caches
            for figure in shops:
                figures.add(CASE, figure, sum(costs[figure].values()))
                for process, value in costs[figure].items():
                    figures.add(f"CPU of an order, {figure.rpartition(' ')[2]} history", process, value)
            figures.add(CASE, "with against without", sum(costs[WITH].values()) / sum(costs[WITHOUT].values()))
    for name, arguments in {"audit of all, the provider's list of 2 days": ["--days", "2"], "audit of all": []}.items():
        seconds, cpu, memory = audit_alone(bench, *arguments)
        figures.add(CASE, f"{name}, s", seconds)
        figures.add(CASE, f"{name}, s of its own CPU", cpu)
        figures.add(CASE, f"{name}, MB", memory)


def measure_order(bench: Workbench, shop: Shop) -> dict[str, float]:
    """Its CPU in ms, by process."""
    return bench.measure(shop, make_checkouts(shop, pick_many, bench.options.orders)).cpu


def write_history(bench: Workbench) -> None:
    """The audit is clean on it."""
    shop = bench.orderly
    placed = send_load(make_originals(shop), address=shop.address, connections=CLIENTS).require(201)
    shop.wait_until_final()
    copy_orders(
        shop_url=shop.database_url,
        provider_url=bench.stack.environment["SANDBOX_DATABASE_URL"],
        originals=[json.loads(answer.body)["code"] for answer in placed.answers],
        orders=bench.options.history,
        on_batch=lambda done: bench.bar.set_postfix_str(f"history: {done:,} of {bench.options.history:,} orders"),
    )


def make_originals(shop: Shop) -> list[Request]:
    """Checkouts, of which one in DECLINED_EACH ends as a cancelled order."""
    run, chooser = uuid4().hex[:8], random.Random(ORIGINALS)  # noqa: S311
    cards = [VISA if number % DECLINED_EACH else DECLINED for number in range(ORIGINALS)]
    return [
        Request(shop.make_checkout(f"original-{run}-{number}", pick_many(chooser), card))
        for number, card in enumerate(cards)
    ]


def audit_alone(bench: Workbench, *arguments: str) -> tuple[float, float, float]:
    """The seconds, those of CPU and the MB of one audit, as a process. Raises NotClean."""
    bench.bar.set_postfix_str("audit of the history")
    command = child_command([sys.executable, "manage.py", "audit", *arguments])
    begun = time.monotonic()
    with (bench.stack.folder / "audit.log").open("w+") as output:
        process = subprocess.Popen(
            command, cwd=BASE_DIR, env=bench.stack.full_environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
        output.seek(0)
        if process.returncode:
            raise NotClean(output.read()) if process.returncode == 1 else ProcessFailed(output.read())
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / MB
