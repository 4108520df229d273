"""News of the same dispute at the same moment."""

from collections.abc import Callable
from functools import partial
from threading import Barrier

import pytest

from orders import disputes
from orders.dispute_models import DisputeMail
from orders.disputes import record_dispute
from orders.models import Order
from payments.dispute_models import Dispute
from payments.disputes import ask_for_dispute, look_up_dispute
from payments.stripe import StripeGateway
from tests.builders import make_confirmed
from tests.concurrency.race import race
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_ledger")]


@pytest.fixture
def order(gateway: StripeGateway) -> Order:
    return make_confirmed()


@pytest.fixture
def dispute(order: Order, provider: Provider) -> str:
    """The provider's id of an open dispute about the order, of which we don't know yet."""
    return provider.open_dispute(str(order.payment.provider_id))


def told(order: Order) -> list[str]:
    return list(order.events.filter(kind__startswith="dispute").order_by("pk").values_list("kind", flat=True))


@pytest.fixture
def record_end(dispute: str, provider: Provider) -> Callable[[], Dispute]:
    """Writes down that the dispute, which was known to be open, is lost."""
    look_up_dispute(gateway="stripe", provider_id=dispute)
    provider.end_dispute(dispute, "lose")
    made, asked_at = ask_for_dispute(gateway="stripe", provider_id=dispute)
    return partial(record_dispute, gateway="stripe", made=made, asked_at=asked_at)


def test_those_who_hear_of_it_at_once_write_it_down_once(order: Order, dispute: str) -> None:
    results = race([partial(look_up_dispute, gateway="stripe", provider_id=dispute)] * 4)

    assert results == [None] * 4
    assert Dispute.objects.count() == DisputeMail.objects.count() == 1
    assert told(order) == ["dispute_opened"]


def test_those_who_hear_of_its_end_at_once_tell_it_once(order: Order, record_end: Callable[[], Dispute]) -> None:
    assert [type(result) for result in race([record_end] * 2)] == [Dispute, Dispute]

    assert told(order) == ["dispute_opened", "dispute_closed"]


def test_control_without_the_orders_lock_its_end_is_told_twice(
    order: Order, record_end: Callable[[], Dispute], monkeypatch: pytest.MonkeyPatch
) -> None:
    both_are_there = Barrier(2, timeout=10)

    def read_order(code: str) -> Order:
        both_are_there.wait()
        return Order.objects.get(code=code)

    monkeypatch.setattr(disputes, "lock_order", read_order)

    race([record_end] * 2)

    assert told(order) == ["dispute_opened", "dispute_closed", "dispute_closed"]
