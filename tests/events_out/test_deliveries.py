"""How endpoints are told: signed, at least once, in order per order; who is dead holds up nobody."""

import json
import time
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail as outbox
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

from events_out import deliveries
from events_out.answers import GIVE_UP_AFTER, PAUSES, find_next_try, record_failure, record_success
from events_out.deliveries import claim_delivery, delete_old_deliveries, deliver_to_endpoint, plan_deliveries
from events_out.endpoints import replay_deliveries, rotate_secret, send_test, switch_off, switch_on
from events_out.feed import settle_events
from events_out.mails import send_due_mails
from events_out.models import Delivery, Endpoint, EndpointMail
from events_out.posting import Answer
from orders.models import Order, OrderEvent
from orders.services import cancel_order
from tests.builders import everything, make_endpoint, make_order
from tests.concurrency.race import close_after, race
from tests.locks import our_pid
from tests.receiver import Receiver

pytestmark = pytest.mark.django_db
with_threads = pytest.mark.django_db(transaction=True)  # each with a transaction of its own


def plan() -> None:
    settle_events()
    plan_deliveries()


def deliver(*endpoints: Endpoint) -> None:
    """What beat and the workers do, once, for these endpoints."""
    plan()
    for endpoint in endpoints:
        deliver_to_endpoint(pk=endpoint.pk)


def let_time_pass() -> None:
    """Every pause is over."""
    Delivery.objects.waiting().update(deliver_after=Now())
    Endpoint.objects.update(resting_until=None)


def cancel(order: Order) -> None:
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)


def kinds(receiver: Receiver) -> list[tuple[str, str]]:
    """The order and the type of each event that was received."""
    told = [json.loads(request.body) for request in receiver.requests]
    return [(event["data"]["order"]["code"], event["type"]) for event in told]


def test_an_endpoint_is_told_of_what_it_wants_to_hear_signed_and_once(receiver: Receiver) -> None:
    make_order()
    endpoint = make_endpoint(receiver.url, "order.placed")
    order = make_order()
    cancel(order)

    deliver(endpoint)
    deliver(endpoint)

    (request,) = receiver.requests
    event = OrderEvent.objects.get(order=order, kind="placed")
    told = request.verify(endpoint.secret)
    assert request.id == told["id"] == f"evt_{event.pk}"
    assert (told["type"], told["data"]["order"]["code"]) == ("order.placed", order.code)
    assert request.headers["content-type"] == "application/json"
    delivery = Delivery.objects.get()
    assert (delivery.tries, delivery.answer_status, delivery.deliver_after) == (1, 204, None)


