"""What beat and the workers do for endpoints, and what was heard."""

import json

from django.db.models.functions import Now

from events_out.deliveries import deliver_to_endpoint
from events_out.feed import move_horizon
from events_out.models import Delivery, Endpoint
from events_out.planning import plan_deliveries
from orders.models import Order
from orders.services import cancel_order
from tests.receiver import Receiver


def plan() -> None:
    move_horizon()
    plan_deliveries()


def deliver(*endpoints: Endpoint) -> None:
    """What beat and the workers do, once, for these endpoints."""
    plan()
    for endpoint in endpoints:
        deliver_to_endpoint(pk=endpoint.pk)


def let_time_pass() -> None:
    """Every pause is over."""
    Delivery.objects.waiting().update(deliver_after=Now())
    Endpoint.objects.update(resting_until=None)


def cancel(order: Order) -> None:
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)


def kinds(receiver: Receiver) -> list[tuple[str, str]]:
    """The order and the type of each event that was received."""
    told = [json.loads(request.body) for request in receiver.requests]
    return [(event["data"]["order"]["code"], event["type"]) for event in told]
