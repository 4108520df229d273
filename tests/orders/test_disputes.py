import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.core import mail as outbox
from django.utils import timezone

from accounts.models import User
from audit.models import Difference
from audit.reconciliation import reconcile
from audit.remedies import adopt_difference
from audit.services import audit_orders
from orders.dispute_mails import send_due_mails
from orders.dispute_models import DisputeMail
from orders.disputes import record_dispute
from orders.models import Order
from orders.refund_answers import record_refund
from orders.services import finalize_order, mark_reviewed
from payments.dispute_models import Dispute
from payments.disputes import UnknownCharge, ask_for_dispute, look_up_dispute
from payments.gateway import GatewayUnavailable, ProviderDispute
from payments.refund_models import Refund
from payments.refunds import RefundTooLarge, count_left, refund_payment
from payments.services import charge_payment
from payments.stripe_webhooks import read_event
from payments.tasks import look_up_dispute as look_up_task
from payments.webhook_models import WebhookEvent
from payments.webhooks import process_due_events, receive_event
from tests.builders import everything, make_order, request_refund
from tests.provider import Provider
from tests.webhooks import sign

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]
EVENTS = ["charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"]


@pytest.fixture
def order() -> Order:
    placed = make_order()
    charge_payment(reference=placed.code)
    return finalize_order(code=placed.code)


@pytest.fixture
def dispute(order: Order, provider: Provider) -> str:
    """The provider's id of an open dispute about the order, of which we don't know yet."""
    return provider.open_dispute(str(order.payment.provider_id), reason="product_not_received")


def look_up(dispute: str) -> Dispute:
    look_up_dispute(gateway="stripe", provider_id=dispute)
    return Dispute.objects.get()


def rows() -> list[Any]:
    models = (Dispute, DisputeMail, WebhookEvent)
    return [everything(), *(list(model._default_manager.order_by("pk").values()) for model in models)]


def told(order: Order) -> list[tuple[str, Any]]:
    events = order.events.filter(kind__startswith="dispute").order_by("pk")
    return [(event.kind, event.data.get("outcome", event.data["reason"])) for event in events]


def test_a_dispute_that_opens_is_an_event_a_review_and_a_mail(order: Order, dispute: str) -> None:
    known = look_up(dispute)

    assert (known.status, known.amount, known.currency, known.payment) == ("OPEN", order.total, "GBP", order.payment)
    assert known.respond_by
    assert known.respond_by > timezone.now() + timedelta(days=6)
    event = order.events.get(kind="dispute_opened")
    assert event.data["amount"] == order.total
    assert event.data["reason"] == "product_not_received"
    assert datetime.fromisoformat(event.data["until"]) == known.respond_by
    order.refresh_from_db()
    assert (order.status, order.needs_review) == ("CONFIRMED", True)
    assert order.review_reason == f"dispute {dispute} is open: product_not_received"
    assert DisputeMail.objects.get().kind == "opened"


def test_the_audit_asks_for_the_row_and_is_clean_with_it(order: Order, dispute: str, provider: Provider) -> None:
    provider.execute("UPDATE dispute SET created = created - interval '5 minutes'")
    assert [(found["invariant"], found["codes"]) for found in audit_orders()["violations"]] == [("A10", [order.code])]

    look_up(dispute)
    assert audit_orders()["violations"] == []

    mark_reviewed(code=order.code, actor=make_staff(), note="Evidence sent.")
    assert audit_orders()["violations"] == []


@pytest.mark.parametrize(
    ("how", "status", "needs_review"), [("win", Dispute.Status.WON, False), ("lose", Dispute.Status.LOST, True)]
)
def test_a_dispute_that_ends_is_told_once_more(
    order: Order, dispute: str, provider: Provider, how: Any, status: Dispute.Status, needs_review: bool
) -> None:
    look_up(dispute)
    mark_reviewed(code=order.code, actor=make_staff(), note="Evidence sent.")
    provider.end_dispute(dispute, how)
    assert not audit_orders()["ok"]

    known = look_up(dispute)

    assert (known.status, known.closed_at is not None) == (status, True)
    assert told(order) == [("dispute_opened", "product_not_received"), ("dispute_closed", status)]
    order.refresh_from_db()
    assert (order.status, order.needs_review) == ("CONFIRMED", needs_review)
    assert list(DisputeMail.objects.order_by("pk").values_list("kind", flat=True)) == ["opened", status.lower()]
    assert audit_orders()["violations"] == []


def test_a_dispute_is_first_heard_of_at_its_end(order: Order, dispute: str, provider: Provider) -> None:
    provider.end_dispute(dispute, "lose")

    look_up(dispute)

    assert told(order) == [("dispute_opened", "product_not_received"), ("dispute_closed", "LOST")]
    assert [mail.kind for mail in DisputeMail.objects.all()] == ["lost"]
    assert audit_orders()["violations"] == []


