"""Adds an endpoint: manage.py add_webhook_endpoint NAME URL [TYPE ...]"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events_out.addresses import AddressRefused
from events_out.endpoints import create_endpoint
from events_out.event_types import TYPES
from events_out.models import Endpoint


class Command(BaseCommand):
    help = "Tell an address of events from now on, and print the secret that signs them. It is not shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="whose it is, such as Warehouse")
        parser.add_argument("url")
        parser.add_argument("types", nargs="*", metavar="type", help=f"some of {', '.join(TYPES)}; by default all")

    def handle(self, *, name: str, url: str, types: list[str], **_: Any) -> None:
        if unknown := set(types) - set(TYPES):
            raise CommandError(f"There is no type {', '.join(sorted(unknown))}, but {', '.join(TYPES)}.")
        if Endpoint.objects.filter(name=name).exists():
            raise CommandError(f"There is an endpoint {name} already.")
        try:
            endpoint = create_endpoint(name=name, url=url, types=types or list(TYPES))
        except AddressRefused as refusal:
            raise CommandError(f"{url} is refused. {refusal}") from None
        self.stdout.write(endpoint.secret)
