"""Prints an archived order: manage.py show_archived CODE"""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from command_line import add_folder
from orders.codes import read_code
from privacy.archive_files import ArchiveDamaged
from privacy.archived import NotArchived, read_archived_order


class Command(BaseCommand):
    help = "Print the record of an archived order as JSON, once the checksum of its file was compared. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code")
        add_folder(parser, "--in", setting="ARCHIVE_DIR")

    def handle(self, *, code: str, folder: Path, **_: Any) -> None:
        try:
            record = read_archived_order(code=read_code(code), folder=folder)
        except (NotArchived, ArchiveDamaged, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(record, ensure_ascii=False, indent=2))
