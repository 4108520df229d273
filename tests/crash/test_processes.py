"""Whole processes are killed, frozen, doubled or missing while people buy, and every order ends well."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
import redis
import requests

from lab.simulation.strikes.neighbours import END_SESSIONS, READ_ONLY, READ_WRITE, command_database
from lab.simulation.strikes.processes import skew_clock
from lab.simulation.strikes.running_stack import Missed, RunningStack
from lab.stack.processes import Process
from tests.crash.conftest import run_drill
from tests.crash.drill import ASKS, DECLINED, DROPPED, VISA, Drill, Purchase
from tests.crash.points import BY_NAME
from tests.crash.stories import (
    EXPIRED,
    PAID,
    REFUSED,
    assert_outcome,
    charge_late,
    confirm_after_a_failure,
    confirm_after_the_next,
    crash_at,
    finish,
    look_at,
    pay_again_before_a_late_no,
    resume_while_it_is_finalized,
)
from tests.mail_server import run_mail_server
from tests.waiting import wait_for
from tests.webhooks import CANCELED, FAILED, SUCCEEDED, make_event

SLOW, HANGING = "pm_sandbox_slow", "pm_sandbox_hang"
PROCESSING, PROCESSING_DECLINED = "pm_sandbox_processing", "pm_sandbox_processing_declined"
ENDS = {VISA: PAID, DECLINED: REFUSED, SLOW: PAID, DROPPED: PAID, HANGING: PAID}
LONGER_THAN_A_WORKER_WAITS = 12  # seconds
TRICKLING = "pm_sandbox_trickle"
FROZEN_FOR = 6  # seconds: longer than anybody waits for the provider or the broker


class Crowd:
    """One customer for each way to pay, all of the same product."""

    def __init__(self, drill: Drill) -> None:
        self.sku = uuid4().hex
        self._drill = drill
        self.purchases = [Purchase(self.sku, method) for method in ENDS]
        drill.stock([self.sku])

    def buy(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Let all customers buy at once, each until there is an answer, and call `meanwhile` at the same time."""
        with ThreadPoolExecutor() as pool:
            answers = [pool.submit(self._drill.insist, purchase) for purchase in self.purchases]
            meanwhile()
            for answer in answers:
                answer.result()

    def assert_all_is_well(self) -> None:
        """Every order ends as its card says, however long it takes, and the audit agrees."""
        with ThreadPoolExecutor() as pool:
            outcomes = list(pool.map(lambda purchase: finish(self._drill, purchase), self.purchases))
        for purchase, outcome in zip(self.purchases, outcomes, strict=True):
            end = ENDS[purchase.payment_method]
            assert (outcome.end, outcome.charges) == (end, end == PAID)
            assert outcome.repeated == (200, outcome.code)
        paid = sum(outcome.end == PAID for outcome in outcomes)
        assert self._drill.stock_of(self.sku) == (10 - paid, 0)
        assert self._drill.audit() == []


@pytest.fixture
def crowd(drill: Drill) -> Crowd:
    return Crowd(drill)


@pytest.fixture
def purchase(crowd: Crowd) -> Purchase:
    return Purchase(crowd.sku)


@pytest.fixture
def broker(drill: Drill) -> Iterator["redis.Redis"]:
    """A client of the broker. The test is skipped if REDIS_URL names a broker that is not ours to break."""
    if not drill.owns("valkey"):
        pytest.skip("a server that is not ours")
    if drill.owns("sentinel-1"):
        pytest.skip("the primary may be another server")
    with redis.Redis.from_url(drill.stack.environment["REDIS_URL"], socket_timeout=5) as client:
        yield client


def find_broker(drill: Drill) -> str:
    """The process that carries the messages. The test is skipped if it is not ours to break."""
    for name in ("rabbitmq", "valkey"):
        if drill.owns(name):
            return name
    pytest.skip("a server that is not ours")


@pytest.mark.parametrize("process", ["web", "payments", "orders", "mails", "beat", "provider"])
def test_a_process_killed_at_random_moments(drill: Drill, crowd: Crowd, process: str) -> None:
    random = Random(process)

    def kill_twice() -> None:
        for _ in range(2):
            time.sleep(random.uniform(0, 1.5))
            drill.kill(process)

    crowd.buy(kill_twice)

    crowd.assert_all_is_well()


