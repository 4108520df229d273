"""The project as a Django app: it has nothing but checks."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from config.postgresql.role import set_patience


class ProjectConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks  # noqa: F401, PLC0415 - they need the tasks, and register themselves

        post_migrate.connect(set_patience, sender=apps.get_app_config("orders"))  # `migrate` calls none without models
