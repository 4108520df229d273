"""Compares each provider's ledger with our rows. Exits 1 while differences are open, and 2 if nothing could be read."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, date, datetime, time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import pluralize

from audit.ledger import BEGINNING, AuditIsRunning
from audit.models import Difference
from audit.reconciliation import Reconciliation, reconcile
from audit.remedies import propose_remedy
from command_line import end_at_passing_errors
from payments.gateway import GatewayUnavailable

MAX_DIFFERENCES = 1000  # in one report: it stays readable


class Command(BaseCommand):
    help = "Compare each provider's own list with our payments, both ways, and write down what differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        parser.add_argument(
            "--since",
            type=read_date,
            default=BEGINNING,
            metavar="DATE",
            help="Compare what was charged on this day (UTC) or later. Left out: everything.",
        )

    def handle(self, **options: Any) -> None:
        try:
            with end_at_passing_errors("Nothing is known", also=(GatewayUnavailable,), returncode=2):
                done = reconcile(since=options["since"])
                open_differences = Difference.objects.unresolved()
                count, shown = open_differences.count(), list(open_differences[:MAX_DIFFERENCES])
        except AuditIsRunning:
            raise CommandError("Nothing was compared: an audit reads the lists just now.", returncode=2) from None
        write = write_json if options["json"] else write_text
        self.stdout.write(write(done, count, shown))
        if count:
            sys.exit(1)


def read_date(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date such as 2026-11-29") from None


def write_json(done: Reconciliation, count: int, shown: list[Difference]) -> str:
    names = ("kind", "gateway", "provider_id", "reference")
    there = ("amount_there", "currency_there", "status_there")
    here = ("amount_here", "currency_here", "status_here")
    differences = [
        {name: getattr(found, name) for name in names + there + here}
        | {"occurred_at": found.occurred_at.isoformat(), "remedy": propose_remedy(found)}
        for found in shown
    ]
    counts = {"charges": done.charges, "matched": done.matched, "opened": done.opened, "closed": done.closed}
    return json.dumps({"ok": not count, **counts, "open": count, "differences": differences})


def write_text(done: Reconciliation, count: int, shown: list[Difference]) -> str:
    lines = [f"Compared {done.charges:,} charges: {done.matched:,} match. {done.opened:,} new, {done.closed:,} gone."]
    lines += [describe_difference(found) for found in shown]
    lines.append(
        f"{count:,} difference{pluralize(count)} {pluralize(count, 'is,are')} open."
        if count
        else "No difference is open."
    )
    return "\n".join(lines)


def describe_difference(found: Difference) -> str:
    remedy = propose_remedy(found)
    return f"{found}: {found.there} at the provider ({found.gateway}), {found.here} here. To do: {remedy}."
