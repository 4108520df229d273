"""`manage.py check`: whether each gateway that is named can be what it is named for."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
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
