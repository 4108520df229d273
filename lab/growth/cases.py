"""The cases in which the model is held against what was found: the bench's, and rounds that wait for one thing."""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.growth.laws import capacity
from lab.growth.machine import (
    Conditions,
    find_limit,
    list_stations,
    predict_connections,
    predict_rate,
    predict_wait,
)
from lab.growth.measured import CPU_CASE, Measured

TOLERANCE = 0.2
BENCH_ORDERS = 300  # of a round
RATE = "end to end/s"
BENCH = {
    CPU_CASE: Conditions(),
    "one hot product, 0 ms": Conditions(is_hot=True),
    "many products, 100 ms": Conditions(latency=0.1),
    "many products, 300 ms": Conditions(latency=0.3),
    "one hot product, 100 ms": Conditions(latency=0.1, is_hot=True),
}
# The bench's machine has too few cores to reach any other limit. Here each order waits for one thing for so long that
# the cores are idle meanwhile; so these figures hold on a busy machine, too.
ROUNDS = {
    "a payment takes 4 s": (Conditions(latency=4.0), 144),
    "commits take 400 ms": (Conditions(commit=0.4), 30),
    "commits take 200 ms, one hot product": (Conditions(commit=0.2, is_hot=True), 48),
}
HALF = "commits take 400 ms, 1.25 orders/s"
HALF_CONDITIONS, HALF_ORDERS = Conditions(commit=0.4), 50
HALF_PACE = 1.25  # orders a second: half of what the orders worker can then end


@dataclass(frozen=True)
class Check:
    """A figure as the model has it, and as it was found."""

    what: str
    figure: str
    limit: str
    predicted: float
    found: float

    @property
    def deviation(self) -> float:
        return self.predicted / self.found - 1

    @property
    def holds(self) -> bool:
        return abs(self.deviation) <= TOLERANCE


def list_checks(measured: Measured) -> list[Check]:
    return [*_check_bench(measured), *_check_naive(measured), *_check_rounds(measured)]


def _check_bench(measured: Measured) -> Iterator[Check]:
    for case, conditions in BENCH.items():
        found = measured.bench[case, RATE, "orderly"]
        rate = predict_rate(measured, conditions, orders=BENCH_ORDERS)
        yield Check(case, "orders/s", _name_limit(measured, conditions), rate, found)
    found = measured.bench[CPU_CASE, "connections", "orderly"]
    yield Check(CPU_CASE, "connections", "pools", predict_connections(), found)


def _check_naive(measured: Measured) -> Iterator[Check]:
    """The naive shop pays while it holds the product's row: the law of the hot row, in the bench's own figures."""
    case, cpu = "one hot product, 100 ms", f"CPU of {CPU_CASE}"
    computing = sum(value for (name, _, shop), value in measured.bench.items() if (name, shop) == (cpu, "naive"))
    rate = capacity(seconds=0.1 + computing / 1000, servers=1)
    yield Check(f"{case}, naive", "orders/s", "the product's row", rate, measured.bench[case, RATE, "naive"])


def _check_rounds(measured: Measured) -> Iterator[Check]:
    for name, (conditions, orders) in ROUNDS.items():
        rate = predict_rate(measured, conditions, orders=orders)
        yield Check(name, "orders/s", _name_limit(measured, conditions), rate, measured.rounds[name])
    wait = predict_wait(measured, HALF_CONDITIONS, pace=HALF_PACE)
    yield Check(HALF, "mean s to the end", "", wait, measured.rounds[HALF])


def _name_limit(measured: Measured, conditions: Conditions) -> str:
    return find_limit(list_stations(measured, conditions)).name
