"""Scenario f: orders that ended long ago, in our tables and in the provider's, as if each had been bought and paid."""

import json
import os
import subprocess
import sys
import time
from statistics import median

from lab.bench.copies import copy_orders
from lab.bench.load import send_load
from lab.bench.rounds import CLIENTS, make_checkouts, pick_many
from lab.bench.workbench import NotClean, Workbench
from lab.stack.processes import ProcessFailed, child_command
from lab.stack.var import BASE_DIR

CASE = "history"
ORIGINALS = 50  # orders that the shop processes, to be copied
MB = 1024  # of ru_maxrss, which Linux counts in KB


def run_history(bench: Workbench) -> None:
    """An order's CPU with nothing in the tables but what the bench did, then with the history; and the audit of it."""
    before = measure_orders(bench, "CPU ms/order without")
    write_history(bench)
    after = measure_orders(bench, "CPU ms/order with")
    bench.figures.add(CASE, "with against without", after / before)
    seconds, memory = audit_alone(bench)
    bench.figures.add(CASE, "orders", bench.options.history)
    bench.figures.add(CASE, "audit, s", seconds)
    bench.figures.add(CASE, "audit, MB", memory)


def measure_orders(bench: Workbench, figure: str) -> float:
    shop, costs = bench.orderly, []
    for _ in range(bench.options.rounds):
        costs.append(sum(bench.measure(shop, make_checkouts(shop, pick_many, bench.options.orders)).cpu.values()))
        bench.figures.add(CASE, figure, costs[-1])
    return median(costs)


def write_history(bench: Workbench) -> None:
    """The audit is clean on it."""
    shop = bench.orderly
    placed = send_load(make_checkouts(shop, pick_many, ORIGINALS), address=shop.address, connections=CLIENTS).require(
        201
    )
    shop.wait_until_final()
    copy_orders(
        shop_url=shop.database_url,
        provider_url=bench.stack.environment["SANDBOX_DATABASE_URL"],
        originals=[json.loads(answer.body)["code"] for answer in placed.answers],
        orders=bench.options.history,
        on_batch=lambda done: bench.bar.set_postfix_str(f"history: {done:,} orders"),
    )


def audit_alone(bench: Workbench) -> tuple[float, float]:
    """The seconds and the MB of one audit, as a process. Raises NotClean."""
    bench.bar.set_postfix_str("audit of the history")
    command = child_command([sys.executable, "manage.py", "audit"])
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
    return seconds, usage.ru_maxrss / MB
