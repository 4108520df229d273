"""Tells code in the same process what happened to an order, once it is committed."""

from django.db import transaction
from django.dispatch import Signal

from orders.event_models import OrderEvent

# Sent after the commit, by OrderEvent, with `code`, the order's, and `kind`, one of OrderEvent.Kind. A receiver that
# raises is logged and harms nobody. If the process dies at that moment nobody is told: docs/events.md.
order_event = Signal(use_caching=True)


def announce_event(*, code: str, kind: str) -> None:
    """Have the receivers told after the commit. Costs nothing where there are none."""
    if not order_event.has_listeners(OrderEvent):
        return

    def send() -> None:
        order_event.send_robust(sender=OrderEvent, code=code, kind=str(kind))

    transaction.on_commit(send, robust=True)
