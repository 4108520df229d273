from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _

from events_out.checks import check_webhook_networks


class EventsOutConfig(AppConfig):
    name = "events_out"
    verbose_name = _("Webhooks to others")

    def ready(self) -> None:
        register(check_webhook_networks)
