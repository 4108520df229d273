"""What a provider tells us unasked is stored once and taken for a hint: whatever it says, it does no harm."""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.conf import LazySettings
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.http import HttpResponse
from django.test import Client
from kombu.exceptions import OperationalError as BrokerDown
from pytest_django import DjangoAssertNumQueries

import purge
from orders.models import Order
from orders.services import cancel_order, finalize_order
from payments import tasks, webhooks
from payments.gateway import GatewayUnavailable
from payments.models import Payment
from payments.services import charge_payment
from payments.webhook_models import WebhookEvent
from payments.webhooks import MAX_TRIES, delete_old_events, process_due_events, process_event, replay_events
from tests.builders import answer_payment, everything, make_order, make_product, stock_of, tamper
from tests.provider import Provider
from tests.webhooks import CANCELED, FAILED, PATH, PROCESSING, REQUIRES_ACTION, SUCCEEDED, make_event, sign

SECRET, OLD_SECRET = "whsec_new", "whsec_old"
Status = Payment.Status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _secrets(settings: LazySettings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET, OLD_SECRET]


class Messages:
    """What was published, run when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, tuple[Any, ...]]] = []

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for task, arguments in self.waiting if task.endswith(f".{name}")]


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Messages:
    """The broker, which keeps every message. A chain is kept as its first task's message and what follows it."""
    kept = Messages()

    def keep(task: Any, args: Any = None, kwargs: Any = None, **options: Any) -> None:
        kept.waiting.append((task.name, tuple(args or ())))
        for link in reversed(options.get("chain") or []):
            kept.waiting.append((link["task"], tuple(link["args"])))

    monkeypatch.setattr("celery.app.task.Task.apply_async", keep)
    return kept


def send(body: bytes, *, secret: str = SECRET, **headers: str) -> HttpResponse:
    given = {"Stripe-Signature": sign(body, secret)} | headers
    return Client(raise_request_exception=False).post(PATH, body, content_type="application/json", headers=given)  # type: ignore[return-value]


def send_at_once(bodies: list[bytes]) -> set[int]:
    """Send all of them, 16 at a time. Return the statuses of the answers."""

    def send_and_close(body: bytes) -> int:
        try:
            return send(body).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        return set(pool.map(send_and_close, bodies))


def ask(order: Order) -> None:
    """The provider was asked about the order, and its answer is unknown."""
    answer_payment(order, Status.SENT)


def deliver(order: Order, kind: str = SUCCEEDED, **changes: Any) -> WebhookEvent:
    assert send(make_event(order.code, kind, **changes)).status_code == 200
    return WebhookEvent.objects.latest("pk")


def make_due(event: WebhookEvent) -> None:
    WebhookEvent.objects.filter(pk=event.pk).update(process_after=Now())


def state(event: WebhookEvent) -> str:
    event.refresh_from_db()
    return "processed" if event.processed_at else "waiting" if event.process_after else "given up"


def test_an_event_is_stored_as_it_came(messages: Messages) -> None:
    order = make_order()
    ask(order)
    body = make_event(order.code, note="한국어 \\u0000")

    answer = send(body)

    assert (answer.status_code, answer.content) == (200, b"")
    event = WebhookEvent.objects.get()
    assert event.body.encode() == body
    assert (event.provider, event.type, event.reference) == ("stripe", SUCCEEDED, order.code)
    assert event.event_id == json.loads(body)["id"]
    assert messages.of("process_webhook_event") == [(event.pk,)]


