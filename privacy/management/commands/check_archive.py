"""Looks whether every archived order is in its file: manage.py check_archive"""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from command_line import read_folder
from orders.models import ArchivedOrder
from privacy.archived import find_damage


class Command(BaseCommand):
    help = (
        "Compare the checksum of each file of the archive, and look for each archived order in its file. Exit 1 if not."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--in",
            dest="folder",
            type=read_folder,
            default=settings.ARCHIVE_DIR or None,
            required=not settings.ARCHIVE_DIR,
            metavar="DIR",
            help="Default: ARCHIVE_DIR.",
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *, folder: Path, **options: Any) -> None:
        damage = dict(find_damage(folder))
        facts = {"ok": not damage, "orders": ArchivedOrder.objects.count(), "damage": damage}
        if options["json"]:
            self.stdout.write(json.dumps(facts))
        elif not damage:
            self.stdout.write(f"{facts['orders']:,} archived orders are as they were written.")
        if damage:
            raise CommandError("\n".join(f"{file}: {words}" for file, words in damage.items()))
