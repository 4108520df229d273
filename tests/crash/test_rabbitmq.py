"""RabbitMQ as the broker: what a killed worker had in hand comes back from the broker itself, and not for ever."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import requests

from config.broker import DELIVERY_LIMIT
from lab.stack.processes import PAUSE_MIN
from lab.stack.profiles import PROFILE
from lab.stack.rabbitmq import PROGRAM
from tests.crash.conftest import run_drill
from tests.crash.drill import Drill, Purchase
from tests.crash.stories import PAID, assert_outcome, look_at
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="RabbitMQ is not installed")


@pytest.fixture(scope="module")
def redelivering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A shop in which nobody but the broker takes up a lost order within the time of a test."""
    clocks = {"LOST_AFTER": "3600", "SWEEP_AFTER": "600", "SWEEP_AFTER_MAX": "600"}
    limits = {"CHECKOUT_LIMITS": "session=1,account=1,ip=1"}  # Redis would count for them, and there is none
    with run_drill(tmp_path_factory.mktemp("redelivering"), **clocks, **limits, **{PROFILE: "rabbitmq"}) as running:
        yield running


@pytest.mark.parametrize("point", ["charge.started", "charge.recorded", "finalize.started"])
def test_rabbitmq_hands_out_again_what_a_killed_worker_had_in_hand(redelivering: Drill, point: str) -> None:
    purchase = Purchase(point)
    redelivering.stock([purchase.sku])
    redelivering.arm(point, purchase)
    redelivering.insist(purchase)
    redelivering.wait_until_reached(point, purchase)

    redelivering.wait_until_final(purchase)

    assert_outcome(look_at(redelivering, purchase), PAID)
    assert redelivering.count_sweeps([purchase]) == 0
    assert redelivering.audit() == []


def test_a_shop_without_redis_sells(redelivering: Drill) -> None:
    """Its limits do not apply, and none of its pages misses the cache."""
    sku = uuid4().hex
    redelivering.stock([sku])
    purchases = [Purchase(sku) for _ in range(3)]
    web, environment = redelivering.stack.web_url, redelivering.stack.environment
    for purchase in purchases:
        assert (redelivering.ask(purchase) or [0])[0] == 201
    with requests.Session() as visitor:
        visitor.get(f"{web}/cart/", timeout=20)
        form = {"sku": sku, "quantity": 1, "csrfmiddlewaretoken": visitor.cookies["csrftoken"]}
        visitor.post(f"{web}/cart/add/", form, timeout=20).raise_for_status()
        for page in ("/", "/cart/", "/checkout/", "/account/log-in/", "/metrics"):
            assert visitor.get(f"{web}{page}", timeout=20).status_code == 200, page

    for purchase in purchases:
        redelivering.wait_until_final(purchase)
        assert redelivering.status_of(purchase) == "CONFIRMED"
    assert (environment["REDIS_URL"], redelivering.owns("valkey")) == ("", False)
    assert redelivering.audit() == []


def is_empty(drill: Drill, queue: str) -> bool:
    """Whether no message waits to be handed out."""
    with drill.celery() as app, app.connection() as connection:
        channel: Any = connection.default_channel
        return int(channel.queue_declare(queue, passive=True).message_count) == 0


def test_rabbitmq_drops_a_task_that_kills_its_worker_each_time(
    redelivering: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep, which counts for itself, is all that is left for its order."""
    monkeypatch.setattr("lab.stack.processes.PAUSE_MAX", PAUSE_MIN)  # each start would wait longer than the last
    worker, poisoned, healthy = redelivering.stack.process("payments"), Purchase("poisoned"), Purchase("healthy")
    redelivering.stock([poisoned.sku, healthy.sku])
    before = worker.restarts
    redelivering.arm("charge.started", poisoned, action="poison")
    redelivering.insist(poisoned)

    wait_for(lambda: worker.restarts - before > DELIVERY_LIMIT, "the last delivery")
    redelivering.insist(healthy)
    redelivering.wait_until_final(healthy)
    redelivering.wait_until_idle("payments")
    wait_for(lambda: is_empty(redelivering, "payments"), "the broker to have nothing left")

    assert worker.restarts - before == DELIVERY_LIMIT + 1
    assert redelivering.status_of(poisoned) == "PENDING"
    redelivering.disarm("charge.started", poisoned)
    redelivering.make_due(poisoned)
    redelivering.wait_until_final(poisoned)
    assert_outcome(look_at(redelivering, poisoned), PAID)
    assert redelivering.audit() == []
