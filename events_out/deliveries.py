"""How endpoints are told: deliveries are planned as rows, claimed, sent with no transaction open, and sent again."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count
from django.db.models.functions import Now
from django.utils import timezone

from database_errors import run_again_if_lost
from events_out import payloads
from events_out.answers import record_failure, record_success
from events_out.delivery_models import Delivery
from events_out.event_types import list_kinds
from events_out.feed import read_horizon
from events_out.models import Endpoint
from events_out.posting import NoAnswer, Poster
from events_out.signing import sign
from purge import delete_in_batches

logger = structlog.stdlib.get_logger(__name__)

BATCH = 1000  # deliveries that are planned in one statement
LANES = 4  # deliveries to one endpoint at the same time
LEASE = 5  # seconds beyond WEBHOOK_TIMEOUT; then the worker is taken for dead, and another tries

PLAN = """
WITH events AS (
    SELECT id, order_id FROM orders_orderevent
    WHERE id > %(after)s AND id <= %(horizon)s AND kind = ANY(%(kinds)s) ORDER BY id LIMIT %(limit)s
), planned AS (
    INSERT INTO events_out_delivery (endpoint_id, event_id, order_id)
    SELECT %(endpoint)s, id, order_id FROM events ORDER BY id ON CONFLICT (endpoint_id, event_id) DO NOTHING
)
SELECT count(*), max(id) FROM events
"""
# An event waits while an earlier one of its order does, so an order's events arrive in order. A claim is committed at
# once, and holds for the lease: nobody else takes the delivery, and no lock is held while it is sent.
CLAIM = """
WITH due AS (
    SELECT delivery.id FROM events_out_delivery AS delivery
    JOIN events_out_endpoint AS endpoint ON endpoint.id = delivery.endpoint_id
    WHERE delivery.endpoint_id = %(endpoint)s AND deliver_after <= statement_timestamp()
        AND is_on AND (resting_until IS NULL OR resting_until <= statement_timestamp())
        AND NOT EXISTS (
            SELECT FROM events_out_delivery AS earlier
            WHERE earlier.endpoint_id = delivery.endpoint_id AND earlier.order_id = delivery.order_id
                AND earlier.deliver_after IS NOT NULL AND earlier.id < delivery.id
        )
    ORDER BY deliver_after, delivery.id LIMIT 1 FOR UPDATE OF delivery SKIP LOCKED
)
UPDATE events_out_delivery AS delivery SET
    tries = tries + 1, tried_at = statement_timestamp(),
    deliver_after = statement_timestamp() + make_interval(secs => %(lease)s)
FROM due WHERE delivery.id = due.id
RETURNING delivery.id
"""


def plan_deliveries() -> None:
    """Write a delivery for each endpoint that is on, and each event up to the horizon that it wants to hear of.

    Any number may plan at the same time. Each endpoint is planned by one of them.
    """
    horizon = read_horizon()
    for pk in Endpoint.objects.on().filter(planned_through__lt=horizon).values_list("pk", flat=True):
        while _plan_batch(pk, horizon):
            pass


def find_due_endpoints() -> dict[int, int]:
    """The endpoints for which something is due, and how many may deliver to each at once: to one that fails, one."""
    awake = Endpoint.objects.awake().filter(deliveries__deliver_after__lte=Now())
    due = awake.annotate(due=Count("deliveries")).values_list("pk", "failures", "due")
    return {pk: 1 if failures else min(LANES, count) for pk, failures, count in due}


def deliver_to_endpoint(*, pk: int) -> None:
    """Deliver what is due, the longest due first, for as long as the sweep's pause: then others have their turn."""
    end = time.monotonic() + settings.SWEEP_EVERY
    with closing(Poster()) as poster:
        for delivery in _claim_deliveries(pk):
            _deliver(delivery, poster)
            if time.monotonic() > end:
                break


def claim_delivery(*, endpoint: int) -> Delivery | None:
    """Claim the endpoint's next delivery. The claim is committed, and counts as a try. No two callers get the same."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"endpoint": endpoint, "lease": settings.WEBHOOK_TIMEOUT + LEASE})
        row = cursor.fetchone()
    claimed = Delivery.objects.select_related("endpoint", "event__order").prefetch_related("event__order__lines")
    return claimed.get(pk=row[0]) if row else None


def delete_old_deliveries() -> None:
    """Delete those of more than WEBHOOK_DAYS ago that are over, in batches."""
    old = Delivery.objects.filter(deliver_after=None, created_at__lt=Now() - timedelta(days=settings.WEBHOOK_DAYS))
    delete_in_batches(old, order_by="created_at")


def _plan_batch(pk: int, horizon: int) -> bool:
    """Return whether there is more."""
    with transaction.atomic():
        endpoint = Endpoint.objects.on().select_for_update(no_key=True, skip_locked=True).filter(pk=pk).first()
        if endpoint is None:
            return False
        values = {"after": endpoint.planned_through, "horizon": horizon, "endpoint": pk, "limit": BATCH}
        with connection.cursor() as cursor:
            cursor.execute(PLAN, values | {"kinds": list_kinds(endpoint.types)})
            count, last = cursor.fetchone()
        is_full = count == BATCH
        Endpoint.objects.filter(pk=pk).update(planned_through=last if is_full else horizon)
        return bool(is_full)


def _claim_deliveries(endpoint: int) -> Iterator[Delivery]:
    while delivery := claim_delivery(endpoint=endpoint):
        yield delivery


def _deliver(delivery: Delivery, poster: Poster) -> None:
    endpoint, now = delivery.endpoint, timezone.now()
    body = payloads.encode(_describe(delivery))
    headers = sign(endpoint, message_id=_name(delivery), now=now, body=body)
    if not connection.in_atomic_block:  # or the transaction is the caller's
        connection.close()  # whoever is told may take long
    try:
        answer = poster.post(endpoint.url, body.encode(), {"Content-Type": "application/json", **headers})
    except NoAnswer as error:
        logger.warning("an event was not delivered", delivery=delivery.pk, reason=str(error))
        record_failure(delivery, error=str(error))
        return
    if answer.is_success:
        run_again_if_lost(partial(record_success, delivery, answer))  # or it would be delivered again
    else:
        record_failure(delivery, error=f"It answered {answer.status}.", answer=answer)


def _describe(delivery: Delivery) -> dict[str, Any]:
    if delivery.event:
        return payloads.describe_event(delivery.event)
    return payloads.describe_test(_name(delivery), delivery.created_at)


def _name(delivery: Delivery) -> str:
    return payloads.name_event(delivery.event) if delivery.event else f"test_{delivery.pk}"
