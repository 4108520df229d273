"""Looks whether every archived order is in its file: manage.py check_archive"""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from command_line import add_folder
from orders.models import ArchivedOrder
from privacy.archived import find_damage


class Command(BaseCommand):
    help = (
        "Check that each file of the archive is as it was written, and has the orders that were archived in it. "
        "Exit 1 if not."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_folder(parser, "--in", setting="ARCHIVE_DIR")
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
