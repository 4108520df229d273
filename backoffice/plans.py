"""What happens next to an order, as staff read it."""

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from orders.models import Order, OrderMail
from payments.models import Payment

# What the sweep does with the order when it takes it up: now, or later.
SWEEPS = {
    "finalize": (
        gettext_lazy("The sweep takes it up now and finalizes it."),
        gettext_lazy("The sweep takes it up at %(time)s and finalizes it."),
    ),
    "charge": (
        gettext_lazy("The sweep takes it up now and asks for its payment."),
        gettext_lazy("The sweep takes it up at %(time)s and asks for its payment."),
    ),
    "cancel": (
        gettext_lazy("The sweep takes it up now and asks the provider to cancel its payment."),
        gettext_lazy("The sweep takes it up at %(time)s and asks the provider to cancel its payment."),
    ),
    "cancel unsent": (
        gettext_lazy("The sweep takes it up now and cancels it, unpaid."),
        gettext_lazy("The sweep takes it up at %(time)s and cancels it, unpaid."),
    ),
}
MAILS = {
    OrderMail.Kind.CONFIRMED: gettext_lazy("The mail that it is confirmed goes out at %(time)s."),
    OrderMail.Kind.CANCELLED: gettext_lazy("The mail that it is cancelled goes out at %(time)s."),
}


def describe_plans(order: Order) -> list[str]:
    """What will be done next, by whom or when; nothing for an order that is final and told of."""
    plans = [_describe_next_sweep(order)] if order.status == Order.Status.PENDING else []
    for mail in order.mails.filter(sent_at=None):
        plan = MAILS[OrderMail.Kind(mail.kind)] % {"time": format_time(mail.send_after)}
        tries = ngettext("Tried %(count)s time before.", "Tried %(count)s times before.", mail.tries)
        plans.append(f"{plan} {tries % {'count': mail.tries}}" if mail.tries else plan)
    return plans


def format_time(when: datetime) -> str:
    """The time of today, or the day and the time."""
    local = timezone.localtime(when)
    return date_format(local, "H:i:s" if local.date() == timezone.localdate() else "Y-m-d H:i:s")


def _describe_next_sweep(order: Order) -> str:
    if order.sweep_after is None:
        return _("Waits for a person: the sweep has given up. Process it now, mark it reviewed, or cancel it.")
    now = timezone.now()
    at_once, later = SWEEPS[_choose_sweep(order, max(order.sweep_after, now))]
    return str(at_once) if order.sweep_after <= now else later % {"time": format_time(order.sweep_after)}


def _choose_sweep(order: Order, when: datetime) -> str:
    if order.payment.is_answered:
        return "finalize"
    if order.expires_at > when:
        return "charge"
    return "cancel unsent" if order.payment.status == Payment.Status.PENDING else "cancel"
