"""`lab.stack bench`: starts the shops, runs the scenarios, prints the table; fails where an audit is not clean."""

import json
import os
import platform
import sys
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from lab.bench.against import run_against
from lab.bench.document import write_document
from lab.bench.endurance import run_endurance
from lab.bench.figures import Figures
from lab.bench.floor import measure_floor
from lab.bench.history import run_history
from lab.bench.load import ServerSilent, UnexpectedAnswer
from lab.bench.options import SMOKE, Options
from lab.bench.overload import run_overload
from lab.bench.pages import run_pages
from lab.bench.repair import run_repair
from lab.bench.shops import OrdersLost
from lab.bench.table import to_table
from lab.bench.throughput import MANY, count_rounds, run_throughput
from lab.bench.wire import NoLength
from lab.bench.workbench import SETTINGS, NotClean, Scenario, Workbench, open_workbench
from lab.stack.commands import DEMO_CLOCKS
from lab.stack.embedded import ServersMissing
from lab.stack.shop import run_stack

SMOKE_CLOCKS = {**DEMO_CLOCKS, "MAIL_EVERY": "0.3"}
OTHERS: dict[str, Scenario] = {"e": run_overload, "g": run_repair, "h": run_pages, "i": run_endurance, "f": run_history}


def bench(arguments: Namespace) -> int:
    """Run what is asked for; return the exit code: 1 where an audit is not clean, or an order was lost."""
    options = SMOKE if arguments.smoke else read_options(arguments)
    try:
        figures = run_against(arguments.against, options) if arguments.against else run_bench(options)
    except (NotClean, OrdersLost, ServerSilent, UnexpectedAnswer, NoLength) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    report = {"machine": describe_machine(), "options": vars(options), "figures": figures.to_json()}
    if arguments.json:
        write_json(arguments.json, report)
    if arguments.json != Path("-"):
        print(f"{report['machine']}\n\n{to_table(figures)}")
    if arguments.write:
        write_document(figures, str(report["machine"]))
    return 0


def read_options(arguments: Namespace) -> Options:
    names = ("scenarios", "rounds", "orders", "seconds", "history", "kills", "endurance")
    return Options(**{name: getattr(arguments, name) for name in names})


def run_bench(options: Options) -> Figures:
    """All scenarios in one run, on a stack that is thrown away. Raises NotClean and OrdersLost."""
    with (
        run_stack(caller={**os.environ, **SETTINGS, **(SMOKE_CLOCKS if options.smoke else {})}) as stack,
        open_workbench(stack, options, steps=count_steps(options)) as workbench,
    ):
        for scenario in choose_scenarios(options.scenarios):
            scenario(workbench)
            if not options.smoke:
                workbench.audit()
        if options.smoke:
            workbench.audit()
        return workbench.figures


def choose_scenarios(letters: str) -> list[Scenario]:
    """What these letters name, in the order in which it is run."""
    rates: list[Scenario] = [run_throughput, add_floor] if set(letters) & set("abcd") else []
    return rates + [scenario for letter, scenario in OTHERS.items() if letter in letters]


def count_steps(options: Options) -> int:
    each = {"e": options.rounds, "g": options.kills, "h": 4 * options.rounds, "f": 2 * (options.rounds + 1)}
    each["i"] = options.endurance // options.orders
    others = sum(steps for letter, steps in each.items() if letter in options.scenarios)
    return options.rounds * count_rounds(options.scenarios) + others


def add_floor(workbench: Workbench) -> None:
    """PostgreSQL alone, for the naive design's statements."""
    try:
        rate = measure_floor(workbench.shops["naive"], workbench.stack.folder, seconds=workbench.options.seconds)
    except ServersMissing as error:
        print(error, file=sys.stderr)
    else:
        workbench.figures.add(MANY.name, "floor: naive's statements in pgbench/s", rate, shop="naive")


def describe_machine() -> str:
    """When and on what: ratios travel, absolute figures don't."""
    models = [line.partition(":")[2].strip() for line in _read_lines("/proc/cpuinfo") if line.startswith("model name")]
    processor = models[0] if models else platform.machine()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {processor}, Python {platform.python_version()},"
        " load generator included"
    )


def _read_lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def write_json(path: Path, report: Mapping[str, object]) -> None:
    text = json.dumps(report, indent=2)
    if path == Path("-"):
        print(text)
    else:
        path.write_text(text + "\n")
