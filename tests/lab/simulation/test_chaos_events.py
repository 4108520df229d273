"""What a chaos run was told of its events, held against what happened: whatever is missing or wrong is named."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from threading import Event, Thread

import pytest
import requests
from django.conf import LazySettings

from events_out.models import Endpoint
from lab.simulation.chaos import events
from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.events import EventDesk
from orders.models import Order
from tests.builders import make_order
from tests.events_out.telling import cancel, deliver, let_time_pass

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stopping() -> Event:
    return Event()


@pytest.fixture
def desk(settings: LazySettings, monkeypatch: pytest.MonkeyPatch, stopping: Event) -> Iterator[EventDesk]:
    """At work, until the test ends."""
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    monkeypatch.setattr(events, "EVERY", 0.05)
    closing, crowd = Event(), Crowd(run="run", shop_url="http://127.0.0.1:1", wanted=1, seconds=1, stopping=stopping)
    desk = EventDesk(run="run", seed=1, crowd=crowd, stopping=stopping, closing=closing)
    desk.open()
    work = Thread(target=desk.work)
    work.start()
    yield desk
    closing.set()
    work.join()


@pytest.fixture
def order(desk: EventDesk) -> Order:
    """Placed and cancelled, and the desk was told of both."""
    order = make_order(key="run-1")
    cancel(order)
    deliver(Endpoint.objects.get())
    return order


def test_every_event_of_the_run_has_to_be_told(desk: EventDesk) -> None:
    order = make_order(key="run-1")
    make_order(key="other-1")
    [name] = [f"evt_{event.pk}" for event in order.events.all()]

    assert list(desk.find_problems()) == [f"{name}: nobody was told of order.placed of {order.code}"]
    assert not desk.is_settled()

    deliver(Endpoint.objects.get())

    assert list(desk.find_problems()) == []
    assert desk.is_settled()


def test_an_event_that_was_refused_counts_as_told_once_it_was_taken(
    desk: EventDesk, monkeypatch: pytest.MonkeyPatch, stopping: Event
) -> None:
    monkeypatch.setattr(events, "PAUSE", (0, 0))
    monkeypatch.setattr(events, "TROUBLES", {"refused": 1})
    cancel(make_order(key="run-1"))
    deliver(Endpoint.objects.get())
    assert [one.trouble for one in desk.told] == ["", "refused"]
    assert "nobody was told of order.cancelled" in "".join(desk.find_problems())

    stopping.set()
    let_time_pass()
    deliver(Endpoint.objects.get())

    assert list(desk.find_problems()) == []
    counts = desk.count(datetime.now(UTC))
    assert counts == {"sent": 2, "repeated": 0, "troubles": 1, "longest_wait_after_strikes": 0}


def lose_one(desk: EventDesk) -> None:
    del desk.told[0]


def swap(desk: EventDesk) -> None:
    desk.told.reverse()


def invent_one(desk: EventDesk) -> None:
    desk.told.append(desk.told[0]._replace(name="evt_0"))


def change_one(desk: EventDesk) -> None:
    desk.told[1] = desk.told[1]._replace(type="order.confirmed")


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (lose_one, "{placed}: nobody was told of order.placed of {code}"),
        (swap, "{placed}: order.placed of {code} was told after {cancelled}"),
        (invent_one, "evt_0: order.placed of {code} was told, and did not happen"),
        (change_one, "{cancelled}: order.confirmed of {code} was told, and did not happen"),
    ],
)
def test_what_was_lost_swapped_invented_or_changed_is_named(
    desk: EventDesk, order: Order, break_it: Callable[[EventDesk], None], problem: str
) -> None:
    placed, cancelled = (one.name for one in desk.told)

    break_it(desk)

    assert list(desk.find_problems()) == [problem.format(placed=placed, cancelled=cancelled, code=order.code)]


@pytest.mark.usefixtures("order")
def test_a_repeat_is_no_problem_and_the_longest_wait_is_counted_from_the_last_strike(desk: EventDesk) -> None:
    well_at = datetime.now(UTC)
    desk.told[1] = desk.told[1]._replace(at=well_at + timedelta(seconds=4))
    desk.told.append(desk.told[0])

    assert list(desk.find_problems()) == []
    assert desk.is_settled()
    assert desk.count(well_at) == {"sent": 2, "repeated": 1, "troubles": 0, "longest_wait_after_strikes": 4}


def test_a_forged_event_is_refused_and_named(desk: EventDesk) -> None:
    headers = {"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}

    answer = requests.post(Endpoint.objects.get().url, "{}", headers=headers, timeout=5)

    assert (answer.status_code, desk.told) == (400, [])
    assert [problem.partition(":")[0] for problem in desk.find_problems()] == ["evt_1"]
