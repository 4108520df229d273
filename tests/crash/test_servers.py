"""The broker and the database are killed, frozen, full or read-only while people buy, and every order ends well."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import redis
import requests

from lab.simulation.strikes.neighbours import END_SESSIONS, READ_ONLY, READ_WRITE, command_database
from lab.simulation.strikes.running_stack import RunningStack
from tests.crash.crowd import FROZEN_FOR, Crowd
from tests.crash.drill import Drill, Purchase
from tests.crash.stories import PAID, finish
from tests.waiting import wait_for

LONGER_THAN_A_WORKER_WAITS = 12  # seconds
LOCK_STOCK = """
SELECT FROM catalog_stock JOIN catalog_product product ON product.id = product_id WHERE sku = %s
FOR UPDATE OF catalog_stock
"""


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


def test_a_broker_that_is_killed_loses_no_order(drill: Drill, crowd: Crowd) -> None:
    crowd.buy(lambda: drill.kill(find_broker(drill)))

    crowd.assert_all_is_well()


def test_a_broker_that_is_emptied_loses_no_order_on_its_way(drill: Drill, crowd: Crowd, broker: "redis.Redis") -> None:
    with drill.frozen("payments"):
        crowd.buy()
        broker.flushall()

    crowd.assert_all_is_well()


def test_a_broker_that_is_frozen_only_delays_orders(drill: Drill, crowd: Crowd) -> None:
    """Behind sentinels another one takes its place meanwhile."""
    with drill.frozen(find_broker(drill)):
        crowd.buy()
        time.sleep(FROZEN_FOR)

    crowd.assert_all_is_well()


def test_orders_are_placed_while_the_broker_is_full(drill: Drill, crowd: Crowd, broker: "redis.Redis") -> None:
    broker.config_set("maxmemory", 1)
    try:
        crowd.buy()
        time.sleep(2)
    finally:
        broker.config_set("maxmemory", 0)

    crowd.assert_all_is_well()


def test_orders_are_placed_while_the_broker_is_read_only(drill: Drill, crowd: Crowd, broker: "redis.Redis") -> None:
    broker.replicaof("127.0.0.1", "9")  # nobody is there to follow
    try:
        crowd.buy()
        time.sleep(2)
    finally:
        broker.replicaof("NO", "ONE")

    crowd.assert_all_is_well()


def test_workers_of_a_broker_that_is_read_only_for_long_end_and_leave_no_connection_open(
    drill: Drill, crowd: Crowd, broker: "redis.Redis"
) -> None:
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


def test_a_worker_whose_queue_can_not_be_read_ends_and_leaves_no_connection_open(
    drill: Drill, crowd: Crowd, broker: "redis.Redis"
) -> None:
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


def test_no_session_stays_read_only_once_the_database_takes_writes_again(drill: Drill, crowd: Crowd) -> None:
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
