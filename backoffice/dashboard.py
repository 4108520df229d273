"""What staff see at a glance. Every figure reads a small part of an index, so it is cheap on a million orders."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from audit.models import AuditRun
from backoffice.charts import Chart
from backoffice.figures import (
    Figure,
    count_open,
    count_owed,
    count_repairs,
    count_waiting,
    describe_audit,
    describe_liveness,
    describe_reconciliation,
    describe_refunds,
    describe_times,
)
from backoffice.trends import draw_money, draw_orders, draw_times, read_times_to_confirm
from catalog.models import Stock

MAX_LOW_STOCK = 10  # products in the list of what runs out


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    figures: list[Figure]
    charts: list[Chart]
    running_out: list[Stock]
    low_stock: int
    read_at: datetime


def read_dashboard() -> Dashboard:
    now = timezone.now()
    times = read_times_to_confirm(now)
    audit = AuditRun.objects.first()
    return Dashboard(
        figures=[
            describe_liveness(),
            *count_waiting(),
            *count_owed(),
            *count_open(),
            *describe_times(p50=times.p50, p95=times.p95),
            *describe_refunds(now),
            count_repairs(now),
            describe_audit(audit, now),
            describe_reconciliation(audit),
        ],
        charts=[draw_orders(now), *draw_money(now), draw_times(now, times)],
        running_out=list(find_low_stock()[:MAX_LOW_STOCK]),
        low_stock=settings.SHOP_LOW_STOCK,
        read_at=now,
    )


def find_low_stock() -> QuerySet[Stock]:
    """Products for sale of which SHOP_LOW_STOCK units or fewer are available, those with the fewest first."""
    low = Stock.objects.low(units=settings.SHOP_LOW_STOCK).filter(product__active=True)
    return low.select_related("product").order_by(F("on_hand") - F("reserved"), "pk")
