"""The figures of the dashboard: a number with its words, and whether somebody has to look at it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.invariants import CHECKS
from audit.liveness import MISSED_TICKS, check_liveness
from audit.models import AuditRun, Difference
from money import format_money
from orders.models import Order, OrderEvent
from payments.dispute_models import Dispute
from payments.models import Payment, TransferRefund
from payments.refund_models import Refund

MINUTE, HOUR, DAY = 60, 3600, 86_400  # in seconds
LEDGER_DETAILS = {check.detail for check in CHECKS if check.ledger}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its words. It links to `url`, the order list with that `filter`, or the `audit` of that id."""

    title: str
    value: str
    filter: str = ""
    audit: int | None = None
    url: str = ""
    alarm: bool = False


def count_waiting() -> Iterator[Figure]:
    pending, stuck, unknown = Order.objects.pending(), Order.objects.stuck(), Payment.objects.unknown()
    yield Figure(title=_("Pending"), value=format_count(pending.count()), filter="status__exact=PENDING")
    yield Figure(title=_("Stuck"), value=format_count(stuck.count()), filter="attention=stuck")
    yield Figure(title=_("Payment unknown"), value=format_count(unknown.count()), filter="attention=unknown")
    acting = format_count(Payment.objects.acting().count())
    yield Figure(title=_("Customer must act"), value=acting, filter="attention=acting")
    in_review, given_up = Order.objects.in_review().count(), Order.objects.given_up().count()
    yield Figure(title=_("Needs review"), value=format_count(in_review), filter="attention=review", alarm=in_review > 0)
    yield Figure(title=_("Given up"), value=format_count(given_up), filter="attention=given_up", alarm=given_up > 0)


def count_open() -> Iterator[Figure]:
    """What a person has to decide, here or at the provider."""
    differences, disputes = Difference.objects.unresolved().count(), Dispute.objects.open().count()
    url = f"{reverse('admin:audit_difference_changelist')}?state=open"
    yield Figure(title=_("Open differences"), value=format_count(differences), url=url, alarm=differences > 0)
    url = f"{reverse('admin:payments_dispute_changelist')}?status__exact=OPEN"
    yield Figure(title=_("Open disputes"), value=format_count(disputes), url=url, alarm=disputes > 0)


def describe_refunds(now: datetime) -> Iterator[Figure]:
    """What was given back since midnight, UTC, in each currency; and how many orders are being refunded."""
    today = Refund.objects.succeeded().filter(answered_at__gte=_find_midnight(now))
    sums = today.order_by("payment__currency").values_list("payment__currency").annotate(sum=Sum("amount"))
    given = ", ".join(format_money(int(amount), currency) for currency, amount in sums)
    yield Figure(title=_("Given back today, UTC"), value=given or "-")
    refunding = Order.objects.being_refunded().count()
    yield Figure(title=_("Being refunded"), value=format_count(refunding), filter="refunds=open")


def count_repairs(now: datetime) -> Figure:
    swept = OrderEvent.objects.filter(kind=OrderEvent.Kind.SWEPT, created_at__gte=now - timedelta(hours=24))
    counts = swept.aggregate(
        orders=Count("order", distinct=True),
        final=Count("order", distinct=True, filter=~Q(order__status=Order.Status.PENDING)),
    )
    value = _("%(orders)s (%(final)s final)") % {name: format_count(count) for name, count in counts.items()}
    return Figure(title=_("Swept in 24 hours"), value=value)


def count_owed() -> Iterator[Figure]:
    """What is to be sent back of the transfers that arrived, in a shop that takes any."""
    if count := TransferRefund.objects.unsent().count():
        url = f"{reverse('admin:payments_transferrefund_changelist')}?sent=0"
        yield Figure(title=_("Transfers to send back"), value=format_count(count), url=url, alarm=True)


def describe_liveness() -> Figure:
    troubles = check_liveness().troubles
    return Figure(title=_("Processes"), value=" ".join(troubles) or _("at work"), alarm=bool(troubles))


def describe_audit(run: AuditRun | None, now: datetime) -> Figure:
    """Of beat's audits: one by manage.py writes nothing down."""
    title = _("Last scheduled audit")
    if run is None:
        return Figure(title=title, value=_("never"))  # the liveness check says so if one is overdue
    age = (now - run.created_at).total_seconds()
    value = (_("clean, %(age)s ago") if run.ok else _("NOT clean, %(age)s ago")) % {"age": format_seconds(age)}
    late = age > MISSED_TICKS * settings.AUDIT_EVERY
    return Figure(title=title, value=value, audit=run.pk, alarm=late or not run.ok)


def describe_reconciliation(run: AuditRun | None) -> Figure:
    """How many charges the last audit compared with the orders, and how many codes differed."""
    title = _("Reconciled with the provider")
    if run is None:
        return Figure(title=title, value=_("never"))
    if "error" in run.report:
        return Figure(title=title, value=_("the provider could not be asked"), audit=run.pk, alarm=True)
    wrong = [found for found in run.report["violations"] if found["detail"] in LEDGER_DETAILS]
    differences = len({code for found in wrong for code in found["codes"]})
    charges = run.report["checked"]["charges"]
    compared = ngettext("%(count)s charge", "%(count)s charges", charges) % {"count": format_count(charges)}
    differ = ngettext("%(count)s difference", "%(count)s differences", differences) % {
        "count": format_count(differences)
    }
    return Figure(title=title, value=f"{compared}, {differ}", audit=run.pk, alarm=differences > 0)


def describe_times(*, p50: float | None, p95: float | None) -> Iterator[Figure]:
    for title, seconds in [(_("Half are confirmed within"), p50), (_("19 of 20 are confirmed within"), p95)]:
        yield Figure(title=title, value="-" if seconds is None else format_seconds(seconds))


def _find_midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def format_count(count: float) -> str:
    return number_format(count, force_grouping=True)


def format_seconds(seconds: float) -> str:
    """The time in the largest unit of which it has at least two: 0.4 s, 12 s, 3 min, 2 h, 5 days."""
    if seconds >= 2 * DAY:
        days = round(seconds / DAY)
        return ngettext("%(days)s day", "%(days)s days", days) % {"days": format_count(days)}
    if seconds >= 2 * HOUR:
        return _("%(hours)s h") % {"hours": round(seconds / HOUR)}
    if seconds >= 2 * MINUTE:
        return _("%(minutes)s min") % {"minutes": round(seconds / MINUTE)}
    number = number_format(round(seconds, 1), 1) if seconds < 10 else str(round(seconds))
    return _("%(seconds)s s") % {"seconds": number}
