"""The model's tables in Markdown, and the page that has them between its marks."""

from collections.abc import Sequence
from pathlib import Path

from lab.bench.document import DOCS
from lab.bench.table import draw, show
from lab.growth.cases import Check
from lab.growth.limits import Limit
from lab.growth.plan import Plan

PAGE = DOCS / "scaling.md"
MARKS = "<!-- growth: {name} -->", "<!-- end -->"


def draw_checks(checks: Sequence[Check]) -> str:
    rows = [
        [check.what, check.figure, check.limit, show(check.predicted), show(check.found), f"{check.deviation:+.0%}"]
        for check in checks
    ]
    return draw(["case", "figure", "limit", "predicted", "measured", "deviation"], rows)


def draw_limits(limits: Sequence[Limit]) -> str:
    rows = [[limit.what, show(limit.rate), limit.known, limit.lift] for limit in limits]
    return draw(["limit", "orders/s", "known how", "how to lift it"], rows)


def draw_plans(today: Plan, planned: Sequence[Plan]) -> str:
    """A column a rate; the first is measured."""
    plans = [today, *planned]
    head = ["orders/s", f"today: {show(today.rate)}", *(show(plan.rate) for plan in planned)]
    rows = [
        ["databases", *(show(plan.databases) for plan in plans)],
        *([name, *(show(plan.processes[name]) for plan in plans)] for name in plans[0].processes),
        ["machines for web and workers", *(show(plan.machines) for plan in plans)],
        ["cores of each database, and of its standby", *(show(plan.database_cores) for plan in plans)],
        ["connections to each, without a pooler", *(show(plan.connections) for plan in plans)],
        ["of them busy at a time", *(show(plan.busy_connections) for plan in plans)],
        ["payments in flight", *(show(plan.payments_in_flight) for plan in plans)],
        ["log of each database, MB/s at most", *(show(plan.log_bytes / 1e6) for plan in plans)],
        ["commits/s of each database", *(show(plan.commits) for plan in plans)],
        ["disk for an hour of orders, GB", *(show(plan.disk_bytes / 1e9) for plan in plans)],
        ["an audit of the orders kept in one database, minutes", *(show(plan.audit_seconds / 60) for plan in plans)],
        ["dollars a month", *(show(plan.dollars) for plan in plans)],
    ]
    return draw(head, rows)


def write_page(page: Path, **texts: str) -> None:
    """Replace what stands between the marks of each name; all else in the page stays."""
    text = page.read_text()
    for name, new in texts.items():
        begin, end = MARKS[0].format(name=name), MARKS[1]
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{new}\n\n{end}{rest.partition(end)[2]}"
    page.write_text(text)
