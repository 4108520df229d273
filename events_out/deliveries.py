"""How endpoints are told: planned deliveries are claimed, sent with no transaction open, and sent again."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.db.models.functions import Now
from django.utils import timezone

from database_errors import run_again_if_lost
from events_out import payloads
from events_out.answers import record_failure, record_success
from events_out.delivery_models import Delivery, DeliveryTry, EndpointMail
from events_out.models import Endpoint
from events_out.posting import NoAnswer, Poster
from events_out.signing import sign
from purge import delete_in_batches

logger = structlog.stdlib.get_logger(__name__)

LANES = 4  # deliveries to one endpoint at the same time
KEPT_TRIES = 20  # in the log of a delivery, which staff may have repeated any number of times
LEASE = 5  # seconds beyond WEBHOOK_TIMEOUT; then the worker is taken for dead, and another tries

# An event waits while an earlier one of its order does, so an order's events arrive in order. A claim is committed at
# once, and holds for the lease: nobody else takes the delivery, and no lock is held while it is sent. Its try is in the
# log before anything is sent: one whose worker died stays there without an end.
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
), claimed AS (
    UPDATE events_out_delivery AS delivery SET
        tries = tries + 1, tried_at = statement_timestamp(),
        deliver_after = statement_timestamp() + make_interval(secs => %(lease)s)
    FROM due WHERE delivery.id = due.id
    RETURNING delivery.id
), forgotten AS (
    DELETE FROM events_out_deliverytry WHERE id IN (
        SELECT logged.id FROM events_out_deliverytry AS logged JOIN claimed ON claimed.id = delivery_id
        ORDER BY logged.id DESC OFFSET %(kept)s - 1
    )
)
INSERT INTO events_out_deliverytry (delivery_id) SELECT id FROM claimed RETURNING id
"""


def find_due_endpoints() -> dict[int, int]:
    """The endpoints for which something is due, and how many may deliver to each at once: to one that fails, one."""
    awake = Endpoint.objects.awake().filter(deliveries__deliver_after__lte=Now())
    due = awake.annotate(due=Count("deliveries")).values_list("pk", "failures", "due")
    return {pk: 1 if failures else min(LANES, count) for pk, failures, count in due}


def deliver_to_endpoint(*, pk: int) -> None:
    """Deliver what is due, the longest due first, for as long as the sweep's pause: then others have their turn."""
    end = time.monotonic() + settings.SWEEP_EVERY
    with closing(Poster()) as poster:
        for tried in _claim_deliveries(pk):
            _deliver(tried, poster)
            if time.monotonic() > end:
                break


def claim_delivery(*, endpoint: int) -> DeliveryTry | None:
    """Claim the endpoint's next delivery, and return this try of it, both committed. No two callers get the same."""
    values = {"endpoint": endpoint, "lease": settings.WEBHOOK_TIMEOUT + LEASE, "kept": KEPT_TRIES}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        row = cursor.fetchone()
    claimed = DeliveryTry.objects.select_related("delivery__endpoint", "delivery__event__order")
    return claimed.prefetch_related("delivery__event__order__lines").get(pk=row[0]) if row else None


def delete_old_deliveries() -> None:
    """Delete those of more than WEBHOOK_DAYS ago that are over, and the mails of endpoints that were sent then."""
    before = Now() - timedelta(days=settings.WEBHOOK_DAYS)
    delete_in_batches(Delivery.objects.filter(deliver_after=None, created_at__lt=before), order_by="created_at")
    delete_in_batches(EndpointMail.objects.filter(sent_at__lt=before), order_by="pk")


def _claim_deliveries(endpoint: int) -> Iterator[DeliveryTry]:
    while claimed := claim_delivery(endpoint=endpoint):
        yield claimed


def _deliver(tried: DeliveryTry, poster: Poster) -> None:
    delivery, now = tried.delivery, timezone.now()
    body = payloads.encode(_describe(delivery))
    headers = sign(delivery.endpoint, message_id=_name(delivery), now=now, body=body)
    if not connection.in_atomic_block:  # or the transaction is the caller's
        connection.close()  # whoever is told may take long
    try:
        answer = poster.post(delivery.endpoint.url, body.encode(), {"Content-Type": "application/json", **headers})
    except NoAnswer as error:
        logger.warning("an event was not delivered", delivery=delivery.pk, reason=str(error))
        record_failure(tried, error=str(error))
        return
    if answer.is_success:
        run_again_if_lost(partial(record_success, tried, answer))  # or it would be delivered again
    else:
        record_failure(tried, error=f"It answered {answer.status}.", answer=answer)


def _describe(delivery: Delivery) -> dict[str, Any]:
    if delivery.event:
        return payloads.describe_event(delivery.event)
    return payloads.describe_test(_name(delivery), delivery.created_at)


def _name(delivery: Delivery) -> str:
    return payloads.name_event(delivery.event) if delivery.event else f"test_{delivery.pk}"
