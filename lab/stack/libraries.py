"""Imports what the shop's processes import before they read a setting. All that is forked afterwards has it."""

import gc
from importlib import import_module

# None of them asks Django for its settings or its models while it is imported.
LIBRARIES = (
    "babel.numbers",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.fixups.django",
    "celery.worker.components",
    "django.contrib.admin.options",
    "django.core.handlers.wsgi",
    "django.core.management.commands.shell",
    "django.db.backends.postgresql.base",
    "django.template.defaulttags",
    "django.template.loader_tags",
    "django_redis.client",
    "environ",
    "gunicorn.app.wsgiapp",
    "jinja2",
    "kombu.transport.redis",
    "lab.stack.forks",  # a fork begins in it
    "PIL.ImageOps",
    "prometheus_client.openmetrics.exposition",
    "psycopg_pool",
    "pycurl",
    "pydantic.fields",
    "pydantic.main",
    "pydantic.types",
    "requests",
    "standardwebhooks",
    "stripe",
    "stripe.v2",
    "structlog",
    "waitress",
    "whitenoise.storage",
)

for library in LIBRARIES:
    import_module(library)
gc.collect()
gc.freeze()  # none of it is ever garbage
