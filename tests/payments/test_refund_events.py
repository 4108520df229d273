"""What a provider tells of refunds unasked is a hint: whatever it says, the provider is asked."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from audit.services import audit_orders
from orders.models import Order
from orders.refund_answers import record_refund
from payments.refund_models import Refund
from payments.refunds import check_refund, claim_due_refunds, refund_payment
from payments.stripe import StripeGateway
from payments.webhook_models import WebhookEvent
from payments.webhooks import process_due_events, process_event, receive_event
from tests.builders import everything, make_confirmed, request_refund

pytestmark = pytest.mark.django_db(transaction=True)
KINDS = ["charge.refunded", "refund.updated", "refund.failed"]


@pytest.fixture
def refund(gateway: StripeGateway, empty_ledger: None) -> Refund:
    return request_refund(make_confirmed(), units=2)


def receive(refund: Refund, kind: str) -> WebhookEvent | None:
    event = WebhookEvent(provider="stripe", event_id=f"evt_{timezone.now()}", type=kind, body="{}")
    event.reference = refund.payment.reference
    return receive_event(event)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_hastens_a_refund_without_an_answer(refund: Refund, kind: str) -> None:
    event = receive(refund, kind)
    assert event
    assert claim_due_refunds() == []

    process_event(pk=event.pk)

    assert claim_due_refunds() == [refund]
    refund_payment(key=refund.key)
    WebhookEvent.objects.update(process_after=Now())
    process_due_events()
    assert WebhookEvent.objects.processed().count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_waits_while_somebody_asks(refund: Refund, kind: str) -> None:
    Refund.objects.update(in_flight_until=Now() + timedelta(hours=1))

    assert receive(refund, kind) is None

    WebhookEvent.objects.update(process_after=Now())
    process_due_events()
    assert claim_due_refunds() == []
    assert WebhookEvent.objects.waiting().count() == 1


def end(refund: Refund) -> None:
    refund_payment(key=refund.key)
    record_refund(key=refund.key)


def test_an_event_that_says_that_a_refund_failed_is_not_believed(refund: Refund) -> None:
    end(refund)
    before = everything()
    event = receive(refund, "refund.failed")
    assert event

    process_event(pk=event.pk)
    for due in claim_due_refunds():
        check_refund(key=due.key)
        record_refund(key=due.key)

    WebhookEvent.objects.update(process_after=Now())
    process_due_events()
    assert WebhookEvent.objects.processed().count() == 1
    after = everything()
    assert [row["status"] for row in after.pop("Refund")] == ["SUCCEEDED"]
    assert before.pop("Refund")
    assert after == before
    assert audit_orders()["ok"]


def test_an_event_of_our_own_success_asks_nobody(refund: Refund) -> None:
    end(refund)
    assert receive(refund, "charge.refunded") is None
    assert WebhookEvent.objects.processed().count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_of_a_refund_that_is_not_ours_is_stored_and_nothing_more(
    gateway: StripeGateway, empty_ledger: None, kind: str
) -> None:
    order: Order = make_confirmed()
    event = WebhookEvent(provider="stripe", event_id="evt_1", type=kind, body="{}", reference=order.code)
    assert receive_event(event) is None
    assert WebhookEvent.objects.processed().count() == 1
