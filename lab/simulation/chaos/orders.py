"""The orders of one chaos run, among all those of the shop."""

from typing import NamedTuple

from django.db.models import Count, Q, QuerySet

from orders.models import Order
from payments.refund_models import Refund


class OrderCounts(NamedTuple):
    pending: int
    final: int
    refunding: int  # refunds that are not over


def find_orders(run: str) -> QuerySet[Order]:
    return Order.objects.filter(checkout_key__startswith=f"{run}-")


def find_refunds(run: str) -> QuerySet[Refund]:
    return Refund.objects.filter(payment__order__in=find_orders(run))


def count_orders(run: str) -> OrderCounts:
    pending = Q(status=Order.Status.PENDING)
    counts = find_orders(run).aggregate(pending=Count("pk", filter=pending), final=Count("pk", filter=~pending))
    return OrderCounts(**counts, refunding=find_refunds(run).filter(recorded_at=None).count())
