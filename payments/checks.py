"""`manage.py check`: whether what is named by its path can be what it is named for, and customers can pay."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from payments.gateway import Gateway

METHODS = [name for name in vars(Gateway) if not name.startswith("_")]


def check_gateways(**_: Any) -> list[CheckMessage]:
    """Not when settings are read: a gateway's module may need the models, and takes its time to import."""
    return [message for path in settings.PAYMENT_GATEWAYS.values() for message in _check_gateway(path)]


def _check_gateway(path: str) -> Iterator[CheckMessage]:
    try:
        gateway = import_string(path)
    except ImportError as error:
        hint = "Name a class by its dotted path, such as payments.stripe.StripeGateway."
        yield Error(f"{path} of PAYMENT_GATEWAYS can't be imported: {error}", hint=hint, id="orderly.E001")
        return
    missing = [name for name in METHODS if not callable(getattr(gateway, name, None))]
    if missing:
        hint = "A gateway has every method of payments.gateway.Gateway."
        yield Error(f"{path} of PAYMENT_GATEWAYS lacks {', '.join(missing)}.", hint=hint, id="orderly.E002")
    elif not (settings.SHOP_PAYMENT_METHODS or gateway().payment_form()):
        hint = "Set STRIPE_PUBLISHABLE_KEY for the card form, or SHOP_PAYMENT_METHODS. The API needs neither."
        yield Warning("The checkout offers no way to pay.", hint=hint, id="orderly.W005")


def check_news_hooks(**_: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not is_function(settings.PAYMENT_NEWS_HOOK):
        hint = "Name a function by its dotted path, such as orders.tasks.take_up_order."
        found.append(Error("PAYMENT_NEWS_HOOK is no function that can be imported.", hint=hint, id="orderly.E010"))
    if not is_function(settings.DISPUTE_NEWS_HOOK):
        hint = "Name a function by its dotted path, such as orders.disputes.record_dispute."
        found.append(Error("DISPUTE_NEWS_HOOK is no function that can be imported.", hint=hint, id="orderly.E019"))
    return found


def is_function(path: str) -> bool:
    try:
        return callable(import_string(path))
    except ImportError:
        return False
