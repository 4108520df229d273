"""Answers with an order as it stands, its refunds, and what its customer has to do."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings

from api.schemas import (
    Instruction,
    ListedOrder,
    NextAction,
    OrderAnswer,
    OrderLineAnswer,
    PaymentAnswer,
    RefundAnswer,
    RefundLineAnswer,
)
from orders.descriptions import describe_line, describe_state
from orders.models import Order
from payments.models import Payment
from payments.refund_models import Refund
from payments.services import list_instructions


def describe_order(order: Order, *, unsent: bool = False) -> OrderAnswer:
    """The answer, in as many queries as its status needs.

    `unsent`: its payment is ours to send, and that was not done yet. So the customer has nothing to do.
    """
    return OrderAnswer(
        **describe_state(order),
        refunds=list(_describe_refunds(order)),
        lines=[OrderLineAnswer(**describe_line(line)) for line in order.cached_lines],
        **(_describe_hold(order) if order.hold_on_decline else {}),
        **({} if unsent else _describe_action(order) | _describe_instructions(order)),
    )


def describe_listed(order: Order) -> ListedOrder:
    """What a list says of an order: no query."""
    return ListedOrder(**describe_state(order), email=order.email)


def _describe_refunds(order: Order) -> Iterator[RefundAnswer]:
    if order.status == Order.Status.PENDING:  # it has none: one query less for an order that was placed just now
        return
    for refund in Refund.objects.of_reference(order.code).order_by("pk").prefetch_related("lines__line"):
        lines = [
            RefundLineAnswer(sku=line.line.sku, quantity=line.quantity, restock=line.restock)
            for line in refund.lines.all()
        ]
        yield RefundAnswer(number=refund.number, status=refund.status, amount=refund.amount, lines=lines)


def _describe_action(order: Order) -> dict[str, Any]:
    if order.status != Order.Status.PENDING or order.payment.status != Payment.Status.ACTION_REQUIRED:
        return {}
    # Our own address: the provider is asked when the customer opens it, and not for each answer.
    return {"next_action": NextAction(url=f"{settings.SHOP_URL}/orders/{order.code}/action/")}


def _describe_hold(order: Order) -> dict[str, Any]:
    """One that may be held after a decline is answered with its payment."""
    payment = order.payment
    state = PaymentAnswer(number=payment.number, status=payment.status, decline_code=payment.decline_code)
    return {"held_until": order.held_until, "payment": state}


def _describe_instructions(order: Order) -> dict[str, Any]:
    if order.status != Order.Status.PENDING or not order.payment.waits_for_money:
        return {}
    lines = [Instruction(label=label, value=value) for label, value in list_instructions(order.payment)]
    return {"expires_at": order.expires_at, "instructions": lines}
