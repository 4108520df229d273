"""What staff see at a glance. Each figure is read from a window of an index, so it is cheap on a million orders."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Now, TruncDay, TruncHour
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from catalog.models import Stock
from money import format_money
from orders.charts import Chart, draw_chart
from orders.invariants import CHECKS
from orders.models import AuditRun, Order, OrderEvent
from payments.models import Payment

MINUTE, HOUR, DAY = 60, 3600, 86_400  # in seconds
HOURS = 24
DAYS = 14
SHORTEST = 10  # products in the list of what runs out
RECONCILED = {check.detail for check in CHECKS if "audit_charge" in check.sql}  # with the provider's ledger
Status = Order.Status

PERCENTILES = """
SELECT date_trunc('hour', finalized_at, 'UTC') AS hour,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM finalized_at - created_at))
FROM orders_order WHERE status = 'CONFIRMED' AND finalized_at >= %s GROUP BY GROUPING SETS ((1), ())
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its words, and what it links to: the order list with a `filter`, or the run of an `audit`."""

    title: str
    value: str
    filter: str = ""
    audit: int | None = None
    alarm: bool = False


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    figures: list[Figure]
    charts: list[Chart]
    running_out: list[Stock]
    low_stock: int
    read_at: datetime


def read_dashboard() -> Dashboard:
    now = timezone.now()
    times = _read_times_to_confirm(now)
    audit = AuditRun.objects.first()
    return Dashboard(
        figures=[
            *_count_waiting(),
            *_describe_times(times),
            _count_repairs(now),
            _describe_audit(audit, now),
            _describe_reconciliation(audit),
        ],
        charts=[_draw_orders(now), *_draw_money(now), _draw_times(now, times)],
        running_out=list(find_low_stock()[:SHORTEST]),
        low_stock=settings.SHOP_LOW_STOCK,
        read_at=now,
    )


def find_low_stock() -> QuerySet[Stock]:
    """What is for sale and has SHOP_LOW_STOCK units left or fewer, the least first."""
    left = F("on_hand") - F("reserved")
    low = Stock.objects.alias(left=left).filter(product__active=True, left__lte=settings.SHOP_LOW_STOCK)
    return low.select_related("product").order_by("left", "pk")


def _count_waiting() -> Iterator[Figure]:
    counts = Order.objects.filter(status=Status.PENDING).aggregate(
        pending=Count("pk"),
        stuck=Count("pk", filter=Q(sweep_after__lte=Now())),
        review=Count("pk", filter=Q(needs_review=True)),
        given_up=Count("pk", filter=Q(sweep_after=None)),
    )
    unknown = Payment.objects.filter(status=Payment.Status.SENT).count()
    yield Figure(title=_("Pending"), value=format_count(counts["pending"]), filter="status__exact=PENDING")
    yield Figure(title=_("Stuck"), value=format_count(counts["stuck"]), filter="attention=stuck")
    yield Figure(title=_("Payment unknown"), value=format_count(unknown), filter="attention=unknown")
    for title, name in [(_("Needs review"), "review"), (_("Given up"), "given_up")]:
        count = counts[name]
        yield Figure(title=title, value=format_count(count), filter=f"attention={name}", alarm=count > 0)


def _count_repairs(now: datetime) -> Figure:
    swept = OrderEvent.objects.filter(kind=OrderEvent.Kind.SWEPT, created_at__gte=now - timedelta(hours=HOURS))
    counts = swept.aggregate(
        orders=Count("order", distinct=True),
        final=Count("order", distinct=True, filter=~Q(order__status=Status.PENDING)),
    )
    value = _("%(orders)s (%(final)s final)") % {name: format_count(count) for name, count in counts.items()}
    return Figure(title=_("Swept in 24 hours"), value=value)


def _describe_audit(run: AuditRun | None, now: datetime) -> Figure:
    if run is None:
        return Figure(title=_("Last audit"), value=_("never"), alarm=True)
    age = (now - run.created_at).total_seconds()
    value = (_("clean, %(age)s ago") if run.ok else _("NOT clean, %(age)s ago")) % {"age": format_seconds(age)}
    late = age > 3 * settings.AUDIT_EVERY
    return Figure(title=_("Last audit"), value=value, audit=run.pk, alarm=late or not run.ok)


def _describe_reconciliation(run: AuditRun | None) -> Figure:
    """What the last audit found when it held the orders against the provider's ledger."""
    title = _("Reconciled with the provider")
    if run is None:
        return Figure(title=title, value=_("never"), alarm=True)
    if "error" in run.report:
        return Figure(title=title, value=_("the provider could not be asked"), audit=run.pk, alarm=True)
    wrong = [found for found in run.report["violations"] if found["detail"] in RECONCILED]
    differences = len({code for found in wrong for code in found["codes"]})
    charges = run.report["checked"]["charges"]
    compared = ngettext("%(count)s charge", "%(count)s charges", charges) % {"count": format_count(charges)}
    differ = ngettext("%(count)s difference", "%(count)s differences", differences) % {
        "count": format_count(differences)
    }
    return Figure(title=title, value=f"{compared}, {differ}", audit=run.pk, alarm=differences > 0)


