"""After a restore: lets new events have ids that were never told."""

from typing import Any

from django.core.management.base import BaseCommand

from events_out.feed import skip_ids


class Command(BaseCommand):
    help = "Let new events have ids beyond all that were told before the database went back to a backup."

    def handle(self, **_: Any) -> None:
        self.stdout.write(f"The next event is evt_{skip_ids()}.")
