"""What happens next to an order, in words for staff."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from orders.models import Order, OrderMail
from payments.dispute_models import Dispute
from payments.models import Payment
from payments.refund_models import Refund


class Sweep(NamedTuple):
    """What the sweep does with an order or a refund when it takes it up: now, or at a %(time)s."""

    now: Promise
    later: Promise


FINALIZE = Sweep(
    gettext_lazy("The sweep takes it up now and finalizes it."),
    gettext_lazy("The sweep takes it up at %(time)s and finalizes it."),
)
CHARGE = Sweep(
    gettext_lazy("The sweep takes it up now and asks for its payment."),
    gettext_lazy("The sweep takes it up at %(time)s and asks for its payment."),
)
CANCEL_AT_PROVIDER = Sweep(
    gettext_lazy("The sweep takes it up now and asks the provider to cancel its payment."),
    gettext_lazy("The sweep takes it up at %(time)s and asks the provider to cancel its payment."),
)
CANCEL_UNSENT = Sweep(
    gettext_lazy("The sweep takes it up now and cancels it, unpaid."),
    gettext_lazy("The sweep takes it up at %(time)s and cancels it, unpaid."),
)
RECORD_REFUND = Sweep(
    gettext_lazy("The sweep takes refund %(number)s up now and records its outcome."),
    gettext_lazy("The sweep takes refund %(number)s up at %(time)s and records its outcome."),
)
ASK_FOR_REFUND = Sweep(
    gettext_lazy("The sweep takes refund %(number)s up now and asks the provider for it."),
    gettext_lazy("The sweep takes refund %(number)s up at %(time)s and asks the provider for it."),
)
MAILS = {
    OrderMail.Kind.INSTRUCTIONS: gettext_lazy("The mail that says how to pay goes out at %(time)s."),
    OrderMail.Kind.CONFIRMED: gettext_lazy("The mail that it is confirmed goes out at %(time)s."),
    OrderMail.Kind.CANCELLED: gettext_lazy("The mail that it is cancelled goes out at %(time)s."),
    OrderMail.Kind.REFUNDED: gettext_lazy("The mail about a refund goes out at %(time)s."),
}


def describe_plans(order: Order, refunds: Iterable[Refund] = ()) -> list[str]:
    """What will be done next, by whom or when. The list is empty once the order is final and its customer was told."""
    plans = [_describe_next_sweep(order)] if order.status == Order.Status.PENDING else []
    for dispute in Dispute.objects.of_reference(order.code).open():
        until = format_time(dispute.respond_by) if dispute.respond_by else "-"
        plans.append(
            _("Answer dispute %(dispute)s at the provider until %(time)s.")
            % {"dispute": dispute.provider_id, "time": until}
        )
    plans += [_describe_refund(refund) for refund in refunds if refund.recorded_at is None]
    if order.needs_review and order.status != Order.Status.PENDING:
        plans.append(_("Waits for a person: %(reason)s. Mark it reviewed.") % {"reason": order.review_reason})
    for mail in order.mails.filter(sent_at=None):
        plan = MAILS[OrderMail.Kind(mail.kind)] % {"time": format_time(mail.send_after)}
        tries = ngettext("Tried %(count)s time before.", "Tried %(count)s times before.", mail.tries)
        plans.append(f"{plan} {tries % {'count': mail.tries}}" if mail.tries else plan)
    return plans


def format_time(when: datetime) -> str:
    """The time alone if it is today, else the day and the time."""
    local = timezone.localtime(when)
    return date_format(local, "H:i:s" if local.date() == timezone.localdate() else "Y-m-d H:i:s")


def _describe_next_sweep(order: Order) -> str:
    if order.sweep_after is None:
        return _("Waits for a person: the sweep has given up. Process it now, mark it reviewed, or cancel it.")
    now = timezone.now()
    sweep = _foresee_sweep(order, max(order.sweep_after, now))
    return str(sweep.now) if order.sweep_after <= now else str(sweep.later) % {"time": format_time(order.sweep_after)}


def _describe_refund(refund: Refund) -> str:
    sweep = ASK_FOR_REFUND if refund.status == Refund.Status.REQUESTED else RECORD_REFUND
    due = refund.sweep_after
    if due is None or due <= timezone.now():
        return str(sweep.now) % {"number": refund.number}
    return str(sweep.later) % {"number": refund.number, "time": format_time(due)}


def _foresee_sweep(order: Order, when: datetime) -> Sweep:
    if order.payment.is_answered:
        return FINALIZE
    if order.expires_at > when:
        return CHARGE
    return CANCEL_UNSENT if order.payment.status == Payment.Status.PENDING else CANCEL_AT_PROVIDER
