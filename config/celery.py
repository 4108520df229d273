"""The Celery app: tasks from every installed app, and database connections kept from one task to the next."""

import logging.config
import os
from functools import partial
from typing import Any

import structlog
from celery import Celery, Task
from celery.exceptions import Ignore
from celery.signals import celeryd_init, setup_logging, worker_init
from django.conf import settings
from django.db import Error, close_old_connections, connection

from config import redis_transport, task_context  # noqa: F401 - they register themselves
from config.watchdog import start_watchdog
from database_errors import describe, is_passing, run_again_if_lost

logger = structlog.stdlib.get_logger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class RepeatedTask(Task):  # type: ignore[type-arg]  # Celery's own is not generic
    """A task whose work can be done again, and is taken up by a later tick.

    Where the database was away or read-only, the task waits until it is back, and is run once more: failing at once, a
    worker would throw away a whole queue. What fails again, or meets a lock, is one line in the log.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return run_again_if_lost(partial(self.run, *args, **kwargs))
        except Error as error:
            if not is_passing(error):
                raise
            logger.warning("the task is left to a later one", task=self.name, args=args, reason=describe(error))
            raise Ignore from error  # ends its chain, too
        finally:
            end_database_use()


app = Celery("orderly", task_cls=RepeatedTask)
app.config_from_object("config.celery_settings")
app.autodiscover_tasks()
worker_init.connect(start_watchdog)


@app.on_after_configure.connect
def keep_settings_together(source: Any, **_: Any) -> None:
    """Put all settings where Celery looks first: for each message it looks up ten, each under three names in turn."""
    source.update(dict(source))


@setup_logging.connect
def take_our_log(**_: Any) -> None:
    """Celery's lines look like all others, and LOG_LEVEL holds for them: it sets up nothing where this is connected."""
    logging.config.dictConfig(settings.LOGGING)


@celeryd_init.connect
def keep_banner(instance: Any, **_: Any) -> None:
    instance.quiet = settings.LOG_FORMAT == "json"  # the banner is no JSON


# CELERY_DB_REUSE_MAX keeps Celery from reconnecting for each task. We use Django's own rule instead: a connection ends
# after an error or after CONN_MAX_AGE.
def end_database_use() -> None:
    """Close a connection that is broken or old, and give a pool's back.

    The next task does not check it first: a task that meets a dead one is run again.
    """
    if connection.in_atomic_block:  # called like a function: the transaction is the caller's
        return
    close_old_connections()
    connection.health_check_done = True  # type: ignore[attr-defined]  # the stubs don't know it
