"""What fails is tried again, whoever dies meanwhile; who is dead holds up nobody."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.conf import LazySettings
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.http import http_date

from events_out import deliveries, planning
from events_out.answers import PAUSES, find_next_try, record_failure, record_success
from events_out.deliveries import claim_delivery, deliver_to_endpoint
from events_out.feed import move_horizon
from events_out.models import Delivery, DeliveryTry, Endpoint
from events_out.planning import plan_deliveries
from events_out.posting import Answer
from orders.models import Order
from tests.builders import make_endpoint, make_order, make_product
from tests.concurrency.race import close_after
from tests.events_out.telling import cancel, deliver, kinds, let_time_pass, plan
from tests.receiver import Receiver
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db


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
    move_horizon()
    with monkeypatch.context() as dying:
        dying.setattr(planning, "list_kinds", _die)
        with pytest.raises(SystemExit):
            plan_deliveries()
    Endpoint.objects.update(planned_through=endpoint.planned_through)

    deliver(endpoint)
    Endpoint.objects.update(planned_through=endpoint.planned_through)
    deliver(endpoint)
    assert len(receiver.requests) == 1


def test_a_failure_that_comes_late_changes_nothing_and_a_late_success_counts(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    plan()
    slow = claim_delivery(endpoint=endpoint.pk)
    let_time_pass()
    quick = claim_delivery(endpoint=endpoint.pk)
    assert slow
    assert quick
    before = read_told()
    record_failure(slow, error="no answer")
    assert read_told() == before
    assert [tried.error for tried in DeliveryTry.objects.all()] == ["no answer", ""]

    record_success(slow, Answer(204, ""))
    record_failure(quick, error="no answer")
    assert Delivery.objects.delivered().get().last_error == ""
    assert Endpoint.objects.get().failures == 0


def read_told() -> tuple[list[Any], list[Any]]:
    return list(Delivery.objects.values()), list(Endpoint.objects.values())


def test_each_try_is_in_the_log_until_there_are_many(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "KEPT_TRIES", 3)
    endpoint = make_endpoint(receiver.url)
    make_order()
    plan()
    claim_delivery(endpoint=endpoint.pk)  # and dies
    receiver.answer = b"our secret is out"
    for receiver.status in (500, 429, 204):
        let_time_pass()
        deliver(endpoint)

    tries = list(DeliveryTry.objects.values_list("answer_status", "error"))
    assert tries == [(500, "It answered 500."), (429, "It answered 429."), (204, "")]
    assert not DeliveryTry.objects.filter(ended_at=None).exists()
    assert "secret" not in str(DeliveryTry.objects.values())


def test_a_try_whose_worker_died_has_no_end(receiver: Receiver) -> None:
    endpoint = make_endpoint(receiver.url)
    make_order()
    plan()
    claim_delivery(endpoint=endpoint.pk)  # and dies

    let_time_pass()
    deliver(endpoint)

    dead, other = DeliveryTry.objects.all()
    assert (dead.ended_at, other.answer_status) == (None, 204)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("90", 90), ("1", 5), ("99999999999999999999", 3600), ("-1", 5), ("soon", 5), ("1.5", 5), ("", 5), ("²", 5)],
)
def test_an_endpoint_is_left_alone_for_as_long_as_it_asks(
    receiver: Receiver, status: int, asked: str, seconds: int
) -> None:
    assert_left_alone(measure_pauses(receiver, status, asked), seconds)


def test_an_endpoint_may_ask_by_a_date(receiver: Receiver) -> None:
    in_a_while = http_date(time.time() + 120)
    assert_left_alone(measure_pauses(receiver, 503, in_a_while), 120)


def test_the_date_of_yesterday_and_that_of_another_answer_are_not_heeded(receiver: Receiver) -> None:
    assert_left_alone(measure_pauses(receiver, 503, http_date(time.time() - 86_400)), 5)
    Endpoint.objects.all().update(is_on=False)
    assert_left_alone(measure_pauses(receiver, 500, "90", name="Other"), 5)


def assert_left_alone(pauses: list[float], seconds: int) -> None:
    assert [abs(pause - seconds) < 10 for pause in pauses] == [True, True], pauses


def measure_pauses(receiver: Receiver, status: int, asked: str, *, name: str = "Warehouse") -> list[float]:
    """The seconds for which the delivery and its endpoint wait after such an answer."""
    endpoint = make_endpoint(receiver.url, name=name)
    make_order()
    receiver.status, receiver.headers = status, {"Retry-After": asked.encode().decode("latin-1")}
    now = timezone.now()
    deliver(endpoint)
    endpoint.refresh_from_db()
    delivery = Delivery.objects.get(endpoint=endpoint)
    assert delivery.deliver_after
    assert endpoint.resting_until
    return [(until - now).total_seconds() for until in (delivery.deliver_after, endpoint.resting_until)]


def _die(*_: object, **__: object) -> Any:
    raise SystemExit


@pytest.mark.django_db(transaction=True)
def test_two_workers_keep_the_events_of_an_order_in_order_while_an_endpoint_dies_and_comes_back(
    receiver: Receiver,
) -> None:
    endpoint, is_over = make_endpoint(receiver.url), Event()

    def work() -> None:
        while not is_over.is_set():
            deliver_to_endpoint(pk=endpoint.pk)
            time.sleep(0.01)

    make_product("MUG", stock=100)
    with ThreadPoolExecutor(2) as workers:
        working = [workers.submit(close_after(work)) for _ in range(2)]
        orders = [order for number in range(8) for order in live_a_while(receiver, is_dead=number % 2 == 0)]
        receiver.status = 204
        wait_for(let_failures_be_tried, "all deliveries")
        is_over.set()

    assert [worker.result() for worker in working] == [None, None]
    # One that is repeated keeps the place of its first time.
    told = {request.id: json.loads(request.body) for request in receiver.taken}
    for order in orders:
        types = [event["type"] for event in told.values() if event["data"]["order"]["code"] == order.code]
        assert types == ["order.placed", "order.cancelled"]
    assert len(receiver.requests) > len(told) == 2 * len(orders)


def live_a_while(receiver: Receiver, *, is_dead: bool) -> list[Order]:
    """Orders are placed and cancelled; what has failed is tried again, and fails again while the endpoint is dead."""
    receiver.status = 500 if is_dead else 204
    orders = [make_order() for _ in range(3)]
    plan()
    let_failures_be_tried()
    for order in orders:
        cancel(order)
    plan()
    time.sleep(0.1)
    let_failures_be_tried()
    return orders


def let_failures_be_tried() -> bool:
    """At once, but for those that somebody is sending. Return whether nothing waits any more."""
    in_hand = DeliveryTry.objects.filter(ended_at=None).values("delivery")
    Delivery.objects.waiting().exclude(pk__in=in_hand).update(deliver_after=Now())
    Endpoint.objects.update(resting_until=None)
    return not Delivery.objects.waiting().exists()
