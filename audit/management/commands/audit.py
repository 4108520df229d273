"""Says whether everything holds. Exits 1 if anything does not, and 2 if the database or the provider can't be asked."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from audit.ledger import BEGINNING
from audit.liveness import check_liveness
from audit.services import Report, audit_orders
from command_line import end_at_passing_errors, read_days
from payments.gateway import GatewayUnavailable

MAX_DAYS = 9_000  # BEGINNING is 2000


class Command(BaseCommand):
    help = "Check that no money, order or unit of stock is lost: the shop's rows and the provider's ledger."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument(
            "--days",
            type=partial(read_days, most=MAX_DAYS),
            metavar="N",
            help="Ask the provider for the charges of the last N days only, as the scheduled audit does for AUDIT_DAYS."
            " Left out, for all of them: a request for each 100 payments.",
        )

    def handle(self, **options: Any) -> None:
        with end_at_passing_errors("Nothing is known", also=(GatewayUnavailable,), returncode=2):
            since = timezone.now() - timedelta(days=options["days"]) if options["days"] else BEGINNING
            report, troubles = audit_orders(since=since), check_liveness().troubles
        as_json = json.dumps({**report, "troubles": troubles})
        self.stdout.write(as_json if options["json"] else describe_report(report, troubles))
        if not report["ok"]:
            sys.exit(1)


def describe_report(report: Report, troubles: Sequence[str]) -> str:
    lines = ["Checked " + ", ".join(f"{count:,} {name}" for name, count in report["checked"].items()) + "."]
    lines += [f"{v['invariant']}: {v['detail']}: {', '.join(v['codes'])}" for v in report["violations"]]
    lines += [f"Trouble now: {trouble}" for trouble in troubles]
    lines.append("Everything holds." if report["ok"] else "NOT everything holds.")
    return "\n".join(lines)
