"""Run the demonstration on the running stack and print its report; exit 1 if anything is off."""

import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from lab.simulation.demo import run_demo


class Command(BaseCommand):
    help = "Replay a day of real orders while workers are killed. For an empty shop: make demo."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stack_file", type=Path, help="The stack.json that names the processes.")

    def handle(self, *, stack_file: Path, **_: object) -> None:
        call_command("load_catalog", settings.BASE_DIR / "data" / "products.csv", stock=2000)
        report = run_demo(stack_file=stack_file, say=self.stdout.write)
        self.stdout.write(to_text(report))
        if not report["ok"]:
            sys.exit(1)


def to_text(report: dict[str, Any]) -> str:
    replay, audit, before, after = report["replay"], report["audit"], report["stock_before"], report["stock_after"]
    checked = ", ".join(f"{count:,} {name}" for name, count in audit["checked"].items())
    skipped = ", ".join(f"{count} {kind}" for kind, count in replay["skipped"].items())
    reasons = Counter(replay["unmatched"]) + Counter(replay["unreturned"])
    unmatched = f"{sum(reasons.values())} lines of cancellations not returned ({', '.join(reasons)})"
    rows = {
        "Orders": ", ".join(f"{count} {status}" for status, count in report["orders"].items()),
        "Refused": replay["refused"] or "none",
        "Skipped": skipped or "none",
        "Money": f"{report['charged_minor']:,} at the provider, {report['confirmed_minor']:,} here, in pence",
        "Refunds": f"{replay['refunds']}, of {replay['refunded_minor']:,} pence; {unmatched}",
        "Stock": (
            f"{before['on_hand']:,} before, {replay['units']:,} sold, {replay['returned_units']:,} returned, "
            f"{after['on_hand']:,} after"
        ),
        "Crashes": f"{report['kills']} workers killed, {report['swept']} orders taken up again by the sweep",
        "Times": f"{report['p50_seconds']} s p50, {report['p95_seconds']} s p95 from POST to final",
        "Speed": f"{report['orders_per_second']} orders/s",
        "Audit": f"{'clean' if audit['ok'] else audit['violations']}; checked {checked}",
        "Verdict": "nothing was lost" if report["ok"] else "SOMETHING IS OFF",
    }
    return "\n" + "\n".join(f"{name:8} {value}" for name, value in rows.items())
