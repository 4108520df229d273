"""The Celery app: tasks from every installed app, and database connections kept from one task to the next."""

import os
from typing import Any

from celery import Celery
from celery.signals import task_postrun, task_prerun
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("orderly")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


# CELERY_DB_REUSE_MAX stops Celery from reconnecting for every task. Django's own rule (CONN_MAX_AGE and a health check)
# takes its place: without it a worker would keep a dead connection for ever after PostgreSQL restarts.
@task_prerun.connect
@task_postrun.connect
def drop_dead_connections(**_: Any) -> None:
    close_old_connections()
