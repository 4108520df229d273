"""Say whether everything holds; exit 1 if anything does not, 2 if the database or the provider can't be asked."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from audit.liveness import check_liveness
from audit.services import Report, audit_orders
from database_errors import describe, is_passing
from payments.gateway import GatewayUnavailable


class Command(BaseCommand):
    help = "Check that no money, order or unit of stock is lost: the shop's rows and the provider's ledger."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *, json: bool, **_: object) -> None:
        try:
            report, troubles = audit_orders(), check_liveness().troubles
        except (GatewayUnavailable, Error) as error:
            if isinstance(error, Error) and not is_passing(error):
                raise
            raise CommandError(f"Nothing is known: {describe(error)}", returncode=2) from error
        self.stdout.write(to_json({**report, "troubles": troubles}) if json else to_text(report, troubles))
        if not report["ok"]:
            sys.exit(1)


def to_json(report: Mapping[str, object]) -> str:
    return json.dumps(report)


def to_text(report: Report, troubles: Sequence[str]) -> str:
    lines = ["Checked " + ", ".join(f"{count:,} {name}" for name, count in report["checked"].items()) + "."]
    lines += [f"{v['invariant']}: {v['detail']}: {', '.join(v['codes'])}" for v in report["violations"]]
    lines += [f"Trouble now: {trouble}" for trouble in troubles]
    lines.append("Everything holds." if report["ok"] else "NOT everything holds.")
    return "\n".join(lines)