def _describe_times(times: dict[datetime | None, list[float]]) -> Iterator[Figure]:
    for number, title in enumerate([_("Time to confirm, p50"), _("Time to confirm, p95")]):
        seconds = times[None][number] if None in times else None
        yield Figure(title=title, value="-" if seconds is None else format_seconds(seconds))


def _read_times_to_confirm(now: datetime) -> dict[datetime | None, list[float]]:
    """p50 and p95 in seconds, by the hour of the confirmation; under None, of the 24 hours together."""
    with connection.cursor() as cursor:
        cursor.execute(PERCENTILES, [_first_hour(now)])
        return {hour: seconds for hour, seconds in cursor.fetchall() if seconds and seconds[0] is not None}


def _draw_orders(now: datetime) -> Chart:
    placed = Order.objects.filter(created_at__gte=_first_hour(now)).annotate(hour=TruncHour("created_at", tzinfo=UTC))
    counts: dict[tuple[datetime, str], int] = {
        (hour, status): count
        for hour, status, count in placed.order_by().values_list("hour", "status").annotate(count=Count("pk"))
    }
    return draw_chart(
        name="orders",
        title=_("Orders by the hour they were placed, UTC, as they stand now"),
        labels=_hour_labels(now),
        series={status.lower(): [counts.get((hour, status), 0) for hour in _hours(now)] for status in Status.values},
        names={status.lower(): str(label) for status, label in Status.choices},
        format_value=format_count,
    )


def _draw_money(now: datetime) -> Iterator[Chart]:
    days = [_first_day(now) + timedelta(days=day) for day in range(DAYS)]
    confirmed = Order.objects.filter(status=Status.CONFIRMED, finalized_at__gte=days[0])
    by_day = confirmed.annotate(day=TruncDay("finalized_at", tzinfo=UTC)).order_by().values_list("day", "currency")
    totals: dict[str, dict[datetime, int]] = defaultdict(dict)
    for day, currency, total in by_day.annotate(sum=Sum("total")):
        totals[currency][day] = int(total)
    for currency, sums in sorted(totals.items()):
        yield draw_chart(
            name="money",
            title=_("%(currency)s confirmed by day, UTC") % {"currency": currency},
            # Translators: Django's date format of a day and its month, such as Nov 24.
            labels=[date_format(day, pgettext("date format", "M j")) for day in days],
            series={"confirmed": [sums.get(day, 0) for day in days]},
            names={"confirmed": str(Status.CONFIRMED.label)},
            format_value=lambda amount, currency=currency: format_money(int(amount), currency),  # type: ignore[misc]
        )


def _draw_times(now: datetime, times: dict[datetime | None, list[float]]) -> Chart:
    hours = [times.get(hour, [0.0, 0.0]) for hour in _hours(now)]
    return draw_chart(
        name="times",
        title=_("Time from placed to confirmed by hour, UTC"),
        labels=_hour_labels(now),
        series={"p50": [p50 for p50, _ in hours], "p95": [p95 for _, p95 in hours]},
        names={"p50": "p50", "p95": "p95"},
        stacked=False,
        format_value=format_seconds,
    )


def format_count(count: float) -> str:
    return number_format(count, force_grouping=True)


def format_seconds(seconds: float) -> str:
    """As short as it can be read: 0.4 s, 12 s, 3 min, 2 h, 5 days."""
    if seconds >= 2 * DAY:
        days = round(seconds / DAY)
        return ngettext("%(days)s day", "%(days)s days", days) % {"days": format_count(days)}
    if seconds >= 2 * HOUR:
        return _("%(hours)s h") % {"hours": round(seconds / HOUR)}
    if seconds >= 2 * MINUTE:
        return _("%(minutes)s min") % {"minutes": round(seconds / MINUTE)}
    number = number_format(round(seconds, 1), 1) if seconds < 10 else str(round(seconds))
    return _("%(seconds)s s") % {"seconds": number}


def _hours(now: datetime) -> list[datetime]:
    return [_first_hour(now) + timedelta(hours=hour) for hour in range(HOURS)]


def _hour_labels(now: datetime) -> list[str]:
    return [date_format(hour, "H:i") for hour in _hours(now)]


def _first_hour(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)


def _first_day(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
