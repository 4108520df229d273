from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _

from payments.checks import check_gateways, check_news_hooks


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = _("Payments")

    def ready(self) -> None:
        register(check_gateways)
        register(check_news_hooks)
