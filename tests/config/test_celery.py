"""What a worker does with messages that it has fetched, against the real broker."""

import secrets
from typing import Any

import redis
from celery.app.defaults import DEFAULTS
from django.conf import settings
from kombu import Consumer, Producer, Queue

from config import celery_settings
from config.celery import app


def test_what_a_worker_fetched_and_has_not_begun_is_in_its_queue_again_when_it_stops() -> None:
    queue, fetched = Queue(f"test-{secrets.token_hex(4)}"), []
    with app.connection_for_read() as worker:
        Producer(worker).publish("work", routing_key=queue.name, declare=[queue])
        with Consumer(worker, [queue], callbacks=[lambda body, _: fetched.append(body)]):
            worker.drain_events(timeout=5)
    assert fetched == ["work"]

    with app.connection_for_read() as another:
        message = queue(another.default_channel).get(no_ack=True)
        assert message is not None
        assert message.payload == "work"
        queue(another.default_channel).delete()


def test_no_copy_of_a_fetched_message_is_kept_in_redis() -> None:
    queue = Queue(f"test-{secrets.token_hex(4)}")
    with app.connection_for_read() as worker:
        Producer(worker).publish("work", routing_key=queue.name, declare=[queue])
        with Consumer(worker, [queue], callbacks=[lambda *_: None]), redis.Redis.from_url(settings.REDIS_URL) as client:
            worker.drain_events(timeout=5)
            assert not client.exists(f"{settings.REDIS_PREFIX}unacked")
        queue(worker.default_channel).delete()


def test_every_setting_stands_where_celery_looks_first() -> None:
    first: Any = app.conf.changes

    assert set(DEFAULTS) <= set(first)
    assert (first["task_ignore_result"], first["CELERY_DB_REUSE_MAX"]) == (True, app.conf.CELERY_DB_REUSE_MAX)
    assert first["task_routes"] is celery_settings.task_routes
