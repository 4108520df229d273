"""Records when each scheduled task ends, by the database's clock: this shows whether beat and its workers work."""

import time
from typing import Any

import structlog
from celery import Task, current_app
from celery.signals import task_success
from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections
from django.db.models.functions import Now
from django.db.models.signals import post_migrate
from django.dispatch import receiver

from audit.models import Tick

logger = structlog.stdlib.get_logger(__name__)


def read_schedule() -> dict[str, float]:
    """The scheduled tasks, each with the seconds from one run to the next."""
    schedule: dict[str, dict[str, Any]] = current_app.conf.beat_schedule
    return {entry["task"]: entry["schedule"] for entry in schedule.values()}


def record_tick(*, task: str, version: str = "") -> None:
    """Record that the task ended just now, how far this machine's clock is from the database's, and beat's version."""
    tick = Tick(task=task, ended_at=Now(), clock_skew=measure_clock_skew(), version=version)
    Tick.objects.bulk_create(
        [tick], update_conflicts=True, unique_fields=["task"], update_fields=["ended_at", "clock_skew", "version"]
    )


def measure_clock_skew() -> float:
    """The seconds that this machine's clock is ahead of the database's. The error is at most the time of one query."""
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        ours = (before + time.time()) / 2
        (theirs,) = cursor.fetchone()
    return float(ours - theirs)


@task_success.connect
def record_end(sender: "Task[..., object]", **_: object) -> None:
    if sender.name in read_schedule():
        try:
            record_tick(task=sender.name, version=sender.request.get("version") or "")
        except Error as error:  # the task did its work; its next end will be recorded
            logger.warning("the end of a task was not recorded", task=sender.name, reason=str(error))


@receiver(post_migrate)
def begin_ticks(sender: AppConfig, using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
    """Begin to count for a task that has never ended: from its first migration on, it can be late."""
    # The signal comes once for each app. The table is missing if its migration was just undone.
    if sender.label == Tick._meta.app_label and Tick._meta.db_table in connections[using].introspection.table_names():
        Tick.objects.using(using).bulk_create([Tick(task=task) for task in read_schedule()], ignore_conflicts=True)
