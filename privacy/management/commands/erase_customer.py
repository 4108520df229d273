"""Erases one person's data: manage.py erase_customer EMAIL"""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from command_line import end_at_passing_errors
from privacy.erasure import Counts, ErasureRefused, erase_customer, find_left


class Command(BaseCommand):
    help = "Erase the data of the person who has this email address. Amounts, products and the provider's ids stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be erased.")
        parser.add_argument("--no-input", action="store_true", help="Don't ask whether you are sure.")

    def handle(self, *, email: str, dry_run: bool, no_input: bool, **_: Any) -> None:
        counts = self.erase(email, dry_run=True)
        self.stdout.write(f"To erase: {describe_counts(counts)}.")
        if dry_run or not counts:
            return
        if not no_input and not confirm():
            raise CommandError("Nothing was erased.")
        self.stdout.write(f"Erased: {describe_counts(self.erase(email, dry_run=False))}.")
        if left := find_left(email=email):
            raise CommandError(f"Placed meanwhile: {', '.join(left)}. Erase again once they have ended.")

    def erase(self, email: str, *, dry_run: bool) -> Counts:
        try:
            with end_at_passing_errors("Nothing was erased, run it again"):
                return erase_customer(email=email, dry_run=dry_run)
        except ValidationError as error:
            raise CommandError(f"{email!r} is no email address.") from error
        except ErasureRefused as refusal:
            raise CommandError(f"Nothing was erased: {refusal.code}: {refusal}") from refusal


def confirm() -> bool:
    try:
        return input("This can't be undone. Type 'erase' to go on: ") == "erase"
    except EOFError as error:
        raise CommandError("Nothing was erased: nobody is there to ask. Say --no-input to go on.") from error


def describe_counts(counts: Counts) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()) or "nothing"
