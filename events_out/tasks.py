"""The tasks by which beat and the workers deliver events. A message is the id of an endpoint."""

from celery import shared_task
from django.conf import settings

from events_out import deliveries, feed, mails, planning


@shared_task
def sweep_events() -> None:
    """Let the events that are committed be read, plan what is delivered of them, and have it delivered."""
    feed.move_horizon()
    planning.plan_deliveries()
    for pk, lanes in deliveries.find_due_endpoints().items():
        for _ in range(lanes):
            deliver_to_endpoint.apply_async((pk,), expires=settings.CLOCK_SKEW)


@shared_task
def deliver_to_endpoint(pk: int) -> None:
    deliveries.deliver_to_endpoint(pk=pk)


@shared_task
def delete_old_deliveries() -> None:
    deliveries.delete_old_deliveries()


@shared_task(time_limit=settings.MAILS_TIME_LIMIT)
def send_due_mails() -> None:
    mails.send_due_mails()
