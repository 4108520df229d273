"""The inbox of what providers tell us unasked. An event is a hint: our own rows and the provider say what is true."""

import json
import logging
from collections.abc import Callable, Container, Sequence
from datetime import timedelta
from enum import Enum, auto
from functools import partial
from itertools import groupby
from typing import NamedTuple

from celery import current_app
from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from kombu.exceptions import OperationalError

from payments import refunds
from payments.dispute_models import Dispute
from payments.models import Payment
from payments.refund_models import Refund, RefundQuerySet
from payments.webhook_models import WebhookEvent, WebhookEventQuerySet

logger = logging.getLogger(__name__)
Status = Payment.Status

# Seconds until the sweep first takes up an event that waits. Each pause is twice as long as the one before, so the last
# of MAX_TRIES comes after a quarter of an hour. By then the order's own sweep has long gone on with it.
PAUSE = 1
MAX_TRIES = 10
DELETE_BATCH = 1000  # rows
LOOK_UP_DISPUTE = "payments.tasks.look_up_dispute"

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
PAYMENTS = "SELECT status, in_flight_until > statement_timestamp() FROM payments_payment WHERE reference = %s"


class News(Enum):
    """What an event may tell that our rows don't say yet."""

    NONE = auto()
    LATER = auto()  # another process asks the provider already, or our rows don't know the reference yet
    NOW = auto()  # the provider has to be asked


class Handler(NamedTuple):
    """What is done about a type of event.

    `look` reads our rows only: the web server calls it too. `act` publishes a task that asks the provider, and asks
    nothing itself. It is called again until a look says NONE.
    """

    look: Callable[[WebhookEvent], News]
    act: Callable[[WebhookEvent], None]


def look_at_payments(event: WebhookEvent, *, while_: Container[str] = Payment.UNANSWERED) -> News:
    """Tell whether the event may be news: while a payment of its reference has one of these statuses.

    By default while it is unanswered: an answer never changes.
    """
    if not event.reference:
        return News.NONE
    with connection.cursor() as cursor:
        cursor.execute(PAYMENTS, [event.reference])
        payments = cursor.fetchall()
    in_flight = [is_in_flight for status, is_in_flight in payments if status in while_]
    if payments and not in_flight:
        return News.NONE
    return News.NOW if payments and not any(in_flight) else News.LATER


def tell_of_payment(event: WebhookEvent) -> None:
    """Tell whoever made the payment that there may be news of it: PAYMENT_NEWS_HOOK has the charge asked for again."""
    import_string(settings.PAYMENT_NEWS_HOOK)(event.reference)


def look_at_dispute(event: WebhookEvent) -> News:
    """Tell whether the event may be news: until the provider was asked about the dispute after the event came."""
    about = json.loads(event.body)["data"]["object"]
    if event.pk and Dispute.objects.filter(
        gateway=event.provider, provider_id=about.get("id"), checked_at__gt=event.received_at
    ):
        return News.NONE
    # Others may use the same account.
    is_ours = Payment.objects.filter(gateway=event.provider, provider_id=about.get("payment_intent")).exists()
    return News.NOW if is_ours else News.LATER


def tell_of_dispute(event: WebhookEvent) -> None:
    """Publish the question to the provider, by the name of its task: tasks are above this module."""
    dispute = json.loads(event.body)["data"]["object"].get("id", "")
    current_app.send_task(LOOK_UP_DISPUTE, (event.provider, dispute), expires=settings.CLOCK_SKEW)


def look_at_refunds(event: WebhookEvent) -> News:
    """Tell whether the event may be news of a refund of ours: one without an answer, or one that may have failed since.

    Of a refund that began at the provider our rows know nothing, so here it is none.
    """
    doubtful = _find_doubtful(event)
    if doubtful.exclude(in_flight_until__gt=Now()).exists():
        return News.NOW
    return News.LATER if doubtful.exists() else News.NONE


def hasten_doubtful_refunds(event: WebhookEvent) -> None:
    """Let the sweep ask the provider for them, or after them, at once."""
    refunds.hasten_refunds(_find_doubtful(event))


OUTCOME = Handler(look_at_payments, tell_of_payment)
REFUND = Handler(look_at_refunds, hasten_doubtful_refunds)
# No outcomes: once our rows say so, the customer or the bank is waited for.
ACTION_REQUIRED = Handler(partial(look_at_payments, while_=(Status.PENDING, Status.SENT)), tell_of_payment)
PROCESSING = Handler(partial(look_at_payments, while_=(Status.ACTION_REQUIRED,)), tell_of_payment)
DISPUTE = Handler(look_at_dispute, tell_of_dispute)
# By provider and type. What is not named here is stored, and nothing is done about it.
HANDLERS = {
    ("stripe", "payment_intent.succeeded"): OUTCOME,
    ("stripe", "payment_intent.payment_failed"): OUTCOME,
    ("stripe", "payment_intent.canceled"): OUTCOME,
    ("stripe", "charge.dispute.created"): DISPUTE,
    ("stripe", "charge.dispute.updated"): DISPUTE,
    ("stripe", "charge.dispute.closed"): DISPUTE,
    ("stripe", "refund.updated"): REFUND,
    ("stripe", "refund.failed"): REFUND,
    ("stripe", "charge.refunded"): REFUND,
    ("stripe", "payment_intent.requires_action"): ACTION_REQUIRED,
    ("stripe", "payment_intent.processing"): PROCESSING,
}


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
    """Delete the events of more than WEBHOOK_DAYS ago, in batches: nobody waits long for a lock or the log."""
    long_ago = WebhookEvent.objects.filter(received_at__lt=Now() - timedelta(days=settings.WEBHOOK_DAYS))
    deleted = DELETE_BATCH
    while deleted == DELETE_BATCH:
        batch = long_ago.order_by("received_at").values("pk")[:DELETE_BATCH]
        deleted, _ = WebhookEvent.objects.filter(pk__in=batch).delete()


def _find_doubtful(event: WebhookEvent) -> RefundQuerySet:
    ours = Refund.objects.of_reference(event.reference)
    if event.type == "charge.refunded":  # comes with each success, and never tells of a later failure
        return ours.open()
    return ours.in_doubt(event.received_at if event.pk else Now())  # the first look is before it is stored


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
    news = _look(event)
    if news is News.NOW:
        try:
            _act(event)
        except Error:
            raise
        except OperationalError as error:
            logger.warning("%s is left to a later look: %s", event, error)
        except Exception:  # one bad event must not hold up the others
            logger.exception("%s can't be processed", event)
    if news is not News.NONE and event.tries + 1 >= MAX_TRIES:
        logger.warning("%s is given up after %s looks", event, MAX_TRIES)
    return news


def _look(event: WebhookEvent) -> News:
    handler = HANDLERS.get((event.provider, event.type))
    return handler.look(event) if handler else News.NONE


def _act(event: WebhookEvent) -> None:
    HANDLERS[event.provider, event.type].act(event)
