"""The events that others hear of: the names of their types, and the events of an order that they are."""

from collections.abc import Collection

from django.utils.translation import gettext_lazy as _

from orders.event_models import OrderEvent

Kind = OrderEvent.Kind

TYPES = {
    "order.placed": [Kind.PLACED],
    "order.confirmed": [Kind.CONFIRMED],
    "order.cancelled": [Kind.CANCELLED],
    "order.refunded": [Kind.REFUNDED],
    "order.disputed": [Kind.DISPUTE_OPENED, Kind.DISPUTE_CLOSED],
    "order.needs_review": [Kind.REVIEW_NEEDED, Kind.REFUND_FAILED],
}
CHOICES = [
    ("order.placed", _("An order was placed")),
    ("order.confirmed", _("It is paid and confirmed")),
    ("order.cancelled", _("It was cancelled")),
    ("order.refunded", _("Money of it went back")),
    ("order.disputed", _("A dispute about it was opened or closed")),
    ("order.needs_review", _("It waits for a person")),
]
TEST = "endpoint.test"


def find_type(kind: str) -> str:
    """The type of a kind of order event that others hear of."""
    return next(name for name, kinds in TYPES.items() if kind in kinds)


def list_kinds(types: Collection[str]) -> list[str]:
    """The kinds of order events of these types; of all types, where none are named."""
    return [kind.value for name in types or TYPES for kind in TYPES[name]]
