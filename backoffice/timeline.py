"""An order's life as staff read it: everything that happened, in time order."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from audit.models import Difference
from catalog.models import StockMovement
from money import format_money
from orders.dispute_models import DisputeMail
from orders.models import Order, OrderEvent, OrderMail
from payments.dispute_models import Dispute
from payments.models import Payment
from payments.refund_models import Refund

MAX_PRODUCTS = 5  # that one entry names; the ledger has them all
NOTE = "note"  # the key of what an event's actor wrote

PAYMENT_STATES = {
    Payment.Status.PENDING: gettext_lazy("Never sent to the provider."),
    Payment.Status.SENT: gettext_lazy("Sent, and not known yet: the provider may have taken the money or not."),
    Payment.Status.ACTION_REQUIRED: gettext_lazy("The customer has to confirm it at the bank, and may have done so."),
    Payment.Status.SUCCEEDED: gettext_lazy("The money was taken."),
    Payment.Status.DECLINED: gettext_lazy("Declined: nothing was taken."),
    Payment.Status.CANCELLED: gettext_lazy("Cancelled: nothing was taken, and nothing can be."),
}
ANSWERS = {
    Payment.Status.SUCCEEDED: gettext_lazy("The money was taken: %(provider_id)s."),
    Payment.Status.DECLINED: gettext_lazy("The card was declined: %(decline_code)s."),
    Payment.Status.CANCELLED: gettext_lazy("Cancelled at the provider: nothing was taken, and nothing can be."),
}
CHOICES = (Order.CancelReason, Dispute.Status, Difference.Kind, Difference.Resolution)
REASONS: dict[object, object] = dict(choice for choices in CHOICES for choice in choices.choices)
DETAILS = {
    "total": gettext_lazy("total: %(value)s"),
    "reason": gettext_lazy("reason: %(value)s"),
    "sweep": gettext_lazy("sweep: %(value)s"),
    "number": gettext_lazy("number: %(value)s"),
    "until": gettext_lazy("until: %(value)s"),
    "amount": gettext_lazy("amount: %(value)s"),
    "transfer": gettext_lazy("the bank's reference: %(value)s"),
    "owed": gettext_lazy("to be sent back: %(value)s"),
    "dispute": gettext_lazy("dispute: %(value)s"),
    "outcome": gettext_lazy("outcome: %(value)s"),
    "remedy": gettext_lazy("remedy: %(value)s"),
    "difference": gettext_lazy("difference: %(value)s"),
    "at_provider": gettext_lazy("at the provider: %(value)s"),
}
DISPUTE_MAILS = {
    DisputeMail.Kind.OPENED: gettext_lazy("Staff were told that dispute %(dispute)s is open."),
    DisputeMail.Kind.WON: gettext_lazy("Staff were told that dispute %(dispute)s is won."),
    DisputeMail.Kind.LOST: gettext_lazy("Staff were told that dispute %(dispute)s is lost."),
}
REFUNDS = {
    OrderEvent.Kind.REFUND_REQUESTED: gettext_lazy("Refund %(number)s: %(amount)s is to go back."),
    OrderEvent.Kind.REFUNDED: gettext_lazy("Refund %(number)s: %(amount)s went back."),
    OrderEvent.Kind.REFUND_FAILED: gettext_lazy("Refund %(number)s: %(amount)s did not go back: %(reason)s."),
}
ADOPTED = gettext_lazy("Refund %(number)s: %(amount)s went back. It began at the provider.")
MAILS = {
    OrderMail.Kind.INSTRUCTIONS: gettext_lazy("%(email)s was told how to pay."),
    OrderMail.Kind.CONFIRMED: gettext_lazy("%(email)s was told that the order is confirmed."),
    OrderMail.Kind.CANCELLED: gettext_lazy("%(email)s was told that the order is cancelled."),
    OrderMail.Kind.REFUNDED: gettext_lazy("%(email)s was told of a refund."),
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that happened. `note` says why, in the actor's own words."""

    when: datetime
    source: str
    what: str
    actor: str = ""
    note: str = ""


def read_timeline(
    order: Order, events: Iterable[OrderEvent], payments: Iterable[Payment], refunds: Iterable[Refund]
) -> list[Entry]:
    """The order's events, its payments, stock movements and mails, oldest first."""
    paid = [entry for payment in payments for entry in _read_payment(payment)]
    references = [order.code, *(refund.key for refund in refunds)]
    moved, mailed = _read_movements(references), [*_read_mails(order), *_read_dispute_mails(order)]
    entries = [*_read_events(events), *paid, *moved, *mailed]
    return sorted(entries, key=lambda entry: entry.when)  # entries of the same time stay in the order above


def describe_payment(payment: Payment) -> str:
    """What is known of the payment. If it is not known yet: how often the provider was asked, and the last error."""
    if payment.waits_for_money:
        return _("Waits for the customer's transfer: nobody is asked.")
    sentences = [str(PAYMENT_STATES[Payment.Status(payment.status)])]
    if payment.status in Payment.ASKED:
        sentences += [*count_requests(payment), *describe_error(payment)]
    return " ".join(sentences)


