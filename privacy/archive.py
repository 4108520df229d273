"""Old orders are written to a file, and only then their rows go. Payments, refunds and stock movements stay."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from django.db import connection, transaction
from django.db.models import Exists, Min, OuterRef, Q
from django.utils import timezone

from accounts.pseudonyms import is_pseudonym, make_pseudonym
from audit.models import Difference
from events_out.feed import read_horizon
from events_out.models import Delivery, Endpoint
from orders.models import ArchivedOrder, DisputeMail, Order, OrderEvent, OrderMail
from orders.querysets import OrderQuerySet
from payments.models import Dispute, Refund, TransferRefund, WebhookEvent
from privacy.archive_files import write_archive
from privacy.records import describe_orders, pseudonymize

BATCH = 500  # orders in one file, and in one transaction

# In this order, for each names the one before it.
REMOVE = [
    "DELETE FROM events_out_deliverytry USING events_out_delivery AS delivery"
    " WHERE delivery_id = delivery.id AND delivery.order_id = ANY(%s)",
    "DELETE FROM events_out_delivery WHERE order_id = ANY(%s)",
    "DELETE FROM orders_ordermail WHERE order_id = ANY(%s)",
    "DELETE FROM orders_refundline WHERE line_id IN (SELECT id FROM orders_orderline WHERE order_id = ANY(%s))",
    "DELETE FROM orders_orderevent WHERE order_id = ANY(%s)",
    "DELETE FROM orders_orderline WHERE order_id = ANY(%s)",
    "DELETE FROM orders_order WHERE id = ANY(%s)",
]


def archive_orders(*, days: int, folder: Path) -> int:
    """Archive up to BATCH orders, the oldest first, in one transaction. Return how many: 0 when there are none left.

    The file is on the disk before a row goes. A run that is killed has done all of it, or has left at most a file that
    nothing names; the next run replaces that. Any number may run at the same time. Raises OSError, having removed
    nothing.
    """
    with transaction.atomic():
        orders = _lock_orders(days)
        if not orders:
            return 0
        path = folder / _name_file(orders)
        write_archive(path, map(pseudonymize, describe_orders([order.code for order in orders])))
        _remove_orders(orders, file=path.name)
    return len(orders)


def find_archivable(days: int) -> OrderQuerySet:
    """Orders that ended more than so many days ago, to which nothing happened since, and nothing is to happen.

    They need no review, no money of them is on its way or differs from the provider's ledger, the provider has told
    nothing of them that is still to be read, nothing of them is to be mailed, and everybody was told of all their
    events.
    """
    before, told_through = timezone.now() - timedelta(days=days), _find_told_through()
    payments = {"payment__reference": OuterRef("code")}
    happening = [
        OrderEvent.objects.filter(order=OuterRef("pk"), created_at__gte=before),
        OrderEvent.objects.filter(order=OuterRef("pk"), pk__gt=told_through),
        Delivery.objects.waiting().filter(order=OuterRef("pk")),
        OrderMail.objects.filter(order=OuterRef("pk"), sent_at=None),
        DisputeMail.objects.filter(dispute__payment__reference=OuterRef("code"), sent_at=None),
        Refund.objects.filter(recorded_at=None, **payments),
        Dispute.objects.open().filter(**payments),
        TransferRefund.objects.unsent().filter(transfer__reference=OuterRef("code")),
        WebhookEvent.objects.waiting().filter(reference=OuterRef("code")),
        Difference.objects.unresolved().filter(reference=OuterRef("code")),
    ]
    return _find_ended(before, told_through).filter(*[~Exists(rows) for rows in happening])


def _lock_orders(days: int) -> Sequence[Order]:
    """Lock first, and then look again: whoever changes something of an order holds its lock until the commit."""
    for page in _read_pages(days):
        of_page = find_archivable(days).filter(pk__in=page)
        locked = [order.pk for order in of_page.select_for_update(of=("self",), skip_locked=True)]
        if orders := list(find_archivable(days).filter(pk__in=locked).order_by("created_at", "pk")):
            return orders
    return []


def _read_pages(days: int) -> Iterator[list[int]]:
    """The ids of orders that ended long ago, the oldest first, BATCH at a time: only of these is the rest asked."""
    before = timezone.now() - timedelta(days=days)
    ended = _find_ended(before, _find_told_through()).order_by("created_at", "pk").values_list("pk", "created_at")
    page = list(ended[:BATCH])
    while page:
        yield [pk for pk, _ in page]
        pk, created_at = page[-1]
        page = list(ended.filter(Q(created_at__gt=created_at) | Q(created_at=created_at, pk__gt=pk))[:BATCH])


def _find_ended(before: datetime, told_through: int) -> OrderQuerySet:
    """Orders that ended before, and have no event that somebody is still to be told of from their first one on.

    Both are asked of created_at, since it has the index that gives the oldest first.
    """
    untold = OrderEvent.objects.filter(pk__gt=told_through).order_by("pk").first()
    placed_before = min(before, untold.created_at) if untold else before
    return Order.objects.filter(finalized_at__lt=before, needs_review=False, created_at__lt=placed_before)


def _name_file(orders: Sequence[Order]) -> str:
    """By the first order: as long as that is here, a file of the same name was written by a run that was killed."""
    return f"orders-{orders[0].created_at:%Y-%m-%d}-{orders[0].code}.jsonl"


def _remove_orders(orders: Sequence[Order], *, file: str) -> None:
    ArchivedOrder.objects.bulk_create(
        ArchivedOrder(code=order.code, customer=_name_customer(order), file=file) for order in orders
    )
    with connection.cursor() as cursor:
        for statement in REMOVE:
            cursor.execute(statement, [[order.pk for order in orders]])


def _name_customer(order: Order) -> str:
    return "" if is_pseudonym(order.email) else make_pseudonym(order.email)


def _find_told_through() -> int:
    """The id of the last event whose deliveries are written for every endpoint, also for one that is switched off."""
    planned: int | None = Endpoint.objects.aggregate(least=Min("planned_through"))["least"]
    return read_horizon() if planned is None else min(planned, read_horizon())
