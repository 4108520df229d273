"""Scenarios a to d: how much a shop can take, whatever is bought and however slow the bank is; beside the baselines."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lab.bench.figures import Figures, divide
from lab.bench.rounds import Round, make_checkouts, pick_hot, pick_many
from lab.bench.shops import Lines, OrdersLost, Shop
from lab.bench.stocking import RUSH_UNITS
from lab.bench.workbench import Workbench

BUYERS = 10_000  # of a rush; those that the seconds of a round leave time for
SWIFT = 4  # so many times more orders of the naive design: its rounds are over too soon to be measured
RUSH = "sold-out rush"


@dataclass(frozen=True)
class Case:
    """What is bought, how long a payment takes, and which shops are asked."""

    what: str
    latency: int  # ms
    pick: Callable[[random.Random], Lines]
    shops: Sequence[str] = ("orderly", "naive")

    @property
    def name(self) -> str:
        return f"{self.what}, {self.latency} ms"


MANY = Case("many products", 0, pick_many, ("orderly", "naive", "typical"))
CASES = {
    "a": [MANY],
    "b": [Case("one hot product", 0, pick_hot)],
    "c": [
        MANY,
        Case("many products", 100, pick_many),
        Case("many products", 300, pick_many),
        Case("one hot product", 100, pick_hot),
    ],
}


def list_cases(scenarios: str) -> list[Case]:
    """The cases of these scenarios, each once."""
    return list({case.name: case for letter in scenarios for case in CASES.get(letter, [])}.values())


def count_rounds(scenarios: str) -> int:
    """How many rounds there are in each round of all."""
    return sum(len(case.shops) for case in list_cases(scenarios)) + 2 * ("d" in scenarios)


def run_throughput(bench: Workbench) -> None:
    """Each case in turn, and in each the shops in turn, as often as there are rounds: all see the same weather."""
    for number in range(bench.options.rounds):
        for case in list_cases(bench.options.scenarios):
            for name in in_turn(case.shops, number):
                run_case(bench, case, bench.shops[name])
        if "d" in bench.options.scenarios:
            for name in in_turn(("orderly", "naive"), number):
                run_rush(bench, bench.shops[name], number)
    add_losses(bench)


def in_turn(shops: Sequence[str], number: int) -> Iterator[str]:
    """Forwards, then backwards: nobody is always first."""
    return iter(shops) if number % 2 == 0 else reversed(shops)


def run_case(bench: Workbench, case: Case, shop: Shop) -> None:
    """Raises OrdersLost where anything was refused."""
    orders = bench.options.orders * (SWIFT if shop.name == "naive" else 1)
    shop.set_latency(case.latency)
    try:
        done = bench.measure(shop, make_checkouts(shop, case.pick, orders))
    finally:
        shop.set_latency(0)
    if done.refused:
        raise OrdersLost(f"{shop.name} refused {done.refused} orders of what it has plenty of")
    add_round(bench.figures, case.name, done, shop=shop.name)


def add_round(figures: Figures, case: str, done: Round, *, shop: str) -> None:
    """Everything that a round says."""
    rows = {
        "end to end/s": done.end_to_end_per_second,
        "accepted/s": done.accepted_per_second,
        "CPU ms/order": sum(done.cpu.values()),
        "connections": done.connections,
    }
    for figure, value in rows.items():
        figures.add(case, figure, value, shop=shop)
    if done.busy:
        figures.add(case, "answered 503", done.busy, shop=shop)
    for process, value in done.cpu.items():
        figures.add(f"CPU of {case}", process, value, shop=shop)
    for process, value in done.memory.items():
        figures.add("memory", process, value, shop=shop)
    figures.add("load generator", "CPU ms/request", done.generator, shop=shop)


def run_rush(bench: Workbench, shop: Shop, number: int) -> None:
    """Raises OrdersLost where more, or without need fewer, were sold than there were."""
    lines = [{"sku": f"rush-{number}", "quantity": 1}]
    buyers = BUYERS if not bench.options.smoke else 2 * RUSH_UNITS
    done = bench.measure(shop, make_checkouts(shop, lambda _: lines, buyers))
    if done.orders > RUSH_UNITS or (done.refused and done.orders < RUSH_UNITS):
        raise OrdersLost(f"{shop.name} sold {done.orders} of {RUSH_UNITS} units")
    bench.figures.add(RUSH, "sold-out answers/s", done.refused_per_second, shop=shop.name)


def add_losses(bench: Workbench) -> None:
    """What is held against another case of the same round."""
    figures = bench.figures
    fast = figures.find(MANY.name, "end to end/s")
    for slow in divide(figures.find("many products, 300 ms", "end to end/s"), fast):
        figures.add("many products, 300 ms", "% lost to the latency", 100 * (1 - slow))
    for ratio in divide(figures.find(RUSH, "sold-out answers/s"), figures.find(MANY.name, "accepted/s")):
        figures.add(RUSH, "sold-out against accepted", ratio)