def test_the_provider_killed_while_it_charges(drill: Drill, crowd: Crowd) -> None:
    slow = Purchase(crowd.sku, SLOW)
    drill.insist(slow)
    wait_for(lambda: drill.payment_of(slow) == "SENT", "a charge in flight")

    drill.kill("provider")

    assert drill.count_charges(drill.code_of(slow)) == 0
    assert_outcome(finish(drill, slow), PAID)


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


def test_a_storm_of_events_while_their_workers_are_killed(told: Drill) -> None:
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


@pytest.mark.parametrize("process", ["provider", "payments"])
def test_a_process_killed_while_the_provider_has_charged_and_not_answered(
    drill: Drill, crowd: Crowd, process: str
) -> None:
    hanging = Purchase(crowd.sku, HANGING)
    code = drill.insist(hanging)[1]["code"]
    wait_for(lambda: drill.count_charges(code), "the charge at the provider")

    drill.kill(process)

    assert drill.payment_of(hanging) == "SENT"
    assert_outcome(finish(drill, hanging), PAID)


def test_the_provider_frozen(drill: Drill, crowd: Crowd) -> None:
    with drill.frozen("provider"):
        crowd.buy()
        time.sleep(FROZEN_FOR)

    crowd.assert_all_is_well()


def test_answers_that_trickle_keep_no_other_order_from_being_charged(drill: Drill, crowd: Crowd) -> None:
    """There are more such answers than the payments worker has threads. Each takes a quarter of an hour to read."""
    sku = uuid4().hex
    trickling = [Purchase(sku, TRICKLING) for _ in range(50)]
    drill.stock([sku], units=len(trickling))
    worker = drill.stack.process("payments").pid
    for purchase in trickling:
        drill.insist(purchase)

    crowd.buy()

    crowd.assert_all_is_well()
    for purchase in trickling:
        assert finish(drill, purchase).end == PAID
        assert drill.count_charges(drill.code_of(purchase)) == 1
    assert drill.stack.process("payments").pid == worker  # nobody had to end it


def test_the_payments_worker_frozen_with_a_charge_in_hand_until_the_order_is_cancelled(
    drill: Drill, purchase: Purchase
) -> None:
    """The other worker fences the key, so the charge that wakes up late takes nothing."""
    drill.arm("charge.sent", purchase, action="pause")
    drill.insist(purchase)
    drill.wait_until_reached("charge.sent", purchase)

    with drill.frozen("payments"), drill.running(drill.make_second("payments", "second@%h")):
        drill.release("charge.sent", purchase)
        drill.make_expired(purchase)
        drill.wait_until_final(purchase)
    drill.wait_until_idle("payments")

    assert_outcome(finish(drill, purchase), EXPIRED)
    assert drill.audit() == []


@pytest.mark.parametrize("point", ["charge.started", "charge.sent"])
def test_a_charge_that_comes_after_the_cancel_takes_nothing(drill: Drill, purchase: Purchase, point: str) -> None:
    charge_late(drill, purchase, point)

    assert_outcome(finish(drill, purchase), EXPIRED)
    assert drill.audit() == []


def test_an_answer_that_is_late_finds_the_order_confirmed(drill: Drill, purchase: Purchase) -> None:
    charge_late(drill, purchase, "charge.answered")

    assert_outcome(finish(drill, purchase), PAID)
    assert drill.audit() == []


def test_the_late_no_to_a_first_card_is_not_the_seconds(drill: Drill, crowd: Crowd) -> None:
    declined = Purchase(crowd.sku, DECLINED, hold_on_decline=600)

    pay_again_before_a_late_no(drill, declined)

    assert_outcome(look_at(drill, declined), PAID)
    assert drill.audit() == []


def test_a_declined_payment_can_not_be_confirmed_after_the_next(drill: Drill, crowd: Crowd) -> None:
    declined = Purchase(crowd.sku, DECLINED, hold_on_decline=600)

    confirm_after_the_next(drill, declined)

    assert_outcome(look_at(drill, declined), PAID)
    assert drill.audit() == []


def test_a_payment_that_failed_at_the_bank_can_not_be_confirmed_any_more(drill: Drill, crowd: Crowd) -> None:
    failing = Purchase(crowd.sku, ASKS, approves=False)

    confirm_after_a_failure(drill, failing)

    assert_outcome(look_at(drill, failing), REFUSED)
    assert drill.audit() == []


