"""`lab.stack growth`: says what a rate needs; fails where the model and what was measured differ too much."""

import json
import sys
from argparse import Namespace
from dataclasses import fields

from lab.bench.shops import OrdersLost
from lab.bench.workbench import NotClean
from lab.growth.cases import TOLERANCE, list_checks
from lab.growth.inputs import Inputs
from lab.growth.limits import list_limits
from lab.growth.measured import FILE, read_measured
from lab.growth.measuring import measure
from lab.growth.plan import describe_today, plan_growth
from lab.growth.report import PAGE, draw_checks, draw_limits, draw_plans, write_page


def growth(arguments: Namespace) -> int:
    """Return the exit code: 1 where a check is asked for and fails."""
    if arguments.measure:
        try:
            FILE.write_text(json.dumps(measure(), indent=2) + "\n")
        except (NotClean, OrdersLost) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return 1
    measured = read_measured()
    inputs = Inputs(**{option.name: getattr(arguments, option.name) for option in fields(Inputs)})
    checks = list_checks(measured)
    tables = {
        "checks": draw_checks(checks),
        "limits": draw_limits(list_limits(measured, inputs)),
        "plan": draw_plans(
            describe_today(measured, inputs), [plan_growth(rate, measured, inputs) for rate in arguments.rates]
        ),
    }
    print("\n\n".join(tables.values()))
    if arguments.write:
        write_page(PAGE, **tables)
    if arguments.check and not all(check.holds for check in checks):
        print(f"The model and the measured figures differ by more than {TOLERANCE:.0%}.", file=sys.stderr)
        return 1
    return 0
