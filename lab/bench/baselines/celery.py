"""The typical design's Celery app."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lab.bench.baselines.settings")

app = Celery("typical")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