def test_staff_resume_an_order_while_it_is_finalized(drill: Drill, purchase: Purchase) -> None:
    resume_while_it_is_finalized(drill, purchase)

    assert_outcome(finish(drill, purchase), PAID)
    assert drill.audit() == []


def test_two_beats(drill: Drill, crowd: Crowd) -> None:
    with drill.running(drill.make_second("beat", str(drill.stack.folder / "second-beat"))):
        crowd.buy(lambda: drill.kill("payments"))

        crowd.assert_all_is_well()


def test_no_beat_for_a_while(drill: Drill, purchase: Purchase) -> None:
    with drill.without("beat"):
        crash_at(drill, purchase, "place.committed")
        drill.make_due(purchase)
        time.sleep(3)
        assert drill.status_of(purchase) == "PENDING"
        assert drill.audit() == []

    assert_outcome(finish(drill, purchase), PAID)


def test_the_broker_killed(drill: Drill, crowd: Crowd) -> None:
    crowd.buy(lambda: drill.kill(find_broker(drill)))

    crowd.assert_all_is_well()


def test_the_broker_emptied_with_orders_on_their_way(drill: Drill, crowd: Crowd, broker: "redis.Redis") -> None:
    with drill.frozen("payments"):
        crowd.buy()
        broker.flushall()

    crowd.assert_all_is_well()


def test_the_broker_frozen(drill: Drill, crowd: Crowd) -> None:
    """Behind sentinels another one takes its place meanwhile."""
    with drill.frozen(find_broker(drill)):
        crowd.buy()
        time.sleep(FROZEN_FOR)

    crowd.assert_all_is_well()


def test_the_broker_full(drill: Drill, crowd: Crowd, broker: "redis.Redis") -> None:
    broker.config_set("maxmemory", 1)
    try:
        crowd.buy()
        time.sleep(2)
    finally:
        broker.config_set("maxmemory", 0)

    crowd.assert_all_is_well()


def test_the_broker_read_only(drill: Drill, crowd: Crowd, broker: "redis.Redis") -> None:
    broker.replicaof("127.0.0.1", "9")  # nobody is there to follow
    try:
        crowd.buy()
        time.sleep(2)
    finally:
        broker.replicaof("NO", "ONE")

    crowd.assert_all_is_well()


def test_the_broker_read_only_for_long(drill: Drill, crowd: Crowd, broker: "redis.Redis") -> None:
    """Workers that can't take messages end, and are started again. They leave no connection open on the way."""
    connections = broker.info("clients")["connected_clients"]
    with restarted_in_time(drill):
        broker.replicaof("127.0.0.1", "9")
        try:
            crowd.buy()
            time.sleep(LONGER_THAN_A_WORKER_WAITS)
            assert broker.info("clients")["connected_clients"] <= connections
        finally:
            broker.replicaof("NO", "ONE")

        crowd.assert_all_is_well()


def test_a_queue_that_can_not_be_read(drill: Drill, crowd: Crowd, broker: "redis.Redis") -> None:
    """Its worker can do everything but take messages, so only reading the queue shows the trouble."""
    queue = f"{drill.stack.environment['REDIS_PREFIX']}payments"
    connections = broker.info("clients")["connected_clients"]
    with restarted_in_time(drill, "payments"):
        broker.set(queue, "no list")
        try:
            crowd.buy()
            time.sleep(LONGER_THAN_A_WORKER_WAITS)
            assert broker.info("clients")["connected_clients"] <= connections
        finally:
            broker.delete(queue)

        crowd.assert_all_is_well()


@pytest.mark.parametrize("junk", [b"", b"no schedule"], ids=["empty", "text"])
def test_beats_schedule_damaged(drill: Drill, crowd: Crowd, junk: bytes) -> None:
    for file in drill.stack.folder.glob("beat*"):
        file.write_bytes(junk)
    drill.kill("beat")

    crowd.buy(lambda: drill.kill("payments"))

    crowd.assert_all_is_well()


