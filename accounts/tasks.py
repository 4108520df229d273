"""What is cleaned up behind the people who came by."""

from celery import shared_task
from django.core.management import call_command


@shared_task(time_limit=10 * 60)
def clear_sessions() -> None:
    call_command("clearsessions")
