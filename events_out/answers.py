"""What follows from a try: the delivery is done, waits, or is given up; its endpoint rests, or is switched off."""

import random
import time
from datetime import timedelta
from http import HTTPStatus

from django.db import transaction
from django.db.models import F
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Now
from django.utils.http import parse_http_date_safe

from events_out.delivery_models import Delivery, DeliveryTry
from events_out.endpoints import switch_off
from events_out.models import Endpoint
from events_out.posting import Answer

# Seconds from one try of a delivery to the next, as the Standard Webhooks have it: ten tries in a bit over three days.
PAUSES = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600]
GIVE_UP_AFTER = timedelta(days=3)  # an endpoint that has taken nothing for so long is switched off
REST, REST_MAX = 5, 5 * 60  # seconds for which an endpoint that fails is left alone; twice as long each time
BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)  # whose Retry-After is heeded
RETRY_AFTER_MAX = 3600  # seconds; whoever asks for longer is asked again then


def record_success(tried: DeliveryTry, answer: Answer) -> None:
    """Whoever sent it, and however late this comes: it was taken."""
    delivery = tried.delivery
    told = {"answer_status": answer.status, "answer": answer.text, "last_error": ""}
    with transaction.atomic():
        _end_try(tried, answer=answer)
        Delivery.objects.filter(pk=delivery.pk).update(**told, delivered_at=Now(), deliver_after=None)
        if delivery.endpoint.failures:
            works = Endpoint.objects.filter(pk=delivery.endpoint_id)
            works.update(failures=0, failing_since=None, resting_until=None)


def record_failure(tried: DeliveryTry, *, error: str, answer: Answer | None = None) -> None:
    """Only notes the try if somebody else has tried since: that one knows better."""
    delivery, asked = tried.delivery, _read_retry_after(answer)
    told = {"answer_status": answer and answer.status, "answer": answer.text if answer else "", "last_error": error}
    with transaction.atomic():
        _end_try(tried, answer=answer, error=error)
        same = Delivery.objects.waiting().filter(pk=delivery.pk, tries=delivery.tries)
        if not same.update(**told, deliver_after=find_next_try(delivery.tries, asked=asked)):
            return
        _let_rest(delivery.endpoint_id, asked=asked)
        if answer and answer.status == HTTPStatus.GONE:
            switch_off(pk=delivery.endpoint_id, reason="It answered 410 Gone.")
        elif Endpoint.objects.filter(pk=delivery.endpoint_id, failing_since__lt=Now() - GIVE_UP_AFTER).exists():
            switch_off(pk=delivery.endpoint_id, reason=f"It has taken nothing for three days: {error}")


def find_next_try(tries: int, *, asked: float = 0) -> Combinable | None:
    """When a delivery that failed so often is tried again, for an UPDATE; None: it is given up.

    Not before the seconds have passed that the endpoint has asked for.
    """
    if tries > len(PAUSES):
        return None
    spread = random.uniform(0.9, 1.1)  # noqa: S311 - so that they don't all come back at once
    return Now() + timedelta(seconds=max(PAUSES[tries - 1] * spread, asked))


def _end_try(tried: DeliveryTry, *, answer: Answer | None, error: str = "") -> None:
    DeliveryTry.objects.filter(pk=tried.pk).update(ended_at=Now(), answer_status=answer and answer.status, error=error)


def _read_retry_after(answer: Answer | None) -> float:
    """The seconds for which it asks to be left alone, RETRY_AFTER_MAX at most. It may give them, or a date."""
    if answer is None or answer.status not in BUSY:
        return 0
    text = answer.retry_after
    if text.isdecimal():
        return min(float(text[:9]), RETRY_AFTER_MAX)
    return min(max((parse_http_date_safe(text) or 0) - time.time(), 0), RETRY_AFTER_MAX)


def _let_rest(pk: int, *, asked: float) -> None:
    failures = Endpoint.objects.select_for_update(no_key=True).values_list("failures", flat=True).get(pk=pk)
    rest = timedelta(seconds=max(min(REST * 2 ** min(failures, 30), REST_MAX), asked))
    Endpoint.objects.filter(pk=pk).update(
        failures=F("failures") + 1, failing_since=Coalesce("failing_since", Now()), resting_until=Now() + rest
    )