def test_nothing_is_delivered_that_is_not_committed(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    order = make_order()
    with transaction.atomic():
        order.add_event(OrderEvent.Kind.REVIEW_NEEDED, reason="never")
        transaction.set_rollback(True)

    deliver(endpoint)

    assert kinds(receiver) == [(order.code, "order.placed")]


def test_a_failure_is_tried_again_later_with_the_same_id_and_a_new_signature(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    receiver.status, receiver.answer = 500, b"out of shelves"
    deliver(endpoint)

    failed = Delivery.objects.get()
    assert (failed.tries, failed.answer_status, failed.answer) == (1, 500, "out of shelves")
    assert failed.last_error == "It answered 500."
    assert failed.deliver_after is not None

    deliver(endpoint)
    assert len(receiver.requests) == 1  # not before its time
    let_time_pass()
    receiver.status = 200
    deliver(endpoint)
    assert len(set(receiver.ids)) == 1
    assert len(receiver.requests) == 2
    receiver.requests[1].verify(endpoint.secret)
    assert Delivery.objects.delivered().count() == 1
    assert Endpoint.objects.get().failing_since is None


@pytest.mark.parametrize("status", [301, 400, 404, 429, 503])
def test_every_answer_but_a_success_is_a_failure(receiver: Receiver, status: int) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    receiver.status, receiver.headers = status, {"Location": receiver.url + "/moved"}

    deliver(endpoint)

    assert Delivery.objects.waiting().get().answer_status == status
    assert len(receiver.requests) == 1


def test_the_events_of_an_order_arrive_in_order_and_others_do_not_wait(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    first = make_order()
    cancel(first)
    placed = OrderEvent.objects.get(order=first, kind="placed")
    receiver.statuses[f"evt_{placed.pk}"] = 500
    deliver(endpoint)
    Endpoint.objects.update(resting_until=None)
    second = make_order()

    deliver(endpoint)
    assert kinds(receiver) == [(first.code, "order.placed"), (second.code, "order.placed")]

    let_time_pass()
    receiver.statuses.clear()
    deliver(endpoint)
    assert kinds(receiver)[2:] == [(first.code, "order.placed"), (first.code, "order.cancelled")]


def test_an_order_whose_event_was_given_up_goes_on(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    order = make_order()
    cancel(order)
    plan()
    Delivery.objects.filter(event__kind="placed").update(tries=len(PAUSES))
    receiver.status = 400
    deliver(endpoint)
    assert Delivery.objects.given_up().get().tries == len(PAUSES) + 1

    receiver.status = 204
    let_time_pass()
    deliver(endpoint)
    assert kinds(receiver) == [(order.code, "order.placed"), (order.code, "order.cancelled")]


def test_ten_tries_take_a_bit_more_than_three_days() -> None:
    assert timedelta(days=3) < timedelta(seconds=sum(PAUSES)) < timedelta(days=4)
    assert find_next_try(1) is not None
    assert find_next_try(len(PAUSES)) is not None
    assert find_next_try(len(PAUSES) + 1) is None


def test_a_dead_endpoint_holds_up_nobody_and_is_left_alone_for_longer_and_longer(
    receiver: Receiver, settings: LazySettings
) -> None:
    settings.WEBHOOK_TIMEOUT = 0.2
    dead = make_endpoint("http://127.0.0.1:9/", name="Dead")
    other = make_endpoint(receiver.url)
    orders = [make_order() for _ in range(5)]

    deliver(dead, other)

    assert [code for code, _ in kinds(receiver)] == [order.code for order in orders]
    assert Delivery.objects.filter(endpoint=dead, tries__gt=0).count() == 1  # it rests after the first
    assert deliveries.find_due_endpoints() == {}
    rests = []
    for _ in range(8):
        let_time_pass()
        deliver(dead)
        dead.refresh_from_db()
        assert dead.resting_until is not None
        rests.append(round((dead.resting_until - timezone.now()).total_seconds() / 5))
    assert rests == [2, 4, 8, 16, 32, 60, 60, 60]
    Endpoint.objects.update(resting_until=None)
    assert deliveries.find_due_endpoints() == {dead.pk: 1}  # one at a time, to see whether it is back


def test_many_deliveries_go_out_at_the_same_time(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    for _ in range(6):
        make_order()
    plan()

    assert deliveries.find_due_endpoints() == {endpoint.pk: deliveries.LANES}


def test_an_endpoint_that_takes_nothing_for_three_days_is_switched_off_and_staff_are_mailed_once(
    receiver: Receiver, settings: LazySettings
) -> None:
    settings.STAFF_EMAILS, settings.SHOP_URL = ["staff@example.com"], "https://shop.example.com"
    receiver.status = 503
    endpoint = make_endpoint(receiver.url)
    make_order()
    deliver(endpoint)
    assert Endpoint.objects.get().is_on

    let_time_pass()
    Endpoint.objects.update(failing_since=Now() - GIVE_UP_AFTER - timedelta(seconds=1))
    deliver(endpoint)
    assert not Endpoint.objects.get().is_on
    assert (send_due_mails(), send_due_mails()) == (1, 0)
    (message,) = outbox.outbox
    assert (message.to, message.subject) == (["staff@example.com"], "The webhook endpoint Warehouse was switched off")
    assert f"/admin/events_out/endpoint/{endpoint.pk}/change/" in message.body

    let_time_pass()
    deliver(endpoint)
    assert len(receiver.requests) == 2


def test_an_endpoint_that_says_it_is_gone_is_switched_off_at_once(receiver: Receiver) -> None:
    receiver.status = 410
    endpoint = make_endpoint(receiver.url)
    make_order()

    deliver(endpoint)

    assert not Endpoint.objects.get().is_on
    assert EndpointMail.objects.get().reason == "It answered 410 Gone."


def test_an_endpoint_that_is_switched_on_again_is_told_of_all_that_it_missed(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    switch_off(pk=endpoint.pk)
    order = make_order()
    deliver(endpoint)
    assert receiver.requests == []
    assert EndpointMail.objects.count() == 0

    switch_on(pk=endpoint.pk)
    deliver(endpoint)
    assert kinds(receiver) == [(order.code, "order.placed")]


def test_a_rotated_secret_signs_beside_the_old_one_for_a_day(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    old, new = endpoint.secret, rotate_secret(pk=endpoint.pk).secret
    make_order()
    deliver(endpoint)
    for secret in (old, new):
        receiver.requests[0].verify(secret)

    Endpoint.objects.update(old_secret_until=Now())
    make_order()
    deliver(endpoint)
    receiver.requests[1].verify(new)
    with pytest.raises(WebhookVerificationError):
        receiver.requests[1].verify(old)


def test_a_changed_body_or_another_secret_is_no_event_of_ours(receiver: Receiver) -> None:
    endpoint, other = make_endpoint(receiver.url), make_endpoint(name="Other")
    make_order()
    deliver(endpoint)
    (request,) = receiver.requests

    forged = request._replace(body=request.body.replace(b"PENDING", b"CONFIRMED"))
    for wrong, secret in ((forged, endpoint.secret), (request, other.secret)):
        with pytest.raises(WebhookVerificationError):
            wrong.verify(secret)


def test_a_test_is_delivered_as_any_event_is(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url, "order.refunded")
    test = send_test(pk=endpoint.pk)

    deliver(endpoint)

    told = receiver.requests[0].verify(endpoint.secret)
    assert (told["type"], told["id"]) == ("endpoint.test", f"test_{test.pk}")
    assert Delivery.objects.delivered().get() == test


def test_a_replay_is_delivered_again_with_the_id_that_it_had(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    deliver(endpoint)

    assert replay_deliveries(Delivery.objects.all()) == 1
    deliver(endpoint)

    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1
    assert Delivery.objects.get().tries == 1


def test_an_address_inside_is_not_told_whatever_the_row_says(receiver: Receiver, settings: LazySettings) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    settings.WEBHOOK_NETWORKS = []

    deliver(endpoint)

    assert receiver.requests == []
    assert "not public" in Delivery.objects.get().last_error


def test_a_worker_that_dies_before_it_sends_holds_the_delivery_only_for_its_lease(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    plan()
    assert claim_delivery(endpoint=endpoint.pk)  # and dies

    deliver(endpoint)
    assert receiver.requests == []
    let_time_pass()
    deliver(endpoint)
    assert len(receiver.requests) == 1


def test_a_worker_that_dies_after_it_has_sent_delivers_twice_with_one_id(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    with monkeypatch.context() as dying:
        dying.setattr(deliveries, "record_success", _die)
        with pytest.raises(SystemExit):
            deliver(endpoint)

    let_time_pass()
    deliver(endpoint)
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


def test_a_worker_that_dies_while_it_plans_plans_nothing_twice(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    settle_events()
    with monkeypatch.context() as dying:
        dying.setattr(deliveries, "list_kinds", _die)
        with pytest.raises(SystemExit):
            plan_deliveries()
    Endpoint.objects.update(planned_through=endpoint.planned_through)

    deliver(endpoint)
    Endpoint.objects.update(planned_through=endpoint.planned_through)
    deliver(endpoint)
    assert len(receiver.requests) == 1


def test_planning_goes_on_where_a_batch_ends(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "BATCH", 2)
    endpoint = make_endpoint(receiver.url)
    orders = [make_order() for _ in range(5)]

    deliver(endpoint)

    assert [code for code, _ in kinds(receiver)] == [order.code for order in orders]


@with_threads
def test_workers_at_the_same_time_deliver_each_event_once_and_in_order(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    orders = [make_order() for _ in range(6)]
    for order in orders:
        cancel(order)
    receiver.pause = 0.01

    race([plan] * 3)
    race([partial(deliver_to_endpoint, pk=endpoint.pk)] * 4)
    deliver_to_endpoint(pk=endpoint.pk)  # what waited for an earlier one, if all had gone home

    assert len(receiver.ids) == len(set(receiver.ids)) == 12
    for order in orders:
        assert [kind for code, kind in kinds(receiver) if code == order.code] == ["order.placed", "order.cancelled"]


def test_control_without_the_wait_for_earlier_events_they_overtake_each_other(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = deliveries.CLAIM.index("AND NOT EXISTS")
    end = deliveries.CLAIM.index("ORDER BY")
    monkeypatch.setattr(deliveries, "CLAIM", deliveries.CLAIM[:start] + deliveries.CLAIM[end:])
    endpoint = make_endpoint(receiver.url)
    order = make_order()
    cancel(order)
    plan()
    assert claim_delivery(endpoint=endpoint.pk)  # of a slow worker

    deliver(endpoint)

    assert kinds(receiver) == [(order.code, "order.cancelled")]


def test_a_failure_that_comes_late_changes_nothing_and_a_late_success_counts(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    plan()
    slow = claim_delivery(endpoint=endpoint.pk)
    let_time_pass()
    quick = claim_delivery(endpoint=endpoint.pk)
    assert slow
    assert quick
    before = everything()
    record_failure(slow, error="no answer")
    assert everything() == before

    record_success(slow, Answer(204, ""))
    record_failure(quick, error="no answer")
    assert Delivery.objects.delivered().get().last_error == ""
    assert Endpoint.objects.get().failures == 0


def test_old_deliveries_that_are_over_are_deleted_in_batches(
    receiver: Receiver, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "BATCH", 2)
    endpoint = make_endpoint(receiver.url)
    for _ in range(5):
        make_order()
    deliver(endpoint)
    make_order()
    plan()
    old = Now() - timedelta(days=settings.WEBHOOK_DAYS, seconds=1)
    young = Delivery.objects.order_by("pk")[0]
    Delivery.objects.exclude(pk=young.pk).update(created_at=old)

    delete_old_deliveries()

    assert set(Delivery.objects.all()) == {young, *Delivery.objects.waiting()}
    assert Delivery.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_no_connection_to_the_database_is_held_while_an_endpoint_is_told(
    receiver: Receiver,
) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    plan()
    receiver.look = close_after(partial(is_there, our_pid()))

    deliver_to_endpoint(pk=endpoint.pk)

    assert receiver.seen == [False]


def is_there(pid: int) -> bool:
    """Whether that process of PostgreSQL still serves a session, after a second."""
    for _ in range(50):
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)", [pid])
            (there,) = cursor.fetchone()
        if not there:
            return False
        time.sleep(0.02)
    return True


def _die(*_: object, **__: object) -> Any:
    raise SystemExit
