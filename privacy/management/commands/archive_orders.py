"""Archives old orders: manage.py archive_orders --older-than DAYS --to DIR"""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from command_line import end_at_passing_errors, read_days
from privacy.archive import archive_orders, find_archivable

MAX_DAYS = 36_500


class Command(BaseCommand):
    help = "Write orders that ended long ago to files, and remove them here. May be stopped, and run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        least = settings.ORDER_LEAST_DAYS
        parser.add_argument(
            "--older-than",
            type=partial(read_days, least=least, most=MAX_DAYS),
            default=settings.ORDER_DAYS,
            metavar="DAYS",
            help=f"Since they ended, and since the last that happened to them: at least {least}. Default: ORDER_DAYS.",
        )
        parser.add_argument(
            "--to", type=Path, default=settings.ARCHIVE_DIR or None, metavar="DIR", help="Default: ARCHIVE_DIR."
        )
        parser.add_argument("--dry-run", action="store_true", help="Only count them.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *, older_than: int, to: Path | None, dry_run: bool, **options: Any) -> None:
        if not older_than:
            raise CommandError("Orders are kept for ever: ORDER_DAYS is not set. Say --older-than DAYS.")
        if not dry_run and not (to and to.is_dir()):
            raise CommandError("Say --to DIR, a folder that is there; or set ARCHIVE_DIR.")
        found, archived = self.archive(older_than, None if dry_run else to)
        words = f"{found:,} orders would be archived." if dry_run else f"{archived:,} orders archived."
        facts = {"older_than": older_than, "found": found, "archived": archived}
        self.stdout.write(json.dumps(facts) if options["json"] else words)

    def archive(self, days: int, folder: Path | None) -> tuple[int, int]:
        """Return how many orders were found, and how many of them are archived: without a folder, none."""
        try:
            with end_at_passing_errors("What was not archived stays here; run it again"):
                found = find_archivable(days).count()
                return found, sum(archive_batches(days, folder, found)) if folder else 0
        except OSError as error:
            raise CommandError(f"What was not written stays here; run it again: {error}") from error


def archive_batches(days: int, folder: Path, found: int) -> Iterator[int]:
    with tqdm(total=found, desc="Archiving", unit=" orders", disable=None) as bar:
        while archived := archive_orders(days=days, folder=folder):
            bar.update(archived)
            yield archived
