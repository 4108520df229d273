"""What a rate needs: databases, processes, connections, disks and money."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from math import ceil

from lab.growth.inputs import Inputs
from lab.growth.laws import in_progress, mean_wait
from lab.growth.machine import CHARGE_COMMITS, CHARGE_THREADS, CORES
from lab.growth.measured import AUDIT_SECONDS, CPU_CASE, END_STATEMENT, EVENTS, PAGE_CPU, Measured
from lab.stack.shop import POOLS, WEB_PROCESSES

HOUR = 3600
SHORT = 0.1  # of a charge's time: so long may it wait for a thread
COPIES = 2  # the database and its standby


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Of all databases together, where a field does not say that it is of each."""

    rate: float
    databases: int
    processes: Mapping[str, int]
    machines: int  # of web and workers
    database_cores: int  # of each database; its standby has as many
    connections: int  # to each database, without a pooler
    busy_connections: float  # of each database: what a pooler needs at least
    payments_in_flight: float
    log_bytes: float  # a second, of each database, while pages are written as a whole after a checkpoint
    commits: float  # a second, of each database: no more writes to disk than that
    disk_bytes: float  # an hour
    audit_seconds: float  # for all orders that are kept in one database
    dollars: float  # a month


def plan_growth(rate: float, measured: Measured, inputs: Inputs) -> Plan:
    databases = ceil(rate / limit_database(measured, inputs))
    each = rate / databases
    processes = count_processes(each, measured, inputs)
    cpu = database_cpu(measured)
    cores = ceil(each * cpu / inputs.busy)
    machines = databases * ceil(each * shop_cpu(measured, inputs) / inputs.busy / inputs.machine_cores)
    kept = each * HOUR * inputs.hours * inputs.days
    return Plan(
        rate=rate,
        databases=databases,
        processes={name: databases * number for name, number in processes.items()},
        machines=machines,
        database_cores=cores,
        connections=count_connections(processes),
        busy_connections=in_progress(rate=each, seconds=cpu + measured.commits * inputs.commit),
        payments_in_flight=in_progress(rate=rate, seconds=inputs.latency),
        log_bytes=each * measured.log_bytes_after_checkpoint,
        commits=each * measured.commits,
        disk_bytes=rate * HOUR * measured.disk_bytes,
        audit_seconds=kept * AUDIT_SECONDS,
        dollars=machines * inputs.machine_cores * inputs.core_cost
        + databases * COPIES * cost_database(cores, kept * measured.disk_bytes, each * measured.commits, inputs),
    )


def describe_today(measured: Measured, inputs: Inputs) -> Plan:
    """The bench's machine at the rate that was found on it: nothing of this is planned."""
    rate = measured.bench[CPU_CASE, "end to end/s", "orderly"]
    seconds = database_cpu(measured) + measured.commits * measured.fsync
    kept = rate * HOUR * inputs.hours * inputs.days
    return Plan(
        rate=rate,
        databases=1,
        processes={"web": WEB_PROCESSES, "payments": 1, "orders": 1, "mails": 1},
        machines=1,
        database_cores=CORES,
        connections=round(measured.bench[CPU_CASE, "connections", "orderly"]),
        busy_connections=in_progress(rate=rate, seconds=seconds),
        payments_in_flight=0,
        log_bytes=rate * measured.log_bytes_after_checkpoint,
        commits=rate * measured.commits,
        disk_bytes=rate * HOUR * measured.disk_bytes,
        audit_seconds=kept * AUDIT_SECONDS,
        dollars=CORES * inputs.core_cost + kept * measured.disk_bytes / 1e9 * inputs.gb_cost,
    )


def limit_database(measured: Measured, inputs: Inputs) -> float:
    """Orders a second that one primary carries, by its cores and by its log. Nobody has tried more than two cores."""
    by_cores = inputs.database_cores * inputs.busy / database_cpu(measured)
    return min(by_cores, inputs.busy * inputs.disk / measured.log_bytes_after_checkpoint)


def database_cpu(measured: Measured) -> float:
    """Seconds an order, with the provider's events; a little too much, as the provider's own statements are in it."""
    return (measured.cpu["postgres"] + EVENTS["postgres"]) / 1000


def web_cpu(measured: Measured, inputs: Inputs) -> float:
    """Seconds an order, with the pages that are looked at before and the events that come after."""
    return (measured.cpu["web"] + EVENTS["web"] + inputs.pages * PAGE_CPU) / 1000


def shop_cpu(measured: Measured, inputs: Inputs) -> float:
    """Seconds an order of all that is neither the database nor the provider."""
    others = sum(value for name, value in measured.cpu.items() if name not in ("web", "postgres", "provider"))
    return web_cpu(measured, inputs) + others / 1000


def count_processes(rate: float, measured: Measured, inputs: Inputs) -> dict[str, int]:
    """For one database. A Python process has one core at most, whatever its threads."""
    cpu = {process: value / 1000 for process, value in measured.cpu.items()}
    charging = inputs.latency + CHARGE_COMMITS * inputs.commit + cpu["payments"]

    def busy(seconds: float) -> int:
        return ceil(rate * seconds / inputs.busy)

    return {
        "web": max(WEB_PROCESSES, busy(web_cpu(measured, inputs))),
        "payments": max(busy(cpu["payments"]), ceil(count_threads(rate, charging) / CHARGE_THREADS)),
        "orders": busy(cpu["orders"] + END_STATEMENT + inputs.commit),
        "mails": busy(cpu["mails"] + inputs.commit + inputs.mail),
    }


def count_threads(rate: float, seconds: float) -> int:
    """So many that a charge waits for a tenth of its own time at most, on average."""
    enough = SHORT * seconds
    least = int(rate * seconds) + 1
    return next(n for n in count(least) if mean_wait(rate=rate, seconds=seconds, servers=n) <= enough)


def count_connections(processes: Mapping[str, int]) -> int:
    return sum(number * POOLS.get(name, 1) for name, number in processes.items())


def cost_database(cores: int, kept_bytes: float, commits: float, inputs: Inputs) -> float:
    """Dollars a month of one server with its disk."""
    writes = max(commits - inputs.free_iops, 0)
    return cores * inputs.core_cost + kept_bytes / 1e9 * inputs.gb_cost + writes * inputs.iops_cost
