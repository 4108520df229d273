"""The Celery app: tasks from every installed app, and database connections kept from one task to the next."""

import logging
import os
import time
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore
from celery.signals import task_postrun, task_prerun, worker_init
from django.db import Error, OperationalError, close_old_connections, connection

from config.watchdog import start_watchdog
from database_errors import describe, is_passing

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

DATABASE_PATIENCE = 30.0  # seconds


class RepeatedTask(Task):  # type: ignore[type-arg]  # Celery's own is not generic
    """A task that a later tick repeats. A database that is away, read-only or locked is one line in the log."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except Error as error:
            if not is_passing(error):
                raise
            logger.warning("%s%s is left to a later one: %s", self.name, args, describe(error))
            raise Ignore from error  # ends its chain, too


app = Celery("orderly", task_cls=RepeatedTask)
app.config_from_object("config.celery_settings")
app.autodiscover_tasks()
worker_init.connect(start_watchdog)


# CELERY_DB_REUSE_MAX stops Celery from reconnecting for every task. Django's own rule takes its place (CONN_MAX_AGE and
# a health check): without it a worker would keep a dead connection for ever after PostgreSQL restarts.
@task_postrun.connect
def drop_dead_connections(**_: Any) -> None:
    close_old_connections()


@task_prerun.connect
def wait_for_database(**_: Any) -> None:
    """Hold a worker while the database is away or read-only. If tasks failed at once, a whole queue would be lost."""
    close_old_connections()
    deadline = time.monotonic() + DATABASE_PATIENCE
    while time.monotonic() < deadline:
        try:
            connection.ensure_connection()
            if connection.is_usable():
                connection.health_check_done = True  # type: ignore[attr-defined]  # the stubs don't know it
                return
        except OperationalError:
            pass
        connection.close()
        time.sleep(0.5)
