"""Tasks that delete what visitors leave behind: expired sessions and old mails."""

from celery import shared_task
from django.core.management import call_command

from accounts import mails


@shared_task(time_limit=10 * 60)
def clear_sessions() -> None:
    call_command("clearsessions")


@shared_task
def delete_old_mails() -> None:
    mails.delete_old_mails()
