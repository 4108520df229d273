"""Whoever changes an order that is archived at that moment waits, and is refused: the order is not here any more."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import Client

from accounts.models import User
from backoffice.order_actions import ARCHIVED, ORDER_ACTIONS, OrderAction
from events_out.feed import read_horizon
from events_out.models import Endpoint
from orders.models import ArchivedOrder, Order, OrderEvent
from orders.notes import add_note
from privacy.archive import archive_orders
from tests.api.clients import send
from tests.api.test_api import assert_refused
from tests.builders import make_order
from tests.concurrency.race import close_after
from tests.locks import is_waiting
from tests.privacy.aging import age_everything, end_order
from tests.waiting import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("staff@example.com", is_staff=True)


@pytest.fixture
def old() -> Order:
    """An order that is due for the archive."""
    order = end_order(make_order())
    age_everything()
    Endpoint.objects.update(planned_through=read_horizon())
    return order


def archive_meanwhile(change: Callable[[], Any], folder: Path) -> Any:
    """Begin the change while an archive holds the order, and end the archive. Return what the change did or raised."""
    with ThreadPoolExecutor(2) as pool, closing(connection.copy()) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("LOCK TABLE orders_archivedorder IN EXCLUSIVE MODE")  # which an archive writes to first
        archiving = pool.submit(close_after(lambda: archive_orders(days=180, folder=folder)))
        wait_for(is_waiting, "the archive")
        changing = pool.submit(close_after(change))
        wait_for(lambda: is_waiting(2) or changing.done(), "the change")
        other.rollback()
        assert archiving.result() == 1
        return changing.result()


def test_a_note_waits_for_the_archive_of_its_order_and_is_refused(old: Order, staff: User, tmp_path: Path) -> None:
    done = archive_meanwhile(lambda: add_note(code=old.code, actor=staff, note="too late"), tmp_path)

    assert isinstance(done, Order.DoesNotExist)
    assert ArchivedOrder.objects.get().code == old.code
    assert not OrderEvent.objects.exists()


def test_a_note_that_does_not_lock_its_order_is_an_error_of_the_database(
    old: Order, staff: User, tmp_path: Path
) -> None:
    """The control."""

    def add_unlocked_note() -> None:
        Order.objects.get(code=old.code).add_event(OrderEvent.Kind.NOTED, actor=staff, note="too late")

    assert isinstance(archive_meanwhile(add_unlocked_note, tmp_path), IntegrityError)


@pytest.mark.parametrize("action", ORDER_ACTIONS, ids=lambda action: action.name)
def test_every_action_says_that_the_order_is_in_the_archive(
    action: OrderAction, old: Order, staff: User, tmp_path: Path
) -> None:
    archive_orders(days=180, folder=tmp_path)

    assert action.act_on(old, actor=staff, note="too late") == ARCHIVED


@pytest.mark.parametrize(
    ("path", "body"), [("cancel", {}), ("payments", {"number": 2, "payment_method": "pm_card_visa"})]
)
def test_the_api_does_not_find_an_order_that_has_gone_since_the_call_began(
    client: Client, path: str, body: dict[str, Any]
) -> None:
    order = make_order()
    with ThreadPoolExecutor(1) as pool, closing(connection.copy()) as other, other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("ALTER TABLE orders_order DISABLE TRIGGER USER")
        cursor.execute("UPDATE orders_order SET code = 'GONE'")
        calling = pool.submit(close_after(lambda: send(client, f"orders/{order.code}/{path}", body)))
        wait_for(is_waiting, "the call")
        cursor.execute("ALTER TABLE orders_order ENABLE TRIGGER USER")
        other.commit()

    assert_refused(calling.result(), 404, "not_found")