def test_a_dispute_that_was_won_and_is_lost_after_all_is_told_again(
    order: Order, dispute: str, provider: Provider, settings: LazySettings
) -> None:
    settings.STAFF_EMAILS = ["money@example.com"]
    provider.end_dispute(dispute, "win")
    look_up(dispute)
    provider.end_dispute(dispute, "lose")
    assert [found["codes"] for found in audit_orders()["violations"]] == [[order.code]]

    look_up(dispute)

    assert told(order)[1:] == [("dispute_closed", "WON"), ("dispute_closed", "LOST")]
    order.refresh_from_db()
    assert order.needs_review
    assert send_due_mails() == 2
    assert [sent.subject for sent in outbox.outbox] == [
        f"Order {order.code}: the dispute about £5.00 is won",
        f"Order {order.code}: the dispute about £5.00 is lost",
    ]
    assert ["came back" in outbox.outbox[0].body, "gone for good" in outbox.outbox[1].body] == [True, True]
    assert audit_orders()["violations"] == []


def test_a_dispute_that_is_lost_once_more_is_mailed_once_more(
    order: Order, dispute: str, settings: LazySettings
) -> None:
    settings.STAFF_EMAILS = ["money@example.com"]
    made, asked_at = ask_for_dispute(gateway="stripe", provider_id=dispute)
    lost, won = replace(made, status="lost"), replace(made, status="won")
    for hours, said in enumerate((lost, won, lost)):
        record_dispute(gateway="stripe", made=said, asked_at=asked_at + timedelta(hours=hours))
        send_due_mails()

    first, second, third = [sent.subject for sent in outbox.outbox]
    assert (first[-7:], second[-6:], third) == ("is lost", "is won", first)
    assert not DisputeMail.objects.filter(sent_at=None).exists()


def test_a_repeat_says_nothing_new(order: Order, dispute: str) -> None:
    known = look_up(dispute)
    before = rows()

    again = look_up(dispute)

    assert again.checked_at > known.checked_at
    Dispute.objects.update(checked_at=known.checked_at)
    assert rows() == before


def test_an_older_answer_changes_nothing(order: Order, dispute: str, provider: Provider) -> None:
    provider.end_dispute(dispute, "win")
    known = look_up(dispute)
    before = rows()
    said: dict[str, Any] = {"provider_id": dispute, "charge_id": str(order.payment.provider_id), "amount": order.total}
    said |= {"currency": "GBP", "reason": "fraudulent", "respond_by": None, "created_at": datetime.now(UTC)}

    record_dispute(
        gateway="stripe",
        made=ProviderDispute(**said, status="open"),
        asked_at=known.checked_at - timedelta(seconds=1),
    )

    assert rows() == before


def test_a_dispute_about_another_shops_charge_is_left_alone(provider: Provider, order: Order) -> None:
    provider.charge_again("T-elsewhere", amount=300)
    theirs = str(provider.request("GET", "/v1/payment_intents?limit=1").json["data"][0]["id"])
    dispute = provider.open_dispute(theirs)
    before = rows()

    with pytest.raises(UnknownCharge):
        look_up_dispute(gateway="stripe", provider_id=dispute)
    look_up_task("stripe", dispute)

    assert rows() == before


def test_nothing_is_known_while_the_provider_does_not_answer(order: Order, dispute: str, provider: Provider) -> None:
    provider.control(fault="down")
    before = rows()

    with pytest.raises(GatewayUnavailable):
        look_up_dispute(gateway="stripe", provider_id=dispute)
    look_up_task("stripe", dispute)

    assert rows() == before


def test_what_a_bank_has_taken_back_is_not_refunded_a_second_time(
    order: Order, provider: Provider, dispute: str
) -> None:
    assert count_left(order.payment) == order.total
    look_up(dispute)
    assert count_left(order.payment) == 0

    provider.end_dispute(dispute, "win")
    look_up(dispute)
    assert count_left(order.payment) == order.total


def test_a_won_dispute_that_is_lost_after_the_money_was_refunded_leaves_the_books_right(
    order: Order, provider: Provider, dispute: str
) -> None:
    provider.end_dispute(dispute, "win")
    look_up(dispute)
    refund = request_refund(order, amount=order.total)
    refund_payment(key=refund.key)
    record_refund(key=refund.key)

    provider.end_dispute(dispute, "lose")
    look_up(dispute)

    order.refresh_from_db()
    assert (order.refunded, order.needs_review, count_left(order.payment)) == (order.total, True, 0)
    assert audit_orders()["violations"] == []
    with pytest.raises(RefundTooLarge):
        request_refund(order, number=2, amount=1)


