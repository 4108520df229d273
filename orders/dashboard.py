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

from catalog.models import Stock
from money import format_money
from orders.charts import Chart, draw_chart
from orders.models import AuditRun, Order, OrderEvent
from payments.models import Payment

HOURS = 24
DAYS = 14
SHORTEST = 10  # products in the list of what runs out
Status = Order.Status

PERCENTILES = """
SELECT date_trunc('hour', finalized_at, 'UTC') AS hour,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM finalized_at - created_at))
FROM orders_order WHERE status = 'CONFIRMED' AND finalized_at >= %s GROUP BY GROUPING SETS ((1), ())
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its words. `filter` is the order list's, where the list shows the same orders."""

    title: str
    value: str
    filter: str = ""
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
    return Dashboard(
        figures=[*_count_waiting(), *_describe_times(times), _count_repairs(now), _read_last_audit(now)],
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
    yield Figure(title="Pending", value=f"{counts['pending']:,}", filter="status__exact=PENDING")
    yield Figure(title="Stuck", value=f"{counts['stuck']:,}", filter="attention=stuck")
    yield Figure(title="Payment unknown", value=f"{unknown:,}", filter="attention=unknown")
    for title, name in [("Needs review", "review"), ("Given up", "given_up")]:
        yield Figure(title=title, value=f"{counts[name]:,}", filter=f"attention={name}", alarm=counts[name] > 0)


def _count_repairs(now: datetime) -> Figure:
    swept = OrderEvent.objects.filter(kind=OrderEvent.Kind.SWEPT, created_at__gte=now - timedelta(hours=HOURS))
    counts = swept.aggregate(
        orders=Count("order", distinct=True),
        final=Count("order", distinct=True, filter=~Q(order__status=Status.PENDING)),
    )
    return Figure(title="Swept in 24 hours", value=f"{counts['orders']:,} ({counts['final']:,} final)")


def _read_last_audit(now: datetime) -> Figure:
    run = AuditRun.objects.first()
    if run is None:
        return Figure(title="Last audit", value="never", alarm=True)
    age = now - run.created_at
    late = age.total_seconds() > 3 * settings.AUDIT_EVERY
    words = f"{'clean' if run.ok else 'NOT clean'}, {format_seconds(age.total_seconds())} ago"
    return Figure(title="Last audit", value=words, alarm=late or not run.ok)


def _describe_times(times: dict[datetime | None, list[float]]) -> Iterator[Figure]:
    for number, title in enumerate(["Time to confirm, p50", "Time to confirm, p95"]):
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
        title="Orders by the hour they were placed, UTC, as they stand now",
        labels=_hour_labels(now),
        series={status.lower(): [counts.get((hour, status), 0) for hour in _hours(now)] for status in Status.values},
        format_value="{:,}".format,
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
            title=f"{currency} confirmed by day, UTC",
            labels=[f"{day:%m-%d}" for day in days],
            series={"confirmed": [sums.get(day, 0) for day in days]},
            format_value=lambda amount, currency=currency: format_money(int(amount), currency),  # type: ignore[misc]
        )


def _draw_times(now: datetime, times: dict[datetime | None, list[float]]) -> Chart:
    hours = [times.get(hour, [0.0, 0.0]) for hour in _hours(now)]
    return draw_chart(
        name="times",
        title="Time from placed to confirmed by hour, UTC",
        labels=_hour_labels(now),
        series={"p50": [p50 for p50, _ in hours], "p95": [p95 for _, p95 in hours]},
        stacked=False,
        format_value=format_seconds,
    )


def format_seconds(seconds: float) -> str:
    """As short as it can be read: 0.4 s, 12 s, 3 min, 2 h, 5 days."""
    for size, unit in [(48 * 3600, "days"), (2 * 3600, "h"), (120, "min")]:
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _hours(now: datetime) -> list[datetime]:
    return [_first_hour(now) + timedelta(hours=hour) for hour in range(HOURS)]


def _hour_labels(now: datetime) -> list[str]:
    return [f"{hour:%H}:00" for hour in _hours(now)]


def _first_hour(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)


def _first_day(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
