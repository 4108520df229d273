from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EventsOutConfig(AppConfig):
    name = "events_out"
    verbose_name = _("Events out")
