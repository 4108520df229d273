"""Whom an event is delivered to: a row for each endpoint that wants to hear of it, up to the horizon."""

from django.db import connection, transaction

from events_out.event_types import list_kinds
from events_out.feed import read_horizon
from events_out.models import Endpoint

BATCH = 1000  # deliveries that are planned in one statement

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


def plan_deliveries() -> None:
    """Write a delivery for each endpoint that is on, and each event up to the horizon that it wants to hear of.

    Any number may plan at the same time. Each endpoint is planned by one of them.
    """
    horizon = read_horizon()
    for pk in Endpoint.objects.on().filter(planned_through__lt=horizon).values_list("pk", flat=True):
        while _plan_batch(pk, horizon):
            pass


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
