"""Restores a backup beside the shop, and says what it lacks. Exits 1 if money would have no order, 2 if unknown."""

import json
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import pluralize

from audit.drill import Report, run_drill
from audit.management.commands.audit import MAX_DAYS
from audit.restoring.programs import RestoreFailed
from command_line import read_days
from money import format_money

# What an open difference is, in the order in which somebody has to look at it.
HEADINGS = {
    "refund": "Money without an order. Give it back:",
    "adopt": "The provider has what the backup lacks. Adopt it before the workers start:",
    "review": "Somebody has to look at:",
}
ONCE_WORKERS_RUN = "A5"  # what waits is overdue in every backup


class Command(BaseCommand):
    help = "Restore a backup beside the shop, compare it with the provider's ledger, and drop it again."

    def run_from_argv(self, argv: list[str]) -> None:
        """As a process of its own: what was made is dropped before it ends."""
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        super().run_from_argv(argv)

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = "What pg_dump (custom, directory, tar or plain SQL) or pg_basebackup (plain or tar) wrote."
        parser.add_argument("--from", type=Path, required=True, dest="path", metavar="BACKUP", help=what)
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")
        days = "Ask the provider for the charges of the last N days only. Left out, for all of them."
        parser.add_argument("--days", type=partial(read_days, most=MAX_DAYS), metavar="N", help=days)

    def handle(self, **options: Any) -> None:
        try:
            report = run_drill(options["path"].absolute(), days=options["days"], tell=self.tell)
        except RestoreFailed as error:
            raise CommandError(f"Nothing is known: {error}", returncode=2) from error
        self.stdout.write(json.dumps(report) if options["json"] else "\n".join(write_text(report)))
        if not report["ok"]:
            sys.exit(1)

    def tell(self, text: str) -> None:
        """Say how far it is, beside the result."""
        self.stderr.write(text, str)


def write_text(report: Report) -> Iterator[str]:
    restored, differences = report["restored"], report["differences"]
    orders, pending = restored["orders"], restored["pending"]
    yield f"The backup has {orders:,} order{pluralize(orders)}, the last of {restored['last_placed_at'] or 'never'}."
    for remedy, heading in HEADINGS.items():
        if found := [describe(difference) for difference in differences if difference["remedy"] == remedy]:
            yield from [heading, *found]
    if more := report["open"] - len(differences):
        yield f"{more:,} more difference{pluralize(more)} {pluralize(more, 'is,are')} not shown."
    for violation in report["violations"]:
        codes = ", ".join(violation["codes"])
        if violation["invariant"] != ONCE_WORKERS_RUN:
            yield f"{violation['invariant']}: {violation['detail']}: {codes}"
    goes_on = pluralize(pending, "is pending. It goes,are pending. They go")
    yield f"{pending:,} order{pluralize(pending)} {goes_on} on once the workers run."
    yield "No money would be without an order." if report["ok"] else "Money would be WITHOUT AN ORDER."


def describe(found: dict[str, Any]) -> str:
    there, here = (
        format_money(found[f"amount_{side}"], found[f"currency_{side}"]) if found[f"currency_{side}"] else "nothing"
        for side in ("there", "here")
    )
    at = f"{found['gateway']} {found['provider_id']}, {found['occurred_at'][:19].replace('T', ' ')}"
    return f"  {found['reference'] or 'no code'}: {there} at the provider, {here} here ({found['kind']}, {at})"
