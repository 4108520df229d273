"""What nobody measured here and the reader may change: each is an option of `lab.stack growth`."""

from argparse import ArgumentParser
from dataclasses import dataclass, field, fields

RATES = (100.0, 1_000.0, 10_000.0, 100_000.0)


def assumed(default: float, meaning: str) -> float:
    value: float = field(default=default, metadata={"help": meaning})
    return value


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Assumptions. Costs are US dollars a month, about the list prices of a large cloud in 2026; yours differ."""

    latency: float = assumed(0.3, "seconds of the provider's answer")
    commit: float = assumed(0.002, "seconds of a commit: a network disk, and a standby in the next building")
    mail: float = assumed(0.05, "seconds for which the mail server takes a mail")
    pages: float = assumed(10, "pages that are looked at for an order")
    busy: float = assumed(0.6, "share of its time for which a process or a core may be busy")
    database_cores: float = assumed(16, "cores of the largest database server that you want")
    disk: float = assumed(125e6, "bytes a second that its disk writes")
    machine_cores: float = assumed(8, "cores of a machine for web and workers")
    hours: float = assumed(4, "hours a day at this rate")
    days: float = assumed(180, "days for which orders are kept in the database: the least of ORDER_DAYS")
    core_cost: float = assumed(30, "a core with 4 GB of memory")
    gb_cost: float = assumed(0.08, "a GB of disk")
    iops_cost: float = assumed(0.005, "a write a second, beyond free_iops")
    free_iops: float = assumed(3000, "writes a second that a disk has without extra pay")


def add_growth_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rates", type=float, nargs="+", default=RATES, metavar="N", help="orders a second; %(default)s if left out"
    )
    for option in fields(Inputs):
        name = "--" + option.name.replace("_", "-")
        text = f"{option.metadata['help']}; %(default)s if left out"
        parser.add_argument(name, type=float, default=option.default, metavar="N", help=text)
    parser.add_argument(
        "--check", action="store_true", help="hold the model against what was measured; fail beyond 20 %%"
    )
    parser.add_argument(
        "--measure", action="store_true", help="measure first, on a stack that is thrown away: five minutes"
    )
    parser.add_argument("--write", action="store_true", help="write the tables in docs/scaling.md")
