"""The project as a Django app: it has nothing but checks, lines of the log, and what a shop may have beside it."""

import gc
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.module_loading import import_string

from config.postgresql.role import end_taking_time, set_patience, take_time


class ProjectConfig(AppConfig):
    name = "config"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # Django imports all models next, and nothing of that is garbage. To look for some is a fifth of a process's
        # start: of a killed worker's next one, too. Not sooner: others import this package, and start no Django.
        gc.disable()

    def ready(self) -> None:
        from config import checks, order_log  # noqa: F401, PLC0415 - they need models, and register themselves

        if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
            import_string("config.tracing.start_tracing")()
        if settings.SENTRY_DSN:
            import_string("config.reports.start_reports")()
        one = apps.get_app_config("orders")  # `migrate` calls nobody for an app without models
        pre_migrate.connect(take_time, sender=one)
        post_migrate.connect(end_taking_time, sender=one)
        post_migrate.connect(set_patience, sender=one)
        gc.freeze()  # what is imported stays, and forked processes share it
        gc.enable()
