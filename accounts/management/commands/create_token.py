"""Makes a token for a program: manage.py create_token NAME [--scope SCOPE ...] [--expires DAYS]"""

from functools import partial
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import ApiToken
from accounts.tokens import MAX_DAYS, create_token
from command_line import read_days


class Command(BaseCommand):
    help = "Make a token of the API for a program, and print it. It is stored nowhere, and not shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of the program that has it")
        parser.add_argument("--scope", action="append", default=[], choices=ApiToken.Scope.values)
        parser.add_argument(
            "--expires",
            type=partial(read_days, most=MAX_DAYS),
            metavar="DAYS",
            help="by default it is good until it is revoked",
        )

    def handle(self, *, name: str, scope: list[str], expires: int | None, **_: Any) -> None:
        token = ApiToken(name=name)
        try:
            token.clean_fields(exclude=["digest", "scopes"])
            token.validate_unique(exclude=["digest"])
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        _row, secret = create_token(name=name, scopes=scope, days=expires)
        self.stdout.write(secret)
