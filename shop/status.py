"""What a customer is told about an order. It says nothing that the order's and the payment's rows don't say."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from money import format_money
from orders.models import Order
from orders.refunds import is_refundable_by_customer
from payments.gateway import read_timeout
from payments.models import Payment
from payments.services import list_instructions
from shop.declines import explain_decline
from shop.times import show_time

Reason = Order.CancelReason


@dataclass(frozen=True, kw_only=True)
class OrderStatus:
    """How an order stands.

    `tone` is wait, good, bad or care. `step` is 1 (reserved), 2 (paying) or 3 (at the end). `poll` is in seconds.
    """

    title: str
    text: str
    tone: str
    step: int
    poll: int = 0  # 0: it will not change
    may_act: bool = False  # at the bank, which asks for it
    may_cancel: bool = False
    may_retry: bool = False
    instructions: Sequence[tuple[str, str]] = ()  # for a customer who pays unasked: labels and values
    may_refund: bool = False  # the customer may have the rest of the money back
    next_payment: int = 0  # the number of the payment that another card may be tried with; 0: none may

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The steps of the order's way, each with its state: done, now, failed, or empty if it is still to come."""
        if self.step < 3:
            states = ["now", "", ""] if self.step == 1 else ["done", "now", ""]
            return list(zip([_("Reserved"), _("Payment"), _("Confirmed")], states, strict=True))
        if self.tone == "good":
            return [(_("Reserved"), "done"), (_("Payment"), "done"), (_("Confirmed"), "done")]
        return [(_("Reserved"), "done"), (_("Payment"), "failed"), (_("Cancelled"), "failed")]

    @property
    def etag(self) -> str:
        may = (self.may_act, self.may_cancel, self.may_refund, self.next_payment)
        shown = (self.title, self.text, self.poll, *may, get_language())
        return f'"{hashlib.sha256(repr(shown).encode()).hexdigest()[:20]}"'

    @property
    def etag_header(self) -> str:
        """For hx-headers: an unchanged status is answered with 304, so that no screen reader reads it out again."""
        return json.dumps({"If-None-Match": self.etag})


def describe_order(order: Order) -> OrderStatus:
    """Describe the order by its row, its payment's and what has gone back, all read in one query: of one moment.

    A status that is not described here is an error, and no tale that the order is on its way.
    """
    match Order.Status(order.status):
        case Order.Status.CONFIRMED:
            return _describe_confirmed(order)
        case Order.Status.CANCELLED:
            return _describe_cancelled(order)
        case Order.Status.PENDING if order.needs_review:
            return OrderStatus(
                title=_("Our staff are checking this order"),
                text=_("It is taking longer than it should. Do not pay again: we will tell you how it ends."),
                tone="care",
                step=2,
                poll=30,
            )
        case Order.Status.PENDING if order.payment.waits_for_money:
            return _describe_waiting(order)
        case Order.Status.PENDING:
            return _describe_pending(order)


def count_rest(order: Order) -> int:
    """The minor units that the customer may have back: neither refunded nor taken back by a bank. Below 0: none."""
    return order.total - order.refunded - order.refunding - order.taken_back


def _describe_confirmed(order: Order) -> OrderStatus:
    title, sentences = _("Confirmed"), [_("Thank you. Your payment went through and your order is confirmed.")]
    if order.refunded:
        title = _("Refunded") if order.refunded == order.total else _("Refunded in part")
        text = _("We have sent %(amount)s of %(total)s back to you. Your bank may take some days to show it.")
        amounts = {"amount": order.refunded, "total": order.total}
        sentences = [text % {name: format_money(amount, order.currency) for name, amount in amounts.items()}]
    if order.refunding:
        sentences.append(_("%(amount)s is being refunded.") % {"amount": format_money(order.refunding, order.currency)})
    return OrderStatus(
        title=title,
        text=" ".join(sentences),
        tone="good",
        step=3,
        poll=30 if order.refunding else 0,
        may_refund=count_rest(order) > 0 and is_refundable_by_customer(order),
    )


def _describe_cancelled(order: Order) -> OrderStatus:
    declined = order.cancel_reason == Reason.CARD_DECLINED
    texts = {
        Reason.CARD_DECLINED: explain_decline(order.payment.decline_code),
        Reason.EXPIRED: _("The payment did not go through in time."),
        Reason.CUSTOMER: _("You cancelled this order."),
        Reason.STAFF: _("We cancelled this order."),
    }
    untaken = order.payment.status in (Payment.Status.DECLINED, Payment.Status.CANCELLED)
    if untaken:
        money = _("No money was taken.")
    else:
        money = _("Your money is to be returned. Do not pay again; write to us if it does not arrive.")
    return OrderStatus(
        title=_("Card declined") if declined else _("Cancelled"),
        text=f"{texts[Reason(order.cancel_reason)]} {money}",
        tone="bad",
        step=3,
        may_retry=untaken,
    )


