"""No sweep helps: a worker that starts takes up what the one before held, and what the provider tells ends an order."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from uuid import uuid4

import pytest
import requests

from tests.crash.conftest import run_drill
from tests.crash.crowd import ENDS
from tests.crash.drill import DECLINED, DROPPED, SLOW, VISA, Drill, Purchase
from tests.crash.points import BY_NAME
from tests.crash.stories import PAID, REFUSED, assert_outcome, crash_at, finish, look_at
from tests.waiting import wait_for
from tests.webhooks import CANCELED, FAILED, SUCCEEDED, make_event

PROCESSING, PROCESSING_DECLINED = "pm_sandbox_processing", "pm_sandbox_processing_declined"


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A shop that no sweep helps within the time of a test, and whose requests may take a minute."""
    clocks = {"LOST_AFTER": "1", "SWEEP_AFTER": "600", "SWEEP_AFTER_MAX": "600", "STRIPE_TIMEOUT": "60"}
    with run_drill(tmp_path_factory.mktemp("patient"), **clocks) as running:
        yield running


@pytest.mark.parametrize("point", ["charge.started", "charge.sent", "charge.unread", "charge.recorded"])
def test_a_payments_worker_that_starts_takes_up_what_the_one_before_held(patient: Drill, point: str) -> None:
    """The one whose turn it was, those that other threads had in hand, and those that waited behind them."""
    first, others = Purchase(f"{point} 1"), [Purchase(f"{point} {n}", VISA if n % 2 else SLOW) for n in range(2, 16)]
    patient.stock(purchase.sku for purchase in (first, *others))
    patient.arm(point, first, action="pause")
    for purchase in (first, *others):
        patient.insist(purchase)
    patient.wait_until_reached(point, first)

    patient.kill("payments")

    for purchase in (first, *others):
        patient.wait_until_final(purchase)
        assert_outcome(look_at(patient, purchase), PAID)
    assert patient.audit() == []


@pytest.mark.parametrize("point", ["finalize.started", "finalize.unwritten"])
def test_an_orders_worker_that_starts_takes_up_what_the_one_before_held(patient: Drill, point: str) -> None:
    first, others = Purchase(f"{point} 1"), [Purchase(f"{point} {n}") for n in range(2, 6)]
    patient.stock(purchase.sku for purchase in (first, *others))
    patient.arm(point, first, action="pause")
    for purchase in (first, *others):
        patient.insist(purchase)
    patient.wait_until_reached(point, first)
    wait_for(lambda: {patient.payment_of(purchase) for purchase in others} == {"SUCCEEDED"}, "their charges")

    patient.kill("orders")

    for purchase in (first, *others):
        patient.wait_until_final(purchase)
        assert_outcome(look_at(patient, purchase), PAID)
    assert patient.audit() == []


@pytest.mark.parametrize("point", ["webhook.stored", "webhook.claimed", "webhook.swept", "webhook.asked"])
def test_an_event_whose_process_dies_ends_its_order_before_any_sweep_of_orders(patient: Drill, point: str) -> None:
    purchase = Purchase(f"told {point}", DROPPED)
    patient.stock([purchase.sku])
    crash_at(patient, purchase, *BY_NAME[point].after, point)

    patient.wait_until_final(purchase)

    assert_outcome(look_at(patient, purchase), PAID)
    assert patient.audit() == []


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A shop whose provider tells it of each payment, and whose orders no sweep helps within the time of a test."""
    clocks = {"LOST_AFTER": "1", "SWEEP_AFTER": "600", "SWEEP_AFTER_MAX": "600"}
    provider = {"SANDBOX_WEBHOOKS": "1", "SANDBOX_WEBHOOK_LATE_SECONDS": "3", "SANDBOX_PROCESSING_SECONDS": "1"}
    with run_drill(tmp_path_factory.mktemp("told"), **clocks, **provider) as running:
        yield running


TOLD = {**ENDS, PROCESSING: PAID, PROCESSING_DECLINED: REFUSED}


@contextmanager
def struck(drill: Drill, *faults: str) -> Iterator[None]:
    """What befalls events while the block runs."""
    control = f"{drill.stack.provider_url}/control"
    requests.post(control, json={"webhooks": faults}, timeout=20).raise_for_status()
    yield
    requests.delete(control, timeout=20).raise_for_status()


@pytest.mark.parametrize("faults", [[], ["twice", "shuffled"], ["late"]], ids=str)
def test_a_shop_that_is_told_waits_for_no_sweep_of_orders(told: Drill, faults: list[str]) -> None:
    purchases = [Purchase(uuid4().hex, method) for method in TOLD]
    told.stock(purchase.sku for purchase in purchases)
    with struck(told, *faults):
        for purchase in purchases:
            told.insist(purchase)
        for purchase in purchases:
            told.wait_until_final(purchase)

    for purchase in purchases:
        assert_outcome(look_at(told, purchase), TOLD[purchase.payment_method])
    assert told.count_sweeps(purchases) == 0
    assert told.audit() == []


def test_events_that_never_come_are_not_missed(told: Drill) -> None:
    purchase = Purchase(uuid4().hex, DROPPED)
    told.stock([purchase.sku])
    with struck(told, "never"):
        told.place_unknown(purchase)
        time.sleep(2)
    assert told.status_of(purchase) == "PENDING"

    assert_outcome(finish(told, purchase), PAID)
    assert told.audit() == []


def test_a_storm_of_events_ends_each_order_once_also_while_their_workers_are_killed(told: Drill) -> None:
    """A thousand events, most of them untrue, each twice and in any order, beside those of the provider itself."""
    random, methods = Random(7), [VISA, DECLINED, DROPPED, PROCESSING, PROCESSING_DECLINED]
    sku = uuid4().hex
    purchases = [Purchase(sku, methods[number % len(methods)]) for number in range(50)]
    told.stock([sku], units=len(purchases))
    with ThreadPoolExecutor(8) as pool, struck(told, "twice", "shuffled"):
        codes = [str(order["code"]) for _, order in pool.map(told.insist, purchases)]
        events = [
            make_event(random.choice([*codes, "another-shop"]), random.choice([SUCCEEDED, FAILED, CANCELED]))
            for _ in range(1000)
        ]
        posted = random.sample(2 * events, 2 * len(events))
        answers = pool.map(lambda event: wait_for(lambda: told.post(event) == 200, "an answer to an event"), posted)
        for process in ("payments", "web", "payments"):
            time.sleep(1.5)
            told.kill(process)
        assert all(answers)
        for purchase in purchases:
            told.wait_until_final(purchase)

    stored = "SELECT count(*) FROM payments_webhookevent WHERE event_id = ANY(%s)"
    assert told.query(stored, [json.loads(event)["id"] for event in events]) == len(events)
    waiting = "SELECT count(*) FROM payments_webhookevent WHERE processed_at IS NULL AND reference = ANY(%s)"
    wait_for(lambda: told.query(waiting, codes) == 0, "the events to be processed")
    for purchase, code in zip(purchases, codes, strict=True):
        end = TOLD[purchase.payment_method]
        assert (told.status_of(purchase), told.count_charges(code)) == (end[0], end == PAID)
    assert told.stock_of(sku) == (len(purchases) - 30, 0)
    assert told.audit() == []
