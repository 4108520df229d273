"""What others are told of an event: JSON of codes and amounts. docs/events.md describes it."""

import json
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from events_out.event_types import TEST, find_type
from orders.descriptions import describe_line, describe_state
from orders.models import Order, OrderEvent

Kind = OrderEvent.Kind

VERSION = 1  # fields may be added to it; whatever else changes is a new one


def describe_event(event: OrderEvent) -> dict[str, Any]:
    """What happened, which never changes, and the order as it is now. Amounts are in minor units."""
    return {
        "id": name_event(event),
        "type": find_type(event.kind),
        "timestamp": event.created_at,
        "version": VERSION,
        "data": {**_describe_facts(event), "order": describe_order(event.order)},
    }


def describe_test(name: str, at: datetime) -> dict[str, Any]:
    return {"id": name, "type": TEST, "timestamp": at, "version": VERSION, "data": {}}


def name_event(event: OrderEvent) -> str:
    """The same in every delivery of the event: whoever has seen it has seen the event."""
    return f"evt_{event.pk}"


def describe_order(order: Order) -> dict[str, Any]:
    lines = [describe_line(line) for line in order.cached_lines]
    return {**describe_state(order), "needs_review": order.needs_review, "lines": lines}


def encode(payload: dict[str, Any]) -> str:
    return json.dumps(payload, cls=DjangoJSONEncoder, ensure_ascii=False, separators=(",", ":"))


def _describe_facts(event: OrderEvent) -> dict[str, Any]:
    data = event.data
    match event.kind:
        case Kind.REFUNDED | Kind.REFUND_FAILED:
            status = "SUCCEEDED" if event.kind == Kind.REFUNDED else "FAILED"
            return {"refund": {"number": data["number"], "amount": data["amount"], "status": status}}
        case Kind.DISPUTE_OPENED | Kind.DISPUTE_CLOSED:
            status = data.get("outcome", "OPEN")
            facts = {"id": data["dispute"], "amount": data["amount"], "reason": data["reason"], "status": status}
            return {"dispute": facts}
        case _:
            return {}
