"""The orders of one chaos run, among all those of the shop."""

from typing import NamedTuple

from django.db.models import Count, Q, QuerySet

from orders.models import Order


class OrderCounts(NamedTuple):
    pending: int
    final: int


def find_orders(run: str) -> QuerySet[Order]:
    return Order.objects.filter(checkout_key__startswith=f"{run}-")


def count_orders(run: str) -> OrderCounts:
    pending = Q(status=Order.Status.PENDING)
    counts = find_orders(run).aggregate(pending=Count("pk", filter=pending), final=Count("pk", filter=~pending))
    return OrderCounts(**counts)
