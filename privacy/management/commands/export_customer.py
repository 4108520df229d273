"""Writes all that the shop holds of one person: manage.py export_customer EMAIL --to FILE"""

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from privacy.exporting import export_customer


class Command(BaseCommand):
    help = "Print all that the shop holds of the person who has this email address, as JSON. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--to", type=Path, metavar="FILE", help="Write it there, for the eyes of this user only.")

    def handle(self, *, email: str, to: Path | None, **_: Any) -> None:
        try:
            held = export_customer(email=email)
            text = json.dumps(held, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2) + "\n"
            if to:
                write_private(to, text)
                self.stdout.write(f"{len(held['orders']):,} orders, and what else there is, are in {to}.")
            else:
                self.stdout.write(text, ending="")
        except ValidationError as error:
            raise CommandError(f"{email!r} is no email address.") from error
        except FileExistsError as error:
            raise CommandError(f"Nothing was written: {to} exists, and is left alone. Name another file.") from error
        except OSError as error:
            raise CommandError(f"Nothing was written: {error}") from error


def write_private(path: Path, text: str) -> None:
    """A new file: one that is there may be open to others, and is left alone."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
