"""The charts of the dashboard: orders placed, money confirmed, and the time from one to the other."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import Count, Sum
from django.db.models.functions import TruncDay, TruncHour
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from backoffice.charts import Chart, draw_chart
from backoffice.figures import format_count, format_seconds
from money import format_money
from orders.models import Order

HOURS = 24
DAYS = 14
Status = Order.Status

PERCENTILES = """
SELECT date_trunc('hour', finalized_at, 'UTC') AS hour,
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY EXTRACT(EPOCH FROM finalized_at - created_at))
FROM orders_order WHERE status = 'CONFIRMED' AND finalized_at >= %s GROUP BY GROUPING SETS ((1), ())
"""


@dataclass(frozen=True, kw_only=True)
class TimesToConfirm:
    """The seconds from placed to confirmed: of the last 24 hours together, and by the hour of the confirmation."""

    p50: float | None
    p95: float | None
    by_hour: dict[datetime, tuple[float, float]]  # (p50, p95)


def read_times_to_confirm(now: datetime) -> TimesToConfirm:
    with connection.cursor() as cursor:
        cursor.execute(PERCENTILES, [_first_hour(now)])
        by_hour = dict(cursor.fetchall())
    p50, p95 = by_hour.pop(None) or (None, None)  # the row of no hour has all of them; no order, no percentile
    return TimesToConfirm(p50=p50, p95=p95, by_hour=by_hour)


def draw_orders(now: datetime) -> Chart:
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


def draw_money(now: datetime) -> Iterator[Chart]:
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


def draw_times(now: datetime, times: TimesToConfirm) -> Chart:
    hours = [times.by_hour.get(hour, (0.0, 0.0)) for hour in _hours(now)]
    return draw_chart(
        name="times",
        title=_("Time from placed to confirmed by hour, UTC"),
        labels=_hour_labels(now),
        series={"p50": [p50 for p50, _ in hours], "p95": [p95 for _, p95 in hours]},
        names={"p50": _("half within"), "p95": _("19 of 20 within")},
        stacked=False,
        format_value=format_seconds,
    )


def _hours(now: datetime) -> list[datetime]:
    return [_first_hour(now) + timedelta(hours=hour) for hour in range(HOURS)]


def _hour_labels(now: datetime) -> list[str]:
    return [date_format(hour, "H:i") for hour in _hours(now)]


def _first_hour(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)


def _first_day(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