def test_staff_are_mailed_the_amount_the_reason_and_the_deadline(
    order: Order, dispute: str, settings: LazySettings
) -> None:
    settings.STAFF_EMAILS, settings.SHOP_URL = ["money@example.com", "ann@example.com"], "https://shop.example.com"
    known = look_up(dispute)

    assert (send_due_mails(), send_due_mails()) == (1, 0)

    [message] = outbox.outbox
    assert message.to == settings.STAFF_EMAILS
    assert message.subject == f"Order {order.code}: a customer's bank takes £5.00 back"
    for text in ("product_not_received", dispute, f"{known.respond_by:%Y-%m-%d %H:%M} UTC"):
        assert text in message.body
    assert f"https://shop.example.com/admin/orders/order/{order.pk}/change/" in message.body


def test_nobody_is_mailed_where_the_shop_names_nobody(order: Order, dispute: str) -> None:
    look_up(dispute)

    assert send_due_mails() == 0

    assert outbox.outbox == []
    assert DisputeMail.objects.get().sent_at


def test_a_lost_dispute_is_mailed_as_lost(
    order: Order, dispute: str, provider: Provider, settings: LazySettings
) -> None:
    settings.STAFF_EMAILS = ["money@example.com"]
    provider.end_dispute(dispute, "lose")
    look_up(dispute)

    send_due_mails()

    assert "is lost: £5.00 is gone for good" in outbox.outbox[0].body


def receive(kind: str, order: Order, dispute: str, settings: LazySettings) -> WebhookEvent | None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec"]
    about: dict[str, Any] = {
        "id": dispute,
        "object": "dispute",
        "payment_intent": order.payment.provider_id,
        "metadata": {},
    }
    event = {"id": f"evt_{uuid4().hex}", "object": "event", "type": kind, "data": {"object": about}}
    body = json.dumps(event).encode()
    return receive_event(read_event(body, sign(body, "whsec")))


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The messages of dispute tasks; the task is run at once, as a worker would."""
    sent: list[tuple[Any, ...]] = []

    def send_task(name: str, args: tuple[str, str], **_: object) -> None:
        sent.append((name, *args))
        look_up_task(*args)

    monkeypatch.setattr("celery.current_app.send_task", send_task)
    return sent


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_is_a_hint_to_ask_for_the_dispute(
    order: Order, dispute: str, settings: LazySettings, published: list[Any], kind: str
) -> None:
    event = receive(kind, order, dispute, settings)
    assert event
    WebhookEvent.objects.update(process_after=timezone.now())

    process_due_events()

    assert published == [("payments.tasks.look_up_dispute", "stripe", dispute)]
    assert Dispute.objects.get().status == "OPEN"  # whatever the event is called
    assert WebhookEvent.objects.waiting().exists()  # until it was looked at once more

    WebhookEvent.objects.update(process_after=timezone.now())
    process_due_events()
    assert len(published) == 1
    assert WebhookEvent.objects.processed().exists()


def test_an_event_about_another_shops_dispute_waits_and_asks_nobody(
    order: Order, settings: LazySettings, published: list[Any]
) -> None:
    order.payment.provider_id = "pi_elsewhere"

    assert receive(EVENTS[0], order, "dp_elsewhere", settings) is None

    WebhookEvent.objects.update(process_after=timezone.now())
    process_due_events()
    assert published == []


def test_a_dispute_whose_webhook_was_lost_is_found(order: Order, dispute: str) -> None:
    reconcile()

    difference = Difference.objects.get()
    assert (difference.kind, difference.reference, difference.provider_id) == ("dispute_differs", order.code, dispute)
    assert (difference.amount_there, difference.amount_here) == (order.total, 0)

    look_up(dispute)
    reconcile()
    difference.refresh_from_db()
    assert difference.resolution == "gone"


def make_staff() -> User:
    return User.objects.create_user("staff@example.com", is_staff=True)


@pytest.mark.parametrize("how", ["win", "lose", None])
def test_what_was_given_back_at_the_provider_is_adopted_though_the_bank_takes_the_money_back_too(
    order: Order, provider: Provider, how: Any
) -> None:
    charge = str(order.payment.provider_id)
    provider.refund(charge, amount=order.total)
    dispute = provider.open_dispute(charge)
    look_up(dispute)
    if how:
        provider.end_dispute(dispute, how)
        look_up(dispute)
    reconcile()

    adopt_difference(pk=Difference.objects.get().pk, actor=make_staff(), note="Given back at the provider.")

    record_refund(key=Refund.objects.get().key)
    order.refresh_from_db()
    assert (order.refunded, count_left(order.payment)) == (order.total, 0)
    assert audit_orders()["violations"] == []


def test_the_review_of_a_dispute_outlives_the_end_of_its_order(provider: Provider) -> None:
    placed = make_order()
    charge_payment(reference=placed.code)
    placed.payment.refresh_from_db()
    look_up(provider.open_dispute(str(placed.payment.provider_id)))

    ended = finalize_order(code=placed.code)

    assert (ended.status, ended.needs_review) == ("CONFIRMED", True)
    mark_reviewed(code=placed.code, actor=make_staff(), note="Evidence sent.")
    assert audit_orders()["violations"] == []