def describe_event(event: OrderEvent) -> str:
    """The event in words, such as: Cancelled (reason: Card declined)."""
    if event.kind in REFUNDS:
        return _describe_refund(event)
    details = []
    for name, value in event.data.items():
        if value and name != NOTE:
            detail = DETAILS.get(name) or f"{name}: %(value)s"
            details.append(detail % {"value": _describe_value(event, name, value)})
    return f"{event.get_kind_display()} ({', '.join(details)})" if details else event.get_kind_display()


def _describe_refund(event: OrderEvent) -> str:
    amount = format_money(event.data["amount"], event.order.currency)
    text = ADOPTED if event.data.get("adopted") else REFUNDS[OrderEvent.Kind(event.kind)]
    return str(text) % {"reason": "", **event.data, "amount": amount}


def _describe_value(event: OrderEvent, name: str, value: object) -> str:
    if name in ("total", "amount", "owed"):
        return format_money(int(str(value)), event.order.currency)
    if name == "until":
        return date_format(localtime(datetime.fromisoformat(str(value))), "Y-m-d H:i:s")
    return str(REASONS.get(value, value))


def _read_events(events: Iterable[OrderEvent]) -> Iterator[Entry]:
    for event in events:
        actor, note = str(event.actor or ""), event.data.get(NOTE, "")
        yield Entry(when=event.created_at, source=_("Order"), what=describe_event(event), actor=actor, note=note)


def _read_payment(payment: Payment) -> Iterator[Entry]:
    if payment.sent_at:
        what = _("First sent to the provider (%(key)s).") % {"key": payment.key}
        yield Entry(when=payment.sent_at, source=_("Payment"), what=what)
    if payment.action_required_at:
        what = _("The bank asks the customer to confirm it (%(key)s).") % {"key": payment.key}
        yield Entry(when=payment.action_required_at, source=_("Payment"), what=what)
    if payment.answered_at:
        yield Entry(when=payment.answered_at, source=_("Payment"), what=_describe_answer(payment))
    if payment.closed_at:
        what = _("The declined payment was cancelled at the provider (%(key)s).") % {"key": payment.key}
        yield Entry(when=payment.closed_at, source=_("Payment"), what=what)


def _describe_answer(payment: Payment) -> str:
    if payment.sent_at is None:
        return _("Cancelled before it was sent to the provider.")
    answer = ANSWERS[Payment.Status(payment.status)]
    names = {"provider_id": payment.provider_id, "decline_code": payment.decline_code}
    return " ".join([answer % names, *count_requests(payment), *describe_error(payment)])


def count_requests(asked: Payment | Refund) -> list[str]:
    """How often the provider was asked, as a sentence. Empty: never, or it is not counted."""
    if not asked.requests:  # staff have let the order go on, which counts them from zero
        return []
    text = ngettext("The provider was asked %(count)s time.", "The provider was asked %(count)s times.", asked.requests)
    return [text % {"count": asked.requests}]


def describe_error(asked: Payment | Refund) -> list[str]:
    """What went wrong when the provider was last asked, as a sentence. Empty: nothing did."""
    return [_("Last error: %(error)s") % {"error": asked.last_error}] if asked.last_error else []


def _read_movements(references: Collection[str]) -> Iterator[Entry]:
    """Those of the order, and of each of its refunds."""
    movements = StockMovement.objects.filter(reference__in=references).select_related("stock__product", "actor")
    together = groupby(movements.order_by("pk"), lambda moved: (moved.reference, moved.kind, moved.actor))
    for (_reference, _kind, actor), group in together:
        moved = list(group)
        what = _describe_movements(moved)
        yield Entry(when=moved[0].created_at, source=_("Stock"), what=what, actor=str(actor or ""))


def _describe_movements(moved: list[StockMovement]) -> str:
    more = len(moved) - MAX_PRODUCTS
    text = _("%(kind)s: %(products)s")
    if more > 0:
        text = ngettext(
            "%(kind)s: %(products)s and %(more)s more product",
            "%(kind)s: %(products)s and %(more)s more products",
            more,
        )
    products = ", ".join(f"{movement.quantity} x {movement.stock.product.sku}" for movement in moved[:MAX_PRODUCTS])
    return text % {"kind": moved[0].get_kind_display(), "products": products, "more": more}


def _read_mails(order: Order) -> Iterator[Entry]:
    for mail in order.mails.exclude(sent_at=None):
        text = MAILS[OrderMail.Kind(mail.kind)] % {"email": order.email}
        tries = ngettext("It took %(count)s try.", "It took %(count)s tries.", mail.tries) % {"count": mail.tries}
        what = f"{text} {tries}" if mail.tries > 1 else text
        yield Entry(when=mail.sent_at or mail.created_at, source=_("Mail"), what=what)


def _read_dispute_mails(order: Order) -> Iterator[Entry]:
    mails = DisputeMail.objects.filter(dispute__payment__reference=order.code).exclude(sent_at=None)
    for mail in mails.select_related("dispute"):
        what = DISPUTE_MAILS[DisputeMail.Kind(mail.kind)] % {"dispute": mail.dispute.provider_id}
        yield Entry(when=mail.sent_at or mail.created_at, source=_("Mail"), what=what)
