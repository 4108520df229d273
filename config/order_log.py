"""One line of the log for each step of an order, once it is committed."""

from typing import Any

import structlog
from django.dispatch import receiver
from structlog.contextvars import bind_contextvars

from orders.models import OrderEvent
from orders.signals import order_event

logger = structlog.stdlib.get_logger(__name__)


@receiver(order_event)
def log_order_event(*, code: str, kind: str, **_: Any) -> None:
    if kind == OrderEvent.Kind.PLACED:
        bind_contextvars(order=code)  # what the request writes from here on is about this order
    logger.info(f"order {kind.replace('_', ' ')}", order=code)
