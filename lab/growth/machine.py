"""The bench's machine as a row of stations: each order holds each of them for a while, and the slowest is the limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.growth.laws import capacity, mean_wait
from lab.growth.measured import END_STATEMENT, PLACE_STATEMENT, Measured
from lab.stack.shop import POOLS, WEB_PROCESSES, WEB_THREADS

CORES = 2
CHARGE_THREADS = 48
CHARGE_COMMITS = 2  # that it is sent, and its answer


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What differs from case to case, in seconds."""

    latency: float = 0.0  # of the provider's answer
    commit: float = 0.0
    is_hot: bool = False  # all orders want one product


@dataclass(frozen=True)
class Station:
    """Something of which there are so many, and of which an order holds one for so many seconds in all."""

    name: str
    seconds: float
    servers: int

    @property
    def capacity(self) -> float:
        return capacity(seconds=self.seconds, servers=self.servers)


def list_stations(measured: Measured, conditions: Conditions) -> list[Station]:
    """Those of the processes that `make run` and the bench start."""
    cpu = {process: value / 1000 for process, value in measured.cpu.items()}
    place, end = PLACE_STATEMENT + conditions.commit, END_STATEMENT + conditions.commit
    charging = CHARGE_COMMITS * conditions.commit
    stations = [
        Station("cores", measured.order_cpu, CORES),
        Station("web: threads", cpu["web"] + place, WEB_PROCESSES * WEB_THREADS),
        Station("web: database connections", place, WEB_PROCESSES * POOLS["web"]),
        Station("payments: threads", cpu["payments"] + conditions.latency + charging, CHARGE_THREADS),
        Station("payments: database connections", charging, POOLS["payments"]),
        Station("orders: one worker", cpu["orders"] + end, 1),
    ]
    return [*stations, Station("the product's row", place + end, 1)] if conditions.is_hot else stations


def find_limit(stations: Sequence[Station]) -> Station:
    return min(stations, key=lambda station: station.capacity)


def predict_rate(measured: Measured, conditions: Conditions, *, orders: int) -> float:
    """Orders a second from the first POST to the last end.

    The first of them (as many as the limit serves at a time) pass alone. The others follow as fast as the limit can.
    """
    limit = find_limit(list_stations(measured, conditions))
    return orders / (sum_waits(conditions) + max(orders - limit.servers, 0) / limit.capacity)


def sum_waits(conditions: Conditions) -> float:
    """Seconds in which an order waits for the provider and for commits, until the statement that ends it."""
    return conditions.latency + (1 + CHARGE_COMMITS) * conditions.commit


def predict_wait(measured: Measured, conditions: Conditions, *, pace: float) -> float:
    """Mean seconds from an order's beginning to its end, where so many a second come by chance."""
    stations = {station.name: station for station in list_stations(measured, conditions)}
    cores, orders = stations["cores"], stations["orders: one worker"]
    sessions = stations["payments: database connections"]
    computing = cores.seconds + mean_wait(rate=pace, seconds=cores.seconds, servers=cores.servers)
    queueing = mean_wait(rate=pace, seconds=orders.seconds, servers=1, variation=0)
    if sessions.seconds:
        each = sessions.seconds / CHARGE_COMMITS
        wait = mean_wait(rate=pace * CHARGE_COMMITS, seconds=each, servers=sessions.servers, variation=0)
        queueing += CHARGE_COMMITS * wait
    return computing + sum_waits(conditions) + queueing


def predict_connections() -> int:
    """Those that busy processes keep open: the pools, and one each for the workers orders and mails."""
    return WEB_PROCESSES * POOLS["web"] + POOLS["payments"] + 2
