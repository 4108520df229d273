"""What staff read of an order's refunds: each one, what is known of it, and what is left of the money."""

from collections.abc import Iterable
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backoffice.timeline import count_requests, describe_error
from money import format_money
from orders.models import Order, OrderEvent
from payments.models import Payment
from payments.refund_models import Refund
from payments.refunds import count_left

STATES = {
    Refund.Status.REQUESTED: gettext_lazy("Refund %(number)s of %(amount)s: the provider has not said yet."),
    Refund.Status.SUCCEEDED: gettext_lazy("Refund %(number)s of %(amount)s: given back, and to be recorded."),
    Refund.Status.FAILED: gettext_lazy("Refund %(number)s of %(amount)s: failed, and to be recorded."),
}


class Row(NamedTuple):
    """A refund as the order's page shows it."""

    refund: Refund
    amount: str
    units: str
    actor: str
    note: str


def describe_refunds(order: Order, refunds: Iterable[Refund], events: Iterable[OrderEvent]) -> list[Row]:
    """The order's refunds, each with whoever asked for it and why."""
    asked = {event.data["number"]: event for event in events if event.kind == OrderEvent.Kind.REFUND_REQUESTED}
    return [_describe_refund(order, refund, asked.get(refund.number)) for refund in refunds]


def describe_open_refunds(order: Order, refunds: Iterable[Refund]) -> list[str]:
    """What is known of those that are not over."""
    return [_describe_state(order, refund) for refund in refunds if refund.recorded_at is None]


def describe_money(payment: Payment) -> list[tuple[str, str]]:
    """What was charged, what of it went back, is going back or is disputed, and what is left."""
    charged = payment.amount if payment.status == Payment.Status.SUCCEEDED else 0
    amounts = [
        (_("Charged"), charged),
        (_("Given back"), payment.refunds.succeeded().sum_amount()),
        (_("Being given back"), payment.refunds.open().sum_amount()),
        (_("Taken back by the customer's bank"), payment.disputes.not_won().sum_amount()),
        (_("Left"), count_left(payment)),
    ]
    return [(title, format_money(amount, payment.currency)) for title, amount in amounts]


def _describe_refund(order: Order, refund: Refund, asked: OrderEvent | None) -> Row:
    actor, note = (str(asked.actor or ""), asked.data.get("note", "")) if asked else (_("at the provider"), "")
    return Row(refund, format_money(refund.amount, order.currency), _describe_units(refund), actor, note)


def _describe_units(refund: Refund) -> str:
    texts = {True: _("%(quantity)s x %(sku)s, back to stock"), False: _("%(quantity)s x %(sku)s, not to stock")}
    lines = refund.lines.all()
    return "; ".join(texts[line.restock] % {"quantity": line.quantity, "sku": line.line.sku} for line in lines)


def _describe_state(order: Order, refund: Refund) -> str:
    words = {"number": refund.number, "amount": format_money(refund.amount, order.currency)}
    state = str(STATES[Refund.Status(refund.status)]) % words
    return " ".join([state, *count_requests(refund), *describe_error(refund)])
