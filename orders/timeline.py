"""An order's life as staff read it: everything that happened, in time order, and what happens next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.utils import timezone
from django.utils.formats import date_format

from catalog.models import StockMovement
from money import format_money
from orders.models import Order, OrderEvent
from payments.models import Payment

MOST_PRODUCTS = 5  # named in one entry; the ledger has them all

PAYMENT_STANDS = {
    Payment.Status.PENDING: "Never sent to the provider.",
    Payment.Status.SENT: "Sent, and not known yet: the provider may have taken the money or not.",
    Payment.Status.SUCCEEDED: "The money was taken.",
    Payment.Status.DECLINED: "Declined: nothing was taken.",
    Payment.Status.CANCELLED: "Cancelled: nothing was taken, and nothing can be.",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    when: datetime
    source: str
    what: str
    actor: str = ""


def read_timeline(order: Order) -> list[Entry]:
    """The order's events, its payment, stock movements and mails, oldest first."""
    entries = [*_read_events(order), *_read_payment(order.payment), *_read_movements(order), *_read_mails(order)]
    return sorted(entries, key=lambda entry: entry.when)  # stable: what has one time stays in the order above


def describe_plans(order: Order) -> list[str]:
    """What will be done next, by whom or when; nothing for an order that is final and told of."""
    plans = [_describe_next_sweep(order)] if order.status == Order.Status.PENDING else []
    for mail in order.mails.filter(sent_at=None):
        tried = f", tried {mail.attempts} times before" if mail.attempts else ""
        plans.append(f"The mail that it is {mail.kind} goes out at {format_time(mail.send_after)}{tried}.")
    return plans


def describe_payment(payment: Payment) -> str:
    return PAYMENT_STANDS[Payment.Status(payment.status)]


def describe_event(event: OrderEvent) -> str:
    """The event in words, such as: Cancelled (reason: card declined)."""
    details = []
    for name, value in event.data.items():
        words = format_money(value, event.order.currency) if name == "total" else str(value).replace("_", " ")
        if words:
            details.append(f"{name.replace('_', ' ')}: {words}")
    return event.get_kind_display().capitalize() + (f" ({', '.join(details)})" if details else "")


def format_time(when: datetime) -> str:
    """The time of today, or the day and the time."""
    local = timezone.localtime(when)
    return date_format(local, "H:i:s" if local.date() == timezone.localdate() else "Y-m-d H:i:s")


def _describe_next_sweep(order: Order) -> str:
    if order.sweep_after is None:
        return "Left to a person: the sweep gave up. Process it now, or cancel it."
    now = timezone.now()
    expired = order.expires_at <= max(order.sweep_after, now)
    does = "asks the provider to cancel its payment" if expired else "asks for its payment"
    if order.payment.status == Payment.Status.PENDING and expired:
        does = "cancels it, unpaid"
    if order.payment.is_answered:
        does = "finalizes it"
    when = f"takes it up at {format_time(order.sweep_after)}" if order.sweep_after > now else "takes it up now"
    return f"The sweep {when} and {does}."


def _read_events(order: Order) -> Iterator[Entry]:
    for event in order.events.select_related("actor", "order"):
        actor = str(event.actor) if event.actor else ""
        yield Entry(when=event.created_at, source="Order", what=describe_event(event), actor=actor)


def _read_payment(payment: Payment) -> Iterator[Entry]:
    if payment.sent_at:
        yield Entry(when=payment.sent_at, source="Payment", what=f"First sent to the provider ({payment.key})")


def _read_movements(order: Order) -> Iterator[Entry]:
    movements = StockMovement.objects.filter(reference=order.code).select_related("stock__product", "actor")
    for (kind, actor), group in groupby(movements.order_by("pk"), lambda movement: (movement.kind, movement.actor)):
        moved = list(group)
        named = ", ".join(f"{movement.quantity} x {movement.stock.product.sku}" for movement in moved[:MOST_PRODUCTS])
        more = f" and {len(moved) - MOST_PRODUCTS} products more" if len(moved) > MOST_PRODUCTS else ""
        what = f"{StockMovement.Kind(kind).label.capitalize()} {named}{more}"
        yield Entry(when=moved[0].created_at, source="Stock", what=what, actor=str(actor) if actor else "")


def _read_mails(order: Order) -> Iterator[Entry]:
    for mail in order.mails.all():
        tries = f", after {mail.attempts} tries" if mail.attempts > 1 else ""
        if mail.sent_at:
            yield Entry(when=mail.sent_at, source="Mail", what=f"Told {order.email} that it is {mail.kind}{tries}")
