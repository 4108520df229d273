"""A transfer that is recorded at the same moment as the deadline, the customer's cancel, or a second click."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.utils import timezone

from audit.services import audit_orders
from orders import transfers
from orders.checkout import process_on_commit
from orders.models import Order
from orders.services import cancel_order, finalize_order
from payments.models import Payment, TransferRefund
from payments.services import cancel_payment, charge_payment
from tests.builders import make_order, make_product, make_transfer, stock_of
from tests.concurrency.race import close_after, race

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("transfers", "empty_ledger")]
ROUNDS = 5


def make_waiting_order() -> Order:
    return make_order({"MUG": 2}, gateway="manual", payment_method="transfer")


def expire(order: Order) -> Callable[[], Any]:
    Order.objects.filter(pk=order.pk).update(expires_at=timezone.now())

    def cancel_and_finalize() -> None:
        cancel_payment(reference=order.code)
        finalize_order(code=order.code)

    return cancel_and_finalize


def cancel(order: Order) -> Callable[[], Any]:
    return lambda: cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)


def end(order: Order) -> str:
    """As the sweep does: the order is past its deadline, or somebody has asked to cancel it."""
    cancel_payment(reference=order.code)
    return finalize_order(code=order.code).status


def owed_back(order: Order) -> list[int]:
    return list(TransferRefund.objects.filter(transfer__reference=order.code).values_list("amount", flat=True))


@pytest.mark.parametrize("ends", [expire, cancel])
def test_a_transfer_and_the_orders_end_at_once_leave_one_truth(ends: Callable[[Order], Callable[[], Any]]) -> None:
    make_product("MUG", stock=100)
    for _ in range(ROUNDS):
        order = make_waiting_order()

        recorded, _ = race([partial(make_transfer, order), ends(order)])

        confirmed = end(order) == Order.Status.CONFIRMED
        assert recorded.pays == confirmed
        assert owed_back(order) == ([] if confirmed else [order.total])
    assert audit_orders()["ok"]


@pytest.mark.parametrize("ends", [expire, cancel])
def test_control_without_the_payments_mark_an_order_is_cancelled_whose_money_was_recorded(
    ends: Callable[[Order], Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "announce_payment", lambda **_: True)  # nothing is marked
    order = make_waiting_order()

    assert make_transfer(order).pays
    ends(order)()

    assert end(order) == Order.Status.CANCELLED
    assert owed_back(order) == []  # nobody is told of the money


def test_a_cancel_waits_for_the_transfer_that_is_being_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    order = make_waiting_order()
    is_marked, may_commit = Event(), Event()
    publish = process_on_commit

    def wait_before_the_commit(code: str) -> None:
        is_marked.set()
        assert may_commit.wait(10)
        publish(code)

    monkeypatch.setattr(transfers, "process_on_commit", wait_before_the_commit)
    with ThreadPoolExecutor(2) as pool:
        recording = pool.submit(close_after(lambda: make_transfer(order)))
        assert is_marked.wait(10)
        cancelling = pool.submit(close_after(cancel(order)))
        may_commit.set()

    assert recording.result().pays
    assert cancelling.exception() is None
    assert end(order) == Order.Status.CONFIRMED


def test_ten_clicks_at_once_record_one_transfer() -> None:
    order = make_waiting_order()

    results = race([lambda: make_transfer(order, bank_id="B-1")] * 10)

    assert Counter(result.created for result in results) == {True: 1, False: 9}
    assert order.events.filter(kind="transfer").count() == 1
    charge_payment(reference=order.code)
    assert finalize_order(code=order.code).status == Order.Status.CONFIRMED
    assert stock_of("MUG") == (8, 0)


def test_two_transfers_at_once_pay_once_and_the_other_is_to_be_sent_back() -> None:
    order = make_waiting_order()

    results = race([lambda: make_transfer(order)] * 2)

    assert Counter(result.pays for result in results) == {True: 1, False: 1}
    assert Payment.objects.get().status == "SENT"
    assert end(order) == Order.Status.CONFIRMED
    assert owed_back(order) == [order.total]
    assert audit_orders()["ok"]
