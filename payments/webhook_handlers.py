"""What an event may tell, and what is done about it, for each type: our own rows and the provider say what is true."""

from collections.abc import Callable, Container
from enum import Enum, auto
from functools import partial
from typing import NamedTuple

from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from payments.dispute_models import Dispute
from payments.models import Payment
from payments.refund_models import Refund, RefundQuerySet
from payments.refunds import hasten_refunds
from payments.webhook_models import WebhookEvent

Status = Payment.Status

LOOK_UP_DISPUTE = "payments.tasks.look_up_dispute"
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
    dispute, payment = event.read_id("id"), event.read_id("payment_intent")
    if not dispute:
        return News.NONE
    same = Dispute.objects.filter(gateway=event.provider, provider_id=dispute)
    if event.pk and same.filter(checked_at__gt=event.received_at).exists():
        return News.NONE
    # Others may use the same account.
    is_ours = Payment.objects.filter(gateway=event.provider, provider_id=payment).exists()
    return News.NOW if is_ours else News.LATER


def tell_of_dispute(event: WebhookEvent) -> None:
    """Publish the question to the provider, by the name of its task: tasks are above this module."""
    asked = (event.provider, event.read_id("id"))
    current_app.send_task(LOOK_UP_DISPUTE, asked, expires=settings.CLOCK_SKEW)


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
    hasten_refunds(_find_doubtful(event))


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


def _find_doubtful(event: WebhookEvent) -> RefundQuerySet:
    ours = Refund.objects.of_reference(event.reference)
    if event.type == "charge.refunded":  # comes with each success, and never tells of a later failure
        return ours.open()
    return ours.in_doubt(event.received_at if event.pk else Now())  # the first look is before it is stored
