"""Scenario i: many orders, one load after the other. Whether the processes grow."""

from lab.bench.measure import measure_memory
from lab.bench.rounds import make_checkouts, pick_many
from lab.bench.workbench import Workbench

SHARES = (0.1, 0.5, 1.0)  # of the orders, after which the memory is read


def run_endurance(bench: Workbench) -> None:
    """The memory of each process after a tenth, half and all of the orders. Mails and audits go on as ever."""
    shop, done = bench.orderly, 0
    for share in SHARES:
        while done < share * bench.options.endurance:
            done += bench.measure(shop, make_checkouts(shop, pick_many, bench.options.orders)).orders
        for process, value in measure_memory(shop.find_pids()).items():
            bench.figures.add(f"memory after {share * bench.options.endurance:,.0f} orders", process, value)
