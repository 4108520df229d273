"""The Celery app: tasks from every installed app, and database connections kept from one task to the next."""

import os
import time
from typing import Any

from celery import Celery
from celery.signals import task_postrun, task_prerun, worker_init
from django.db import OperationalError, close_old_connections, connection

from config.watchdog import start_watchdog

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

DATABASE_PATIENCE = 30.0  # seconds

app = Celery("orderly")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
worker_init.connect(start_watchdog)


# CELERY_DB_REUSE_MAX stops Celery from reconnecting for every task. Django's own rule (CONN_MAX_AGE and a health check)
# takes its place: without it a worker would keep a dead connection for ever after PostgreSQL restarts.
@task_postrun.connect
def drop_dead_connections(**_: Any) -> None:
    close_old_connections()


@task_prerun.connect
def wait_for_database(**_: Any) -> None:
    """Hold a worker while the database is away: failing at once, it would throw away a whole queue in a second."""
    close_old_connections()
    deadline = time.monotonic() + DATABASE_PATIENCE
    while time.monotonic() < deadline:
        try:
            connection.ensure_connection()
        except OperationalError:
            time.sleep(0.5)
        else:
            return