def test_workers_whose_clocks_are_ahead(drill: Drill, crowd: Crowd) -> None:
    """They do all the work. They discard no message that is a minute late by their clock."""
    try:
        skewed = [skew(drill, name) for name in ("payments", "orders")]
    except Missed as missed:
        pytest.skip(str(missed))
    with drill.running(skewed[0]), drill.running(skewed[1]):
        # Nobody would take a message while they start, and it would be later than that.
        wait_for(lambda: all("ready." in process.log.read_text() for process in skewed), "them to start")
        with drill.frozen("payments"), drill.frozen("orders"):
            crowd.buy()

            crowd.assert_all_is_well()
            assert "Discarding" not in skewed[1].log.read_text()
            assert "orderly_alive 0.0" in drill.read_metrics()


def skew(drill: Drill, name: str) -> Process:
    """A second worker of the kind, with a clock that is as far ahead as is tolerated."""
    second = drill.make_second(name, f"skewed-{name}@%h")
    command, environment = skew_clock(second.command, seconds=55)
    return replace(second, command=command, env={**second.env, **environment})


def test_charging_that_stops_is_seen(drill: Drill, purchase: Purchase) -> None:
    """The web process sees it, and so does a worker that does not hang with the charges."""
    log = drill.stack.log("orders")
    with drill.frozen("payments"):
        drill.insist(purchase)
        wait_for(lambda: "orderly_alive 0.0" in drill.read_metrics(), "the web process to see it")
        wait_for(lambda: "has waited for its first charge" in log.read_text(), "the orders worker to see it")

    assert_outcome(finish(drill, purchase), PAID)
    wait_for(lambda: "orderly_alive 1.0" in drill.read_metrics(), "all at work again")


@contextmanager
def restarted_in_time(drill: Drill, *workers: str) -> Iterator[None]:
    """Each of these workers ends by itself while the block runs, and is started again."""
    names = workers or ("payments", "orders")
    before = {name: drill.stack.process(name).pid for name in names}
    yield
    for name in names:
        assert drill.stack.process(name).pid != before[name], f"{name} did not end"


@pytest.mark.parametrize("sent", [signal.SIGQUIT, signal.SIGKILL], ids=["immediate-stop", "kill"])
def test_postgresql_dies_and_recovers(drill: Drill, crowd: Crowd, sent: signal.Signals) -> None:
    """It dies by an immediate stop, and by kill -9. It recovers from the log that is on disk."""
    if not drill.owns("postgres"):
        pytest.skip("a server that is not ours")

    crowd.buy(lambda: drill.kill("postgres", sent))

    crowd.assert_all_is_well()
    with psycopg.connect(drill.stack.environment["DATABASE_URL"]) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_a_mail_server_that_does_not_answer(tmp_path: Path) -> None:
    """All orders end meanwhile, and their mails go out afterwards, one at a time."""
    purchases = [Purchase("MUG") for _ in range(9)]
    with run_mail_server() as mail_server, run_drill(tmp_path, EMAIL_URL=mail_server.url, MAIL_EVERY="0.5") as drill:
        drill.stock(["MUG"])
        mail_server.answering.clear()
        drill.insist(purchases[0])
        wait_for(lambda: mail_server.clients, "a mail that is held")

        for purchase in purchases[1:]:
            drill.insist(purchase)
        for purchase in purchases:
            drill.wait_until_final(purchase)
            assert drill.status_of(purchase) == "CONFIRMED"
        assert mail_server.mails == []

        mail_server.answering.set()
        drill.execute("UPDATE orders_ordermail SET send_after = now() WHERE sent_at IS NULL")
        wait_for(lambda: len(mail_server.mails) >= len(purchases), "the mails")
        wait_for(lambda: drill.query("SELECT count(*) FROM orders_ordermail WHERE sent_at IS NULL") == 0, "their notes")
        assert len({mail["Message-ID"] for mail in mail_server.mails}) == len(purchases)
        assert mail_server.most_at_once == 1
        assert drill.stock_of("MUG") == (1, 0)
        assert drill.audit() == []


LOCK_STOCK = """
SELECT FROM catalog_stock JOIN catalog_product product ON product.id = product_id WHERE sku = %s
FOR UPDATE OF catalog_stock
"""
DRIPS = 40  # connections, more than twice as many as the web server has threads
BEGUN = [
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Drip: ",
    b"POST /api/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n\r\n",
]


