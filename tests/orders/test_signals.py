"""What code in the same process hears of an order: after the commit, and its failure is its own."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from django.dispatch import Signal

from orders.models import Order, OrderEvent
from orders.services import cancel_order, finalize_order
from orders.signals import order_event
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connect() -> Iterator[Callable[[Any], None]]:
    """Connects receivers until the test ends."""
    connected: list[Any] = []

    def add(receiver: Any) -> None:
        order_event.connect(receiver, sender=OrderEvent)
        connected.append(receiver)

    yield add
    for receiver in connected:
        order_event.disconnect(receiver, sender=OrderEvent)


@pytest.fixture
def heard(connect: Callable[[Any], None]) -> list[tuple[str, str]]:
    events: list[tuple[str, str]] = []

    def hear(code: str, kind: str, **_: object) -> None:
        assert not transaction.get_connection().in_atomic_block
        assert OrderEvent.objects.filter(order__code=code, kind=kind).exists()
        events.append((code, kind))

    connect(hear)
    return events


def test_a_receiver_hears_of_every_event_of_an_order_after_its_commit(heard: list[tuple[str, str]]) -> None:
    confirmed, cancelled = make_order(), make_order()
    held = make_order(hold_on_decline=600)
    answer_payment(confirmed, Payment.Status.SUCCEEDED)
    finalize_order(code=confirmed.code)
    cancel_order(code=cancelled.code, reason=Order.CancelReason.CUSTOMER)
    answer_payment(held, Payment.Status.DECLINED)
    finalize_order(code=held.code)
    finalize_order(code=held.code)

    assert heard == list(OrderEvent.objects.values_list("order__code", "kind"))
    assert {kind for _, kind in heard} == {"placed", "confirmed", "cancel_requested", "cancelled", "held"}


def test_a_receiver_hears_nothing_of_what_was_rolled_back(heard: list[tuple[str, str]]) -> None:
    order = make_order()
    with transaction.atomic():
        order.add_event(OrderEvent.Kind.REVIEW_NEEDED, reason="never")
        transaction.set_rollback(True)

    assert heard == [(order.code, "placed")]


def test_a_receiver_that_fails_harms_nobody_and_is_logged(
    connect: Callable[[Any], None], heard: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError("of the adopter")

    connect(fail)
    with caplog.at_level(logging.ERROR):
        order = make_order()

    assert Order.objects.get() == order
    assert heard == [(order.code, "placed")]
    assert "of the adopter" in caplog.text


def test_where_nobody_listens_nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[object] = []
    order = make_order()
    before = everything()
    monkeypatch.setattr("orders.signals.order_event", Signal(use_caching=True))  # the log listens to the real one
    monkeypatch.setattr(transaction, "on_commit", lambda *call, **_: registered.append(call))
    with transaction.atomic():
        order.add_event(OrderEvent.Kind.SWEPT, sweep=1)

    assert registered == []
    assert len(everything()["OrderEvent"]) == len(before["OrderEvent"]) + 1
