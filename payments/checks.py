"""`manage.py check`: whether what is named by its path can be what it is named for, and customers can pay."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.utils.module_loading import import_string

from payments.gateway import Gateway, get_gateway

MEMBERS = [name for name in vars(Gateway) if not name.startswith("_")]


def check_gateways(**_: Any) -> list[CheckMessage]:
    """Not when settings are read: a gateway's module may need the models, and takes its time to import."""
    wrong = [message for path in settings.PAYMENT_GATEWAYS.values() for message in _check_gateway(path)]
    return wrong or [*_check_ways_to_pay(), *_check_timeouts()]


def _check_gateway(path: str) -> Iterator[CheckMessage]:
    try:
        gateway = import_string(path)
    except ImportError as error:
        hint = "Name a class by its dotted path, such as payments.stripe.StripeGateway."
        yield Error(f"{path} of PAYMENT_GATEWAYS can't be imported: {error}", hint=hint, id="orderly.E001")
        return
    missing = [name for name in MEMBERS if not hasattr(gateway, name)]
    if missing:
        hint = "A gateway has everything that payments.gateway.Gateway has."
        yield Error(f"{path} of PAYMENT_GATEWAYS lacks {', '.join(missing)}.", hint=hint, id="orderly.E002")


def _check_ways_to_pay() -> Iterator[CheckMessage]:
    offered = map(get_gateway, settings.CHECKOUT_GATEWAYS)
    if not settings.SHOP_PAYMENT_METHODS and not any(
        gateway.payment_form() or gateway.time_to_pay for gateway in offered
    ):
        hint = "Set STRIPE_PUBLISHABLE_KEY for the card form, or SHOP_PAYMENT_METHODS. The API needs neither."
        yield Warning("The checkout offers no way to pay.", hint=hint, id="orderly.W005")


def _check_timeouts() -> Iterator[CheckMessage]:
    """Stripe's own is checked at start too: see config/settings.py."""
    for name, path in settings.PAYMENT_GATEWAYS.items():
        if get_gateway(name).timeout + 1 > settings.SWEEP_AFTER:
            hint = "Make SWEEP_AFTER longer than that by a second, or the sweep asks again while a charge is asked."
            message = f"SWEEP_AFTER is not longer than a charge at {path} may take."
            yield Error(message, hint=hint, id="orderly.E005")


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