def _describe_pending(order: Order) -> OrderStatus:
    payment, poll = order.payment, _poll_after(order)
    match Payment.Status(payment.status):
        case Payment.Status.SUCCEEDED:
            title, text = _("Paid"), _("Your payment went through. We are confirming the order.")
        case Payment.Status.DECLINED:
            return _describe_declined(order, poll)
        case Payment.Status.CANCELLED:
            title, text = _("Cancelling"), _("No money was taken. Your items are going back to the shelf.")
        case Payment.Status.SENT | Payment.Status.ACTION_REQUIRED:
            return _describe_asked(order, poll)
        case Payment.Status.PENDING:
            title, text = _("Reserved"), _("Your items are put aside for you. The payment has not begun yet.")
            return OrderStatus(title=title, text=text, tone="wait", step=1, poll=poll, may_cancel=True)
    return OrderStatus(title=title, text=text, tone="wait", step=2, poll=poll)


def _describe_waiting(order: Order) -> OrderStatus:
    title = _("Waiting for your money")
    if order.expires_at <= timezone.now():
        text = _("It has not come in time. We are cancelling the order: do not send any money now.")
        return OrderStatus(title=title, text=text, tone="care", step=2, poll=5)
    text = _(
        "Your items are put aside until {until}. Send the whole amount at once, with the reference. When it has "
        "arrived we confirm the order, and tell you by mail."
    )
    return OrderStatus(
        title=title,
        text=format_html(text, until=show_time(order.expires_at)),
        tone="wait",
        step=2,
        poll=30,
        may_cancel=True,
        instructions=list_instructions(order.payment),
    )


def _describe_asked(order: Order, poll: int) -> OrderStatus:
    """The provider was asked, and the money may have been taken."""
    if order.cancel_reason or order.expires_at <= timezone.now():
        title = _("Stopping the payment")
        text = _("If the payment has gone through already, the order is confirmed instead. Do not pay again.")
        return OrderStatus(title=title, text=text, tone="care", step=2, poll=poll)
    if order.payment.status == Payment.Status.ACTION_REQUIRED:
        title = _("Your bank asks you to confirm")
        # Whether the customer has done so is not known here.
        text = _(
            "Confirm the payment on your bank's page until {time}. If you have done so, wait a moment: this page shows"
            " what your bank says."
        )
        text = format_html(text, time=show_time(order.expires_at, "time"))
        return OrderStatus(title=title, text=text, tone="care", step=2, poll=poll, may_act=True, may_cancel=True)
    if _is_overdue(order.payment):
        title = _("We are checking with your bank")
        text = format_html(
            _(
                "Its answer has not come yet. Do not pay again: you can't be charged twice for this order. We go on"
                " asking until {time}. You may close this page: a mail tells you how it ends."
            ),
            time=show_time(order.expires_at, "time"),
        )
        return OrderStatus(title=title, text=text, tone="care", step=2, poll=poll, may_cancel=True)
    title, text = _("Paying"), _("We are asking your bank.")
    return OrderStatus(title=title, text=text, tone="wait", step=2, poll=poll, may_cancel=True)


def _describe_declined(order: Order, poll: int) -> OrderStatus:
    title, why = _("Card declined"), explain_decline(order.payment.decline_code)
    if order.hold_on_decline and not order.held_until and order.expires_at > timezone.now():  # its hold is to begin
        text = f"{why} " + _("No money was taken.")
        return OrderStatus(title=title, text=text, tone="care", step=2, poll=poll)
    held_until = _find_hold_end(order)
    if held_until is None:
        text = f"{why} " + _("No money was taken. We are cancelling the order.")
        return OrderStatus(title=title, text=text, tone="bad", step=2, poll=poll)
    until = _("Your items are put aside until {time}: try another card.")
    text = format_html("{} {}", why, format_html(until, time=show_time(held_until, "time")))
    number = order.payment.number + 1
    return OrderStatus(title=title, text=text, tone="care", step=2, poll=5, may_cancel=True, next_payment=number)


def _find_hold_end(order: Order) -> datetime | None:
    """Until when another card may be tried; None: none may."""
    end = order.held_until and min(order.held_until, order.expires_at)
    return end if end and end > timezone.now() else None


def _is_overdue(payment: Payment) -> bool:
    allowed = timedelta(seconds=read_timeout(payment.gateway))
    asked_again = bool(payment.last_error) or payment.requests > 1
    return asked_again or (payment.sent_at is not None and payment.sent_at + allowed < timezone.now())


def _poll_after(order: Order) -> int:
    age = timezone.now() - order.created_at
    if age < timedelta(seconds=30):
        return 1
    return 3 if age < timedelta(minutes=5) else 10