def test_without_a_secret_there_is_no_such_address(settings: LazySettings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = []

    for answer in (send(make_event("x")), send(make_event("x"), secret=""), Client().get(PATH)):
        assert answer.status_code == 404
    assert not WebhookEvent.objects.exists()


def test_only_a_post_is_taken() -> None:
    assert Client().get(PATH).status_code == 405


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_each_of_the_secrets_may_sign(secret: str, messages: Messages) -> None:
    assert send(make_event("x"), secret=secret).status_code == 200
    assert WebhookEvent.objects.count() == 1


def test_one_signature_of_several_is_enough() -> None:
    """While a secret is rolled Stripe signs with both."""
    body = make_event("x")
    ours, theirs = sign(body, SECRET), sign(body, "whsec_unknown")

    answer = send(body, **{"Stripe-Signature": f"{theirs},{ours.partition(',')[2]}"})

    assert answer.status_code == 200


BODY = make_event("x")
FORGED = {
    "nothing": "",
    "junk": "hello",
    "no time": sign(BODY, SECRET).partition(",")[2],
    "no signature": sign(BODY, SECRET).partition(",")[0],
    "another secret": sign(BODY, "whsec_another"),
    "an empty secret": sign(BODY, ""),
    "another body": sign(BODY + b" ", SECRET),
    "another scheme": sign(BODY, SECRET).replace("v1=", "v0="),
    "other letters": sign(BODY, SECRET)[:-1] + "é",
    "a time of long ago": sign(BODY, SECRET, age=301),
    "last year": sign(BODY, SECRET, age=365 * 24 * 3600),
    "another time": sign(BODY, SECRET).replace("t=", "t=1"),
    "an endless time": "t=" + "9" * 5000 + ",v1=0",
}


@pytest.mark.parametrize("signature", FORGED.values(), ids=FORGED.keys())
def test_what_was_not_just_signed_is_refused_and_leaves_nothing(signature: str, messages: Messages) -> None:
    assert send(BODY, **{"Stripe-Signature": signature}).status_code == 400
    assert not WebhookEvent.objects.exists()
    assert messages.waiting == []


NO_EVENTS = {
    "nothing": b"",
    "no JSON": b"hello",
    "no UTF-8": b'{"id": "\xff"}',
    "a raw NUL": make_event("x").replace(b"evt_", b"evt_\0"),
    "a list": b"[]",
    "no fields": b"{}",
    "no type": make_event("x", type=None),
    "an id of another kind": make_event("x", id=7),
    "an id with a NUL": make_event("x", id="evt_\0"),
    "an endless id": make_event("x", id="e" * 256),
    "data of another kind": make_event("x", data="pi"),
    "an object of another kind": make_event("x", data={"object": "pi"}),
    "a deep nest": b'{"id": ' + b"[" * 100_000,
    "a list of lists": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("body", NO_EVENTS.values(), ids=NO_EVENTS.keys())
def test_what_is_signed_and_no_event_is_refused_and_leaves_nothing(body: bytes, messages: Messages) -> None:
    assert send(body).status_code == 400
    assert not WebhookEvent.objects.exists()
    assert messages.waiting == []


def test_a_body_of_more_than_a_megabyte_is_refused_unread(messages: Messages) -> None:
    largest = make_event("x", padding="")
    fits = largest.replace(b'"padding": ""', b'"padding": "%s"' % (b"x" * (2**20 - len(largest))))

    assert send(fits).status_code == 200
    assert send(fits + b" ").status_code == 413
    assert WebhookEvent.objects.count() == 1


@pytest.mark.parametrize(
    "about",
    [
        {"object": "payment_intent", "metadata": {"reference": "another shop's " * 3}},
        {"object": "payment_intent", "metadata": {"order": "7"}},
        {"object": "payment_intent", "metadata": {"reference": ["x"]}},
        {"object": "payment_intent", "metadata": {"reference": "\0"}},
        {"object": "payment_intent", "metadata": None},
        {"object": "payment_intent"},
    ],
)
def test_an_event_of_somebody_else_on_the_same_account_is_stored_and_that_is_all(
    about: dict[str, Any], messages: Messages
) -> None:
    assert send(make_event("", data={"object": about})).status_code == 200

    event = WebhookEvent.objects.get()
    assert (event.reference, state(event), messages.waiting) == ("", "processed", [])


def test_an_event_that_nothing_is_done_about_is_stored_and_that_is_all(messages: Messages) -> None:
    order = make_order()
    ask(order)
    messages.waiting.clear()

    for kind in ("payment_intent.created", "customer.created", "x" * 200):
        event = deliver(order, kind)
        assert (event.reference, state(event)) == (order.code, "processed")

    assert messages.waiting == []


def test_an_event_about_an_answered_payment_costs_two_statements_and_no_message(
    django_assert_num_queries: DjangoAssertNumQueries, messages: Messages
) -> None:
    order = make_order()
    answer_payment(order, Status.SUCCEEDED)
    finalize_order(code=order.code)
    messages.waiting.clear()

    with django_assert_num_queries(2):
        assert send(make_event(order.code)).status_code == 200

    assert state(WebhookEvent.objects.get()) == "processed"
    assert messages.waiting == []


def test_the_same_event_again_is_taken_and_changes_nothing(messages: Messages) -> None:
    order = make_order()
    ask(order)
    body = make_event(order.code)
    send(body)
    before = list(WebhookEvent.objects.values())
    published = messages.of("process_webhook_event")

    assert send(body).status_code == 200
    assert send_at_once([body] * 16) == {200}

    assert list(WebhookEvent.objects.values()) == before
    assert messages.of("process_webhook_event") == published


def test_the_same_event_at_the_same_time_is_stored_once(messages: Messages) -> None:
    assert send_at_once([make_event("x") for _ in range(10)] * 5) == {200}

    assert WebhookEvent.objects.count() == 10


@pytest.mark.parametrize("step", ["_store", "_look"])
def test_an_event_that_can_not_be_stored_is_not_taken(
    step: str, monkeypatch: pytest.MonkeyPatch, messages: Messages
) -> None:
    """Then the provider sends it again."""

    def fail(*_: object, **__: object) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(webhooks, step, fail)

    assert send(make_event("x")).status_code == 503
    assert messages.waiting == []


def test_while_the_broker_is_down_an_event_is_stored_and_left_to_the_sweep(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    order = make_order()
    ask(order)

    def fail(*_: object, **__: object) -> None:
        raise BrokerDown("Connection refused")

    monkeypatch.setattr(tasks.process_webhook_event, "apply_async", fail)

    event = deliver(order)

    assert state(event) == "waiting"
    assert f'is left to the sweep webhook_event={event.pk} reason="Connection refused"' in caplog.text


# What is done about it


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The references that the shop was told of."""
    told: list[str] = []
    monkeypatch.setattr("orders.tasks.take_up_order", told.append)
    return told


def test_an_event_about_an_unanswered_payment_is_told_on_until_there_is_an_answer(
    hints: list[str], messages: Messages
) -> None:
    order = make_order()
    ask(order)
    event = deliver(order)

    process_event(pk=event.pk)
    assert (hints, state(event), event.tries) == ([order.code], "waiting", 1)
    process_due_events()
    assert hints == [order.code], "its next look is not due"
    make_due(event)
    process_due_events()
    assert hints == [order.code] * 2

    answer_payment(order, Status.SUCCEEDED)
    make_due(event)
    process_due_events()

    assert (hints, state(event)) == ([order.code] * 2, "processed")


def test_an_event_about_a_payment_in_flight_waits_for_who_asks(hints: list[str], messages: Messages) -> None:
    """It is not processed either: the one who asks may die."""
    order = make_order()
    answer_payment(order, Status.SENT, in_flight_until=Now() + timedelta(minutes=1), in_flight_by="host 1 1")
    event = deliver(order)
    assert messages.of("process_webhook_event") == []

    make_due(event)
    process_due_events()
    assert (hints, state(event)) == ([], "waiting")

    Payment.objects.update(in_flight_until=Now())
    make_due(event)
    process_due_events()
    assert hints == [order.code]


@pytest.mark.parametrize(
    ("kind", "status", "is_news"),
    [
        (SUCCEEDED, Status.ACTION_REQUIRED, True),
        (FAILED, Status.ACTION_REQUIRED, True),
        (CANCELED, Status.ACTION_REQUIRED, True),
        (REQUIRES_ACTION, Status.SENT, True),
        (REQUIRES_ACTION, Status.ACTION_REQUIRED, False),
        (PROCESSING, Status.ACTION_REQUIRED, True),
        (PROCESSING, Status.SENT, False),
    ],
)
def test_an_event_is_news_while_our_rows_do_not_say_so(
    hints: list[str], messages: Messages, kind: str, status: Status, is_news: bool
) -> None:
    order = make_order()
    answer_payment(order, status)
    event = deliver(order, kind)

    process_event(pk=event.pk)

    assert (hints, state(event)) == (([order.code], "waiting") if is_news else ([], "processed"))


def test_an_event_before_its_order_is_known_waits_for_it(hints: list[str], messages: Messages) -> None:
    order = make_order()
    body = make_event(order.code.replace("-", "+"))
    assert send(body).status_code == 200
    event = WebhookEvent.objects.get()
    assert (messages.of("process_webhook_event"), state(event)) == ([], "waiting")

    make_due(event)
    process_due_events()
    assert (hints, state(event)) == ([], "waiting")

    WebhookEvent.objects.update(reference=order.code)
    make_due(event)
    process_due_events()
    assert hints == [order.code]


def test_an_event_that_tells_of_nothing_we_know_is_given_up(
    hints: list[str], messages: Messages, caplog: pytest.LogCaptureFixture
) -> None:
    assert send(make_event("nobody")).status_code == 200
    event = WebhookEvent.objects.get()

    for _ in range(MAX_TRIES + 2):
        WebhookEvent.objects.waiting().update(process_after=Now())
        process_due_events()

    assert (hints, state(event), event.tries) == ([], "given up", MAX_TRIES)
    assert caplog.text.count(f"is given up webhook_event={event.pk}") == 1


def test_looks_come_less_and_less_often(hints: list[str], messages: Messages) -> None:
    assert send(make_event("nobody")).status_code == 200
    event = WebhookEvent.objects.get()
    pauses = []
    for _ in range(3):
        make_due(event)
        process_due_events()
        event.refresh_from_db()
        assert event.process_after
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM process_after - now()) FROM payments_webhookevent")
            pauses.append(float(cursor.fetchone()[0]))

    assert pauses[0] < pauses[1] < pauses[2] < 10


def test_one_event_that_fails_holds_up_no_other(
    hints: list[str], messages: Messages, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, down, good = make_order(), make_order(), make_order()
    events = []
    for order in (bad, down, good):
        ask(order)
        events.append(deliver(order))
        make_due(events[-1])

    def fail(code: str) -> None:
        if code == bad.code:
            raise RuntimeError("a bug")
        if code == down.code:
            raise BrokerDown("Connection refused")
        hints.append(code)

    monkeypatch.setattr("orders.tasks.take_up_order", fail)
    with caplog.at_level(logging.WARNING):
        process_due_events()

    assert hints == [good.code]
    assert [state(event) for event in events] == ["waiting"] * 3
    assert "a bug" in caplog.text
    assert "is left to a later look" in caplog.text


def test_sweeps_at_the_same_time_share_the_events(messages: Messages, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("orders.tasks.take_up_order", told.append)
    orders = [make_order(stock_of_its_own(number)) for number in range(8)]
    for order in orders:
        ask(order)
        make_due(deliver(order))

    def sweep(_: int) -> None:
        try:
            process_due_events(limit=2)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sweep, range(8)))

    assert sorted(told) == sorted(set(told))


def stock_of_its_own(number: int) -> dict[str, int]:
    return {f"MUG-{number}": 1}


# The whole way, against the provider


@pytest.fixture
def run(messages: Messages) -> Callable[[], None]:
    """Runs what is published, in turn, as the workers do, until nothing is left."""

    def run_all() -> None:
        while messages.waiting:
            name, arguments = messages.waiting.pop(0)
            current_app.tasks[name](*arguments)

    return run_all


@pytest.fixture
def unknown(gateway: object, empty_ledger: None) -> Callable[[str], Order]:
    """Makes an order whose payment was sent with this card, and whose outcome the shop does not know yet."""

    def make(payment_method: str) -> Order:
        order = make_order(payment_method=payment_method)
        with pytest.raises(GatewayUnavailable):
            charge_payment(reference=order.code)
        return order

    return make


LIES = [SUCCEEDED, FAILED, CANCELED]


@pytest.mark.parametrize("kind", LIES)
def test_whatever_an_event_says_the_provider_is_asked_and_the_order_ends_as_it_answers(
    unknown: Callable[[str], Order], messages: Messages, run: Callable[[], None], kind: str
) -> None:
    order = unknown("pm_sandbox_drop")
    messages.waiting.clear()

    event = deliver(order, kind)
    run()

    order.refresh_from_db()
    assert (order.status, stock_of("MUG")) == ("CONFIRMED", (9, 0))
    make_due(event)
    process_due_events()
    assert state(event) == "processed"


def test_an_event_of_success_charges_no_payment_that_failed(
    messages: Messages, run: Callable[[], None], gateway: object, empty_ledger: None, provider: Provider
) -> None:
    order = make_order(payment_method="pm_card_visa_chargeDeclined")
    run()
    before = everything()

    for kind in LIES:
        deliver(order, kind)
        run()

    assert everything() == before
    assert Order.objects.get().status == "CANCELLED"
    assert [intent["status"] for intent in provider.request("GET", "/v1/payment_intents").json["data"]] == [
        "requires_payment_method"
    ]


def test_an_order_paid_slowly_is_confirmed_by_its_event_and_not_by_a_sweep(
    unknown: Callable[[str], Order], provider: Provider, messages: Messages, run: Callable[[], None]
) -> None:
    order = unknown("pm_sandbox_processing")
    messages.waiting.clear()
    while provider.request("GET", "/v1/payment_intents").json["data"][0]["status"] == "processing":
        pass

    deliver(order)
    run()

    order.refresh_from_db()
    assert (order.status, order.sweeps) == ("CONFIRMED", 0)


def test_an_event_of_an_order_past_its_deadline_has_it_cancelled_and_not_charged(
    messages: Messages, run: Callable[[], None], gateway: object, empty_ledger: None, provider: Provider
) -> None:
    order = make_order()
    provider.control(fault="down")
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=order.code)
    provider.control()
    Order.objects.update(expires_at=Now())
    messages.waiting.clear()

    deliver(order, FAILED)
    run()

    order.refresh_from_db()
    assert (order.status, order.cancel_reason, stock_of("MUG")) == ("CANCELLED", "expired", (10, 0))


def test_an_event_of_a_paid_order_that_the_customer_cancels_confirms_it(
    unknown: Callable[[str], Order], messages: Messages, run: Callable[[], None]
) -> None:
    order = unknown("pm_sandbox_drop")
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)
    messages.waiting.clear()

    deliver(order)
    run()

    order.refresh_from_db()
    assert (order.status, stock_of("MUG")) == ("CONFIRMED", (9, 0))


@pytest.mark.parametrize("kind", LIES)
@pytest.mark.parametrize("answer", [Status.SUCCEEDED, Status.DECLINED, Status.CANCELLED])
def test_late_events_in_any_order_change_nothing_of_a_final_order(
    messages: Messages, run: Callable[[], None], kind: str, answer: Payment.Status
) -> None:
    """There is no provider: nobody asks it."""
    order = make_order()
    answer_payment(order, answer)
    finalize_order(code=order.code)
    messages.waiting.clear()
    before = everything()

    deliver(order, kind)
    deliver(order, FAILED)
    deliver(order, SUCCEEDED)
    assert messages.waiting == []
    replay_events(WebhookEvent.objects.all())
    process_due_events()
    run()

    assert everything() == before
    assert WebhookEvent.objects.processed().count() == 3


def test_last_years_event_sent_again_today_changes_nothing(messages: Messages, run: Callable[[], None]) -> None:
    order = make_order()
    ask(order)
    body = make_event(order.code, FAILED)
    send(body)
    answer_payment(order, Status.SUCCEEDED)
    finalize_order(code=order.code)
    WebhookEvent.objects.update(received_at=Now() - timedelta(days=400), process_after=None)
    delete_old_events()
    messages.waiting.clear()
    before = everything()

    assert send(body).status_code == 200

    assert (everything(), messages.waiting) == (before, [])
    assert state(WebhookEvent.objects.get()) == "processed"


def test_an_order_that_is_final_is_not_taken_up(messages: Messages) -> None:
    """Its payment may be unanswered only by a hand that changed the row."""
    order = make_order()
    answer_payment(order, Status.SUCCEEDED)
    finalize_order(code=order.code)
    tamper("UPDATE payments_payment SET status = 'SENT', provider_id = NULL WHERE reference = %s", order.code)
    messages.waiting.clear()

    process_event(pk=deliver(order).pk)

    assert messages.of("charge_payment") == []


# Rows are kept for a while


def test_events_are_deleted_after_webhook_days_and_not_before(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch, messages: Messages
) -> None:
    settings.WEBHOOK_DAYS = 3
    monkeypatch.setattr(purge, "BATCH", 4)
    make_product()
    for _ in range(10):
        send(make_event("x"))
    WebhookEvent.objects.update(received_at=Now() - timedelta(days=3, seconds=1), process_after=None)
    send(make_event("waiting"))
    WebhookEvent.objects.filter(reference="waiting").update(received_at=Now() - timedelta(days=4))
    send(make_event("y"))
    WebhookEvent.objects.filter(reference="y").update(received_at=Now() - timedelta(days=3) + timedelta(minutes=1))

    tasks.delete_old_webhook_events()

    assert {event.reference for event in WebhookEvent.objects.all()} == {"y", "waiting"}


def test_a_replayed_event_is_processed_as_if_it_came_just_now(hints: list[str], messages: Messages) -> None:
    order = make_order()
    ask(order)
    event = deliver(order)
    WebhookEvent.objects.update(tries=MAX_TRIES, process_after=None)
    assert state(event) == "given up"

    assert replay_events(WebhookEvent.objects.all()) == 1
    tasks.sweep_webhook_events()

    assert (hints, state(event), event.tries) == ([order.code], "waiting", 1)


# What was stored before it was checked, or by another version.
ODD_BODIES = [
    "",
    "hello",
    "null",
    "7",
    "[]",
    '"data"',
    "{}",
    '{"data": null}',
    '{"data": []}',
    '{"data": {"object": ["dp_1"]}}',
    '{"data": {"object": null}}',
    '{"data": {"object": {"id": {"a": 1}, "payment_intent": ["pi_1"]}}}',
    '{"data": {"object": {"id": "dp_\\u0000", "payment_intent": "pi_\\ud800"}}}',
    '{"data": {"object": {"id": "%s", "payment_intent": null}}}' % ("x" * 300),
    "[" * 100_000,
]


@pytest.mark.parametrize("body", ODD_BODIES, ids=lambda body: body[:40])
@pytest.mark.parametrize("kind", ["charge.dispute.created", "charge.refunded", SUCCEEDED])
def test_a_stored_body_of_any_shape_holds_up_no_other_event(messages: Messages, kind: str, body: str) -> None:
    order = make_order()
    ask(order)
    WebhookEvent.objects.create(provider="stripe", event_id="evt_odd", type=kind, body=body, process_after=Now())
    good = deliver(order)
    make_due(good)
    messages.waiting.clear()

    process_due_events()

    assert messages.of("charge_payment") == [(order.code,)]
    assert messages.of("look_up_dispute") == []


def test_a_dispute_without_a_payment_is_not_taken_for_one_of_a_payment_that_has_no_id(messages: Messages) -> None:
    make_order()
    assert Payment.objects.filter(provider_id=None).exists()

    event = deliver(make_order(), "charge.dispute.created", data={"object": {"id": "dp_1", "payment_intent": None}})

    assert messages.of("look_up_dispute") == []
    assert state(event) == "waiting"
