"""How endpoints are told: signed, each event once as a rule, in order per order."""

import time
from datetime import timedelta
from functools import partial

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from standardwebhooks import WebhookVerificationError

import purge
from events_out import deliveries, planning
from events_out.deliveries import claim_delivery, delete_old_deliveries, deliver_to_endpoint
from events_out.models import Delivery, DeliveryTry, Endpoint, EndpointMail
from orders.models import OrderEvent
from tests.builders import make_endpoint, make_order
from tests.concurrency.race import close_after, race
from tests.events_out.telling import cancel, deliver, kinds, let_time_pass, plan
from tests.locks import our_pid
from tests.receiver import Receiver

pytestmark = pytest.mark.django_db
with_threads = pytest.mark.django_db(transaction=True)  # each with a transaction of its own


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


def test_many_deliveries_go_out_at_the_same_time(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    for _ in range(6):
        make_order()
    plan()

    assert deliveries.find_due_endpoints() == {endpoint.pk: deliveries.LANES}


def test_a_changed_body_or_another_secret_is_no_event_of_ours(receiver: Receiver) -> None:
    endpoint, other = make_endpoint(receiver.url), make_endpoint(name="Other")
    make_order()
    deliver(endpoint)
    (request,) = receiver.requests

    forged = request._replace(body=request.body.replace(b"PENDING", b"CONFIRMED"))
    for wrong, secret in ((forged, endpoint.secret), (request, other.secret)):
        with pytest.raises(WebhookVerificationError):
            wrong.verify(secret)


def test_an_address_inside_is_not_told_whatever_the_row_says(receiver: Receiver, settings: LazySettings) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    settings.WEBHOOK_NETWORKS = []

    deliver(endpoint)

    assert receiver.requests == []
    assert "not public" in Delivery.objects.get().last_error


def test_planning_goes_on_where_a_batch_ends(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BATCH", 2)
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


def test_old_deliveries_that_are_over_are_deleted_in_batches(
    receiver: Receiver, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "BATCH", 2)
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
    assert [tried.delivery for tried in DeliveryTry.objects.all()] == [young]


def test_old_mails_about_endpoints_are_deleted_once_they_were_sent(settings: LazySettings) -> None:
    endpoint, old = make_endpoint(), timezone.now() - timedelta(days=settings.WEBHOOK_DAYS, seconds=1)
    for sent_at in (old, None):
        EndpointMail.objects.create(endpoint=endpoint, reason="It fails.", created_at=old, sent_at=sent_at)

    delete_old_deliveries()

    assert EndpointMail.objects.get().sent_at is None


@with_threads
def test_no_connection_to_the_database_is_held_while_an_endpoint_is_told(receiver: Receiver) -> None:
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
