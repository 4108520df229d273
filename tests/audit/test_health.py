"""The probes say what a load balancer has to know, and strangers no more."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import current_app
from django.conf import LazySettings
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import health
from audit.health import answer_readiness, ask_migrations
from audit.models import Tick
from audit.ticks import read_schedule, record_tick
from tests.locks import end_our_session

pytestmark = pytest.mark.django_db(transaction=True)
NOWHERE = "redis://127.0.0.1:9/0"


@pytest.fixture(autouse=True)
def _everybody_at_work(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "examination", health.Examination())
    monkeypatch.setattr(health, "KEPT_FOR", 0)
    settings.ALLOWED_HOSTS = ["shop.example.com"]
    settings.SECURE_SSL_REDIRECT = True
    for task in read_schedule():
        record_tick(task=task)
    ask_migrations.cache_clear()
    yield
    connection.close()


def probe(path: str) -> tuple[int, dict[str, str]]:
    """What a probe gets that knows the process by its IP address alone."""
    answer = Client(headers={"Host": "10.0.0.7:8000"}).get(path)
    return answer.status_code, answer.json()


def test_a_web_process_is_ready_when_everything_is_there() -> None:
    fine = dict.fromkeys(["status", "database", "migrations", "broker", "workers"], "ok")
    assert probe("/readyz") == (200, fine)


def test_a_web_process_is_not_ready_without_its_database_but_lives() -> None:
    end_our_session()

    status, parts = probe("/readyz")

    assert (status, parts["status"], parts["database"], parts["broker"]) == (503, "failing", "failing", "ok")
    assert probe("/healthz") == (200, {"status": "ok"})


def test_code_that_came_before_its_migrations_is_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE id = (SELECT max(id) FROM django_migrations) RETURNING *")
        row = cursor.fetchone()
    try:
        status, parts = probe("/readyz")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO django_migrations VALUES (%s, %s, %s, %s)", row)

    assert (status, parts["database"], parts["migrations"]) == (503, "ok", "failing")
    assert f"{row[1]}.{row[2]}" in caplog.text
    assert probe("/readyz")[0] == 200


def test_the_shop_takes_orders_while_nobody_is_at_work(caplog: pytest.LogCaptureFixture) -> None:
    Tick.objects.update(ended_at="2020-01-01T00:00:00Z")

    status, parts = probe("/readyz")

    assert (status, parts["status"], parts["workers"]) == (200, "ok", "failing")
    assert "orders.tasks.sweep_stuck_orders has not run" in caplog.text


def test_the_shop_takes_orders_without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_write_url", NOWHERE)

    status, parts = probe("/readyz")

    assert (status, parts["status"], parts["broker"]) == (200, "ok", "failing")


def test_whoever_asks_often_is_told_what_was_found_a_moment_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "KEPT_FOR", 60)
    found = probe("/readyz")
    monkeypatch.setattr(current_app.conf, "broker_write_url", NOWHERE)

    with CaptureQueriesContext(connection) as asked:
        assert [probe("/readyz"), probe("/readyz")] == [found, found]
    assert len(asked) == 0


def test_a_crowd_that_asks_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker hangs, so that finding out takes long."""
    found = probe("/readyz")
    with socket.create_server(("127.0.0.1", 0)) as broker, ThreadPoolExecutor(1) as pool:
        broker.settimeout(10)
        port = broker.getsockname()[1]
        monkeypatch.setattr(current_app.conf, "broker_write_url", f"redis://127.0.0.1:{port}/0")
        first = pool.submit(answer_readiness)
        connected, _address = broker.accept()  # the first one asks

        assert [probe("/readyz"), probe("/readyz")] == [found, found]
        connected.close()
        broker.close()
        assert json.loads(first.result().content)["broker"] == "failing"
        pool.submit(connections.close_all).result()  # the thread's own
