"""The task that forgets old answers."""

from celery import shared_task

from api import keys


@shared_task
def delete_old_calls() -> None:
    keys.delete_old_calls()
