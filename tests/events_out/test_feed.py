import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from events_out import feed
from events_out.event_types import CHOICES, TYPES
from events_out.feed import list_events, move_horizon, read_horizon
from events_out.models import Horizon
from orders.models import Order, OrderEvent
from orders.services import cancel_order
from tests.builders import make_order

pytestmark = pytest.mark.django_db
with_threads = pytest.mark.django_db(transaction=True)  # each with a transaction of its own


def read_all(after: int = 0, limit: int = 100) -> list[int]:
    """The ids that a reader gets who goes on until nothing is left."""
    read: list[int] = []
    while page := list_events(after=read[-1] if read else after, limit=limit):
        read += [event.pk for event in page]
    return read


@contextmanager
def open_event(order: Order) -> Iterator[threading.Event]:
    """An event whose number is drawn, and whose transaction is open until the block ends or the event is set."""
    written, go_on = threading.Event(), threading.Event()

    def write() -> None:
        try:
            with transaction.atomic():
                order.add_event(OrderEvent.Kind.REVIEW_NEEDED, reason="late")
                written.set()
                go_on.wait(10)
        finally:
            connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert written.wait(10)
        yield go_on
    finally:
        go_on.set()
        thread.join()


def test_after_a_restore_a_reader_gets_the_new_events_behind_those_that_are_lost() -> None:
    make_order()
    cursor = move_horizon() + 100  # the reader has seen so many events that the backup lacks

    call_command("skip_event_ids")
    order = make_order()
    move_horizon()

    assert read_all(after=cursor) == [order.events.get().pk]


def test_a_reader_gets_the_events_of_all_orders_page_by_page_in_one_order() -> None:
    first, second = make_order(), make_order()
    cancel_order(code=first.code, reason=Order.CancelReason.CUSTOMER)
    move_horizon()

    events = list_events()
    assert [(event.order.code, event.kind) for event in events] == [
        (first.code, "placed"),
        (second.code, "placed"),
        (first.code, "cancelled"),
    ]
    assert read_all(limit=1) == [event.pk for event in events]
    assert [event.kind for event in list_events(types=["order.cancelled"])] == ["cancelled"]
    assert list_events(after=events[-1].pk) == []


def test_events_that_nobody_outside_needs_are_left_out() -> None:
    order = make_order()
    order.add_event(OrderEvent.Kind.SWEPT, sweep=1)
    move_horizon()

    assert [event.kind for event in list_events()] == ["placed"]
    assert [name for name, _ in CHOICES] == list(TYPES)


def test_nothing_is_read_before_the_horizon_has_moved_past_it() -> None:
    make_order()

    assert list_events() == []
    assert read_horizon() == 0
    move_horizon()
    assert len(list_events()) == 1


@with_threads
def test_the_horizon_waits_for_an_event_that_is_written_and_not_committed() -> None:
    order = make_order()
    move_horizon()
    before = read_horizon()
    with open_event(order):
        later = make_order()
        assert move_horizon() == before
        assert [event.order.code for event in list_events()] == [order.code]

    move_horizon()
    assert [(event.order.code, event.kind) for event in list_events()] == [
        (order.code, "placed"),
        (order.code, "review_needed"),
        (later.code, "placed"),
    ]


@with_threads
def test_the_horizon_moves_although_at_every_moment_somebody_writes() -> None:
    first, second = make_order(), make_order()
    with open_event(first) as one:
        move_horizon()
        with open_event(second):
            assert list_events() == []
            one.set()
            wait_for_one_writer()
            move_horizon()
            assert [event.order.code for event in list_events()] == [first.code, second.code]
            move_horizon()
            assert [event.kind for event in list_events()] == ["placed", "placed"]

    move_horizon()
    assert len(list_events()) == 4


def wait_for_one_writer() -> None:
    for _ in range(500):
        if len(feed._read_writers()) == 1:
            return
        time.sleep(0.01)
    raise TimeoutError


@with_threads
def test_control_without_the_wait_a_reader_never_sees_an_event_that_commits_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "_read_writers", set)
    order = make_order()
    with open_event(order):
        make_order()
        move_horizon()
        read = read_all()

    move_horizon()
    assert OrderEvent.objects.filter(kind="review_needed").exists()
    assert read + read_all(after=read[-1]) == list(
        OrderEvent.objects.filter(kind="placed").values_list("pk", flat=True)
    )


def test_a_writer_whose_transaction_fails_leaves_a_gap_and_holds_up_nobody() -> None:
    order = make_order()
    with transaction.atomic():
        order.add_event(OrderEvent.Kind.REVIEW_NEEDED, reason="never")
        transaction.set_rollback(True)
    make_order()
    move_horizon()

    assert len(list_events()) == 2


def test_an_older_horizon_moves_nothing_back() -> None:
    make_order()
    through = move_horizon()
    with connection.cursor() as cursor:
        cursor.execute(feed.MOVE, {"through": through - 1, "candidate": 0, "writers": []})

    assert read_horizon() == through == move_horizon()


def test_writers_who_died_with_the_server_hold_nothing_back() -> None:
    move_horizon()
    Horizon.objects.update(writers=["7/123456789"])
    make_order()

    move_horizon()
    assert len(list_events()) == 1
