from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import pgettext_lazy


class OrdersConfig(AppConfig):
    name = "orders"
    verbose_name = pgettext_lazy("app", "Orders")

    def ready(self) -> None:
        import_module("orders.history")  # it listens to the accounts, which know nothing of orders