@contextmanager
def dripping(url: str) -> Iterator[None]:
    """Open connections that send a byte a second. Their headers or their bodies never end."""
    address, done = (urlsplit(url).hostname, urlsplit(url).port), Event()
    with ExitStack() as exits:
        clients = [exits.enter_context(socket.create_connection(address)) for _ in range(DRIPS)]
        for number, client in enumerate(clients):
            client.sendall(BEGUN[number % len(BEGUN)])

        def drip() -> None:
            while not done.wait(1):
                for client in clients:
                    client.sendall(b"a")

        pool = exits.enter_context(ThreadPoolExecutor(1))
        dripped = pool.submit(drip)
        try:
            time.sleep(2)
            yield
        finally:
            done.set()
        dripped.result()


def test_connections_that_drip_silence_nobody(drill: Drill, crowd: Crowd) -> None:
    with dripping(drill.stack.web_url):
        for purchase in crowd.purchases:
            assert drill.ask(purchase), "no answer within 20 seconds"
            assert requests.get(f"{drill.stack.web_url}/", timeout=20).status_code == 200

    crowd.assert_all_is_well()


def test_a_locked_row_keeps_no_order_of_another_product_waiting(drill: Drill, crowd: Crowd) -> None:
    other = uuid4().hex
    drill.stock([other])
    behind, beside = [Purchase(crowd.sku) for _ in range(8)], Purchase(other)
    log = drill.stack.log("orders")
    before = log.stat().st_size
    with psycopg.connect(drill.stack.environment["DATABASE_URL"]) as somebody:
        with drill.frozen("orders"):
            for purchase in behind:
                drill.insist(purchase)
            for purchase in behind:
                wait_for(lambda purchase=purchase: drill.payment_of(purchase) == "SUCCEEDED", "the money")  # type: ignore[misc]
            somebody.execute(LOCK_STOCK, [crowd.sku])
        drill.insist(beside)
        started = time.monotonic()
        drill.wait_until_final(beside)
        assert time.monotonic() - started < 20  # seconds; behind each of the others for a lock_timeout it would be 40
        assert {drill.status_of(purchase) for purchase in behind} == {"PENDING"}

    for purchase in [*behind, beside]:
        assert finish(drill, purchase).end == PAID
    assert (drill.stock_of(crowd.sku), drill.stock_of(other)) == ((2, 0), (9, 0))
    assert drill.audit() == []
    log_since = log.read_bytes()[before:].decode()
    assert "the task is left to a later one" in log_since
    assert "canceling statement due to lock timeout" in log_since
    assert "Traceback" not in log_since


def test_the_database_read_only(drill: Drill, crowd: Crowd) -> None:
    """It answers as a demoted primary does. Sessions that were opened in that time stay read-only afterwards."""
    if "target_session_attrs" in drill.stack.environment["DATABASE_URL"]:
        pytest.skip("with a standby beside it, no session is opened to a server that takes no writes")
    first, second, *_ = crowd.purchases
    placed = drill.insist(first)[1]
    drill.wait_until_final(first)
    with read_only(drill), requests.Session() as visitor:
        wait_for(lambda: (drill.ask(first) or [0])[0] == 200, "an answer from a new session")
        for status, answer in ask_with_every_thread(drill, [second]):
            assert (status, '"try_again"' in answer["body"]) == (503, True)
        assert drill.insist(first)[1]["code"] == placed["code"]
        page = visitor.get(f"{drill.stack.web_url}/cart/", timeout=20)
        form = {"sku": crowd.sku, "quantity": 1, "csrfmiddlewaretoken": visitor.cookies["csrftoken"]}
        refused = visitor.post(f"{drill.stack.web_url}/cart/add/", form, timeout=20)
        assert (page.status_code, refused.status_code, refused.headers["Retry-After"]) == (200, 503, "5")

    assert {status for status, _ in ask_with_every_thread(drill, crowd.purchases)} <= {200, 201}
    crowd.assert_all_is_well()


def ask_with_every_thread(drill: Drill, purchases: list[Purchase]) -> list[tuple[int, Any]]:
    """Send so many requests at once that each thread of the web server has some."""
    with ThreadPoolExecutor(32) as pool:
        return [answer or (0, {"body": ""}) for answer in pool.map(drill.ask, purchases * (80 // len(purchases)))]


@contextmanager
def read_only(drill: Drill) -> Iterator[None]:
    stack = RunningStack(drill.stack.folder / "stack.json", run="")
    try:
        command_database(stack, READ_ONLY, END_SESSIONS)
        yield
    finally:
        command_database(stack, READ_WRITE)
