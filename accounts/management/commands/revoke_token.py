"""Revokes the token of a program: manage.py revoke_token NAME"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import ApiToken
from accounts.tokens import revoke_token


class Command(BaseCommand):
    help = "Refuse a token of the API from now on. A repeat changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of the program that has it")

    def handle(self, *, name: str, **_: Any) -> None:
        token = ApiToken.objects.filter(name=name).first()
        if token is None:
            raise CommandError(f"There is no token {name}.")
        revoke_token(token)
