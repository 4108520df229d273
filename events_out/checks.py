"""`manage.py check`: whether strangers' addresses could lead to this machine."""

from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

# Where this machine answers itself, and the metadata of clouds, with the keys of the machine.
NEVER = [ip_network(network) for network in ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10", "0.0.0.0/32")]


def check_webhook_networks(**_: Any) -> list[CheckMessage]:
    """What only a shop on this machine may do."""
    if settings.LOCAL:
        return []
    wide = [str(network) for network in settings.WEBHOOK_NETWORKS if any(_overlap(network, never) for never in NEVER)]
    if not wide:
        return []
    hint = "Name the networks of those who are told of events, such as 10.1.2.0/24."
    message = f"WEBHOOK_NETWORKS lets webhooks reach this machine, or its metadata: {', '.join(wide)}."
    return [Error(message, hint=hint, id="orderly.E032")]


def _overlap(network: Any, other: Any) -> bool:
    return network.version == other.version and bool(network.overlaps(other))
