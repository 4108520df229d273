"""What others are told of an order, in the API's answers and in events alike."""

from typing import Any

from orders.models import Order, OrderLine


def describe_state(order: Order) -> dict[str, Any]:
    """How it stands, without its lines: no query. Amounts are in minor units."""
    return {
        "code": order.code,
        "status": order.status,
        "reason": order.cancel_reason,
        "currency": order.currency,
        "total": order.total,
        "refunded": order.refunded,
        "metadata": order.metadata,
        "created_at": order.created_at,
        "finalized_at": order.finalized_at,
    }


def describe_line(line: OrderLine) -> dict[str, Any]:
    return {
        "sku": line.sku,
        "name": line.name,
        "quantity": line.quantity,
        "price": line.price,
        "total": line.price * line.quantity,  # a line that was written just now has no total: PostgreSQL makes it
    }
