"""An order that kills its worker each time can do so only a few times, and holds up no other order."""

import time
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import pytest

from tests.crash.conftest import run_drill
from tests.crash.drill import Drill, Purchase
from tests.crash.points import BY_NAME
from tests.crash.stories import PAID, assert_outcome, finish, look_at
from tests.waiting import wait_for

POISON = {"charge.unread": "payments", "finalize.written": "orders"}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A shop that soon tries again, and gives up after a few tries. A worker is back before a message is dropped."""
    clocks = {
        "LOST_AFTER": "1",
        "SWEEP_AFTER": "8",
        "SWEEP_AFTER_MAX": "8",
        "ORDER_MAX_SWEEPS": "2",
        "PAYMENT_MAX_REQUESTS": "2",
    }
    with run_drill(tmp_path_factory.mktemp("impatient"), **clocks) as running:
        yield running


def test_orders_that_kill_their_worker_every_time_are_left_to_a_person(impatient: Drill) -> None:
    drill, healthy = impatient, Purchase(uuid4().hex)
    poisoned = {point: Purchase(uuid4().hex) for point in POISON}
    drill.stock([healthy.sku, *(purchase.sku for purchase in poisoned.values())])
    for point, purchase in poisoned.items():
        drill.arm(point, purchase, action="poison")
        for before in BY_NAME[point].after:
            drill.arm(before, purchase)
        drill.insist(purchase)
    drill.insist(healthy)

    for purchase in poisoned.values():
        wait_for(partial(needs_review, drill, purchase), "a person to be called")
    drill.wait_until_final(healthy)
    time.sleep(10)  # until whatever was under way is over
    deaths = count_deaths(drill)
    time.sleep(10)  # longer than the pause of a sweep

    assert count_deaths(drill) == deaths
    assert min(deaths) > 1
    assert_outcome(look_at(drill, healthy), PAID)
    for purchase in poisoned.values():
        assert (drill.status_of(purchase), drill.stock_of(purchase.sku)) == ("PENDING", (10, 1))
    assert drill.audit() == []

    for point, purchase in poisoned.items():
        drill.disarm(point, purchase)
        drill.send_staff("process_orders", purchase)
        assert_outcome(finish(drill, purchase), PAID)


def count_deaths(drill: Drill) -> list[int]:
    return [drill.stack.process(worker).restarts for worker in POISON.values()]


def needs_review(drill: Drill, purchase: Purchase) -> bool:
    return bool(drill.query("SELECT needs_review FROM orders_order WHERE checkout_key = %s", purchase.key))
