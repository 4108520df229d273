"""Answers with an order as it stands, its refunds, what its customer has to do, and how many more there may be."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.http import HttpResponse

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
from orders.limits import Room
from orders.models import Order
from payments.models import Payment
from payments.refund_models import Refund
from payments.services import list_instructions


def describe_order(order: Order, *, new: bool = False, instructs: bool = True) -> OrderAnswer:
    """The answer, in as many queries as its status needs.

    `instructs`: while the order waits for a customer who pays unasked, say how, and until when. `new`: it was placed
    just now, so its payment was never sent.
    """
    return OrderAnswer(
        code=order.code,
        status=order.status,
        reason=order.cancel_reason,
        currency=order.currency,
        total=order.total,
        refunded=order.refunded,
        refunds=list(_describe_refunds(order)),
        lines=[
            OrderLineAnswer(
                sku=line.sku,
                name=line.name,
                quantity=line.quantity,
                price=line.price,
                total=line.price * line.quantity,
            )
            for line in order.cached_lines
        ],
        metadata=order.metadata,
        created_at=order.created_at,
        finalized_at=order.finalized_at,
        **({} if new else _describe_action(order)),
        **(_describe_hold(order) if order.hold_on_decline else {}),
        **(_describe_instructions(order) if instructs else {}),
    )


def tell_room(response: HttpResponse, room: Sequence[Room]) -> None:
    """Say in the headers of draft-ietf-httpapi-ratelimit-headers how many orders the client may still place."""
    if room:
        policies = [f'"{limit.kind}";q={limit.most};w={settings.LIMIT_WINDOW}' for limit in room]
        response["RateLimit-Policy"] = ", ".join(policies)
        response["RateLimit"] = ", ".join(f'"{limit.kind}";r={limit.left};t={limit.seconds}' for limit in room)


def describe_listed(order: Order) -> ListedOrder:
    """What a list says of an order: no query."""
    return ListedOrder(
        code=order.code,
        status=order.status,
        reason=order.cancel_reason,
        email=order.email,
        currency=order.currency,
        total=order.total,
        refunded=order.refunded,
        metadata=order.metadata,
        created_at=order.created_at,
        finalized_at=order.finalized_at,
    )


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
    if not order.payment.waits_for_money:
        return {}
    lines = [Instruction(label=label, value=value) for label, value in list_instructions(order.payment)]
    return {"expires_at": order.expires_at, "instructions": lines}
