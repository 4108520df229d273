from django.apps import AppConfig
from django.utils.translation import pgettext_lazy


class OrdersConfig(AppConfig):
    name = "orders"
    verbose_name = pgettext_lazy("app", "Orders")

    def ready(self) -> None:
        from orders import checks, ticks  # noqa: F401, PLC0415 - they need the models, and register themselves
