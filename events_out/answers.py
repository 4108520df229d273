"""What follows from a try: the delivery is done, waits, or is given up; its endpoint rests, or is switched off."""

import random
from datetime import timedelta
from http import HTTPStatus

from django.db import transaction
from django.db.models import F
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Now

from events_out.delivery_models import Delivery
from events_out.endpoints import switch_off
from events_out.models import Endpoint
from events_out.posting import Answer

# Seconds from one try of a delivery to the next, as the Standard Webhooks have it: ten tries in a bit over three days.
PAUSES = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600]
GIVE_UP_AFTER = timedelta(days=3)  # an endpoint that has taken nothing for so long is switched off
REST, REST_MAX = 5, 5 * 60  # seconds for which an endpoint that fails is left alone; twice as long each time


def record_success(delivery: Delivery, answer: Answer) -> None:
    """Whoever sent it, and however late this comes: it was taken."""
    told = {"answer_status": answer.status, "answer": answer.text, "last_error": ""}
    Delivery.objects.filter(pk=delivery.pk).update(**told, delivered_at=Now(), deliver_after=None)
    if delivery.endpoint.failures:
        works = Endpoint.objects.filter(pk=delivery.endpoint_id)
        works.update(failures=0, failing_since=None, resting_until=None)


def record_failure(delivery: Delivery, *, error: str, answer: Answer | None = None) -> None:
    """Does nothing if somebody else has tried since: that one knows better."""
    told = {"answer_status": answer and answer.status, "answer": answer.text if answer else "", "last_error": error}
    with transaction.atomic():
        same = Delivery.objects.waiting().filter(pk=delivery.pk, tries=delivery.tries)
        if not same.update(**told, deliver_after=find_next_try(delivery.tries)):
            return
        _let_rest(delivery.endpoint_id)
        if answer and answer.status == HTTPStatus.GONE:
            switch_off(pk=delivery.endpoint_id, reason="It answered 410 Gone.")
        elif Endpoint.objects.filter(pk=delivery.endpoint_id, failing_since__lt=Now() - GIVE_UP_AFTER).exists():
            switch_off(pk=delivery.endpoint_id, reason=f"It has taken nothing for three days: {error}")


def find_next_try(tries: int) -> Combinable | None:
    """When a delivery that failed so often is tried again, for an UPDATE; None: it is given up."""
    if tries > len(PAUSES):
        return None
    spread = random.uniform(0.9, 1.1)  # noqa: S311 - so that they don't all come back at once
    return Now() + timedelta(seconds=PAUSES[tries - 1] * spread)


def _let_rest(pk: int) -> None:
    failures = Endpoint.objects.select_for_update(no_key=True).values_list("failures", flat=True).get(pk=pk)
    rest = timedelta(seconds=min(REST * 2 ** min(failures, 30), REST_MAX))
    Endpoint.objects.filter(pk=pk).update(
        failures=F("failures") + 1, failing_since=Coalesce("failing_since", Now()), resting_until=Now() + rest
    )
