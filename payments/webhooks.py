"""The inbox of what providers tell us unasked: an event is stored once, looked at, and looked at again."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby

import structlog
from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from payments.webhook_handlers import HANDLERS, News
from payments.webhook_models import WebhookEvent, WebhookEventQuerySet
from purge import delete_in_batches

logger = structlog.stdlib.get_logger(__name__)

# Seconds until the sweep first takes up an event that waits. Each pause is twice as long as the one before, so the last
# of MAX_TRIES comes after a quarter of an hour. By then the order's own sweep has long gone on with it.
PAUSE = 1
MAX_TRIES = 10

# One statement: a repeat of the same event writes nothing, also one at the same time.
STORE = """
INSERT INTO payments_webhookevent (provider, event_id, type, reference, body, process_after, processed_at)
VALUES (
    %(provider)s, %(event_id)s, %(type)s, %(reference)s, %(body)s,
    CASE WHEN NOT %(is_known)s THEN statement_timestamp() + make_interval(secs => %(pause)s) END,
    CASE WHEN %(is_known)s THEN statement_timestamp() END
)
ON CONFLICT (provider, event_id) DO NOTHING
RETURNING id
"""


def receive_event(event: WebhookEvent) -> WebhookEvent | None:
    """Store the event, once, and committed on return. Return it if it is to be processed at once.

    Raises a database error if it can't be stored: the provider then has to send it again.
    """
    news = _look(event)
    stored = _store(event, is_known=news is News.NONE)
    return stored if news is News.NOW else None


def process_event(*, pk: int) -> None:
    """Do what is to be done about the event. Does nothing once it is processed, or while somebody else does it."""
    _process(_claim(WebhookEvent.objects.filter(pk=pk), limit=1))


def process_due_events(*, limit: int = 500) -> None:
    """Do the same for events that wait: their message was lost, or the payment that they tell of has no answer yet."""
    _process(claim_due_events(limit=limit))


def claim_due_events(*, limit: int) -> list[WebhookEvent]:
    """Claim due events, oldest first, and set the time of their next look. Claims are committed.

    No two callers get the same. After MAX_TRIES an event is given up.
    """
    return _claim(WebhookEvent.objects.filter(process_after__lte=Now()).order_by("process_after"), limit=limit)


def replay_events(events: WebhookEventQuerySet) -> int:
    """Let the sweep take these events up as if they came just now. Return how many they are."""
    return events.update(tries=0, processed_at=None, process_after=Now())


def delete_old_events() -> None:
    """Delete the events of more than WEBHOOK_DAYS ago, in batches. One that waits for a look stays."""
    before = Now() - timedelta(days=settings.WEBHOOK_DAYS)
    long_ago = WebhookEvent.objects.filter(received_at__lt=before, process_after=None)
    delete_in_batches(long_ago, order_by="received_at")


def _store(event: WebhookEvent, *, is_known: bool) -> WebhookEvent | None:
    values: dict[str, str | int] = {
        "provider": event.provider,
        "event_id": event.event_id,
        "type": event.type,
        "reference": event.reference,
        "body": event.body,
        "is_known": is_known,
        "pause": PAUSE,
    }
    with connection.cursor() as cursor:
        cursor.execute(STORE, values)
        row = cursor.fetchone()
    if row is None:
        return None  # it came before
    event.pk = row[0]
    return event


def _claim(events: WebhookEventQuerySet, *, limit: int) -> list[WebhookEvent]:
    with transaction.atomic():
        free = events.waiting().defer("body").select_for_update(skip_locked=True)
        claimed = sorted(free[:limit], key=lambda event: event.tries)
        for tries, alike in groupby(claimed, key=lambda event: event.tries):
            is_last = tries + 1 >= MAX_TRIES
            next_look = None if is_last else Now() + timedelta(seconds=PAUSE * 2 ** (tries + 1))
            same = WebhookEvent.objects.filter(pk__in=[event.pk for event in alike])
            same.update(tries=tries + 1, process_after=next_look)
    return claimed


def _process(events: Sequence[WebhookEvent]) -> None:
    known = [event.pk for event in events if _process_one(event) is News.NONE]
    if known:
        WebhookEvent.objects.filter(pk__in=known).update(processed_at=Now(), process_after=None)


def _process_one(event: WebhookEvent) -> News:
    news = News.LATER
    try:
        news = _look(event)
        if news is News.NOW:
            _act(event)
    except Error:
        raise
    except OperationalError as error:
        logger.warning("a webhook event is left to a later look", **_name(event), reason=str(error))
    except Exception:  # one bad event must not hold up the others
        logger.exception("a webhook event can't be processed", **_name(event))
    if news is not News.NONE and event.tries + 1 >= MAX_TRIES:
        logger.warning("a webhook event is given up", **_name(event), looks=MAX_TRIES)
    return news


def _name(event: WebhookEvent) -> dict[str, str | int]:
    """The fields of a line about it."""
    return {"webhook_event": event.pk, "order": event.reference}


def _look(event: WebhookEvent) -> News:
    handler = HANDLERS.get((event.provider, event.type))
    return handler.look(event) if handler else News.NONE


def _act(event: WebhookEvent) -> None:
    HANDLERS[event.provider, event.type].act(event)
