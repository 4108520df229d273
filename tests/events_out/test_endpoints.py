"""What becomes of an endpoint: its secrets, its tests and replays, and its end."""

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.core import mail as outbox
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from standardwebhooks import WebhookVerificationError

from events_out.answers import GIVE_UP_AFTER
from events_out.endpoints import replay_deliveries, rotate_secret, send_test, switch_off, switch_on
from events_out.mails import send_due_mails
from events_out.models import Delivery, Endpoint, EndpointMail
from tests.builders import make_endpoint, make_order
from tests.events_out.telling import deliver, kinds, let_time_pass
from tests.receiver import Receiver

pytestmark = pytest.mark.django_db


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


def test_a_test_and_a_replay_do_not_wait_for_an_endpoint_that_rests(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    resting = Endpoint.objects.filter(pk=endpoint.pk)
    resting.update(failures=8, failing_since=Now(), resting_until=Now() + timedelta(minutes=5))
    deliver(endpoint)
    assert receiver.ids == []

    send_test(pk=endpoint.pk)
    deliver(endpoint)
    assert len(receiver.ids) == 2  # the order's event was waiting, too

    resting.update(failures=8, failing_since=Now(), resting_until=Now() + timedelta(minutes=5))
    replay_deliveries(Delivery.objects.all())
    deliver(endpoint)
    assert len(receiver.ids) == 4


@pytest.mark.parametrize("types", [[], ["order.nothing"], ["order.placed", "endpoint.test"]])
def test_postgresql_takes_no_endpoint_without_types_or_with_an_unknown_one(types: list[str]) -> None:
    endpoint = make_endpoint()
    with pytest.raises(IntegrityError, match="types_are_known"), transaction.atomic():
        Endpoint.objects.update(types=types)

    assert Endpoint.objects.get().types == endpoint.types


def test_postgresql_takes_no_delivery_that_was_taken_and_waits_or_comes_twice(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    deliver(endpoint)
    delivery = Delivery.objects.get()
    with pytest.raises(IntegrityError, match="delivery_that_was_taken_waits_no_more"), transaction.atomic():
        Delivery.objects.update(deliver_after=Now())
    with pytest.raises(IntegrityError, match="delivery_once"), transaction.atomic():
        Delivery.objects.create(endpoint=endpoint, event=delivery.event, order=delivery.order)
    with pytest.raises(IntegrityError, match="delivery_has_an_order_iff_an_event"), transaction.atomic():
        Delivery.objects.create(endpoint=endpoint, order=delivery.order)

    assert list(Delivery.objects.all()) == [delivery]
