"""What Celery is told of each kind of broker."""

import os
import secrets
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import current_app
from django.conf import settings
from kombu import Connection, Producer

from config.broker import DELIVERY_LIMIT, RETRY, Broker, configure_broker
from config.redis_transport import KeptClient
from lab.stack.processes import Supervisor
from lab.stack.sentinels import watched_valkey
from tests.waiting import wait_for


def configure(url: str) -> Broker:
    return configure_broker(url, prefix="tea:", timeout=0.5)


@pytest.mark.parametrize("url", ["redis://:secret@host:6379/0", "rediss://host/1"])
def test_redis_is_one_server_that_keeps_no_copies(url: str) -> None:
    broker = configure(url)

    assert (broker.url, broker.redelivers, broker.queue_arguments) == (url, False, {})
    options = {name: broker.options[name] for name in ("global_keyprefix", "socket_timeout", "ack_emulation")}
    assert options == {"global_keyprefix": "tea:", "socket_timeout": 0.5, "ack_emulation": False}
    assert "master_name" not in broker.options


def test_sentinels_are_asked_for_the_primary() -> None:
    broker = configure("sentinel://ann:p%40ss@one,two:26380/shop/2?sentinel_password=hunter2")

    assert broker.url == "sentinel://ann:p%40ss@one:26379/2;sentinel://ann:p%40ss@two:26380/2"
    assert (broker.options["master_name"], broker.options["sentinel_kwargs"]["password"]) == ("shop", "hunter2")
    assert (broker.options["global_keyprefix"], broker.redelivers) == ("tea:", False)


def test_rabbitmq_confirms_counts_and_keeps_a_queue_on_every_node() -> None:
    broker = configure("amqp://ann:secret@one,two:5673/shop")

    assert broker.url == "amqp://ann:secret@one/shop;amqp://ann:secret@two:5673/shop"
    assert (broker.options["confirm_publish"], broker.redelivers, broker.tls) == (True, True, None)
    [queue] = broker.make_queues(["payments", "payments"])
    assert (queue.name, queue.routing_key) == ("payments", "payments")
    assert queue.queue_arguments == {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}


def test_tls_to_rabbitmq_proves_who_is_there() -> None:
    assert configure("amqps://ann:secret@one/shop").tls == {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}


def test_a_channel_of_redis_publishes_by_one_client_until_its_connection_breaks() -> None:
    with Connection(settings.BROKER_URL) as broker:
        channel: Any = broker.channel()
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as again:
            assert first is again
            assert first.connection
        channel._disconnect_pools()  # as kombu does where the connection is lost
        with channel.conn_or_acquire() as other:
            assert other is not first
            assert other.connection_pool is channel.pool
            assert other.connection is not first.connection


def test_a_message_arrives_once_also_if_the_server_has_ended_the_kept_connection() -> None:
    queue = f"test-{secrets.token_hex(4)}"
    with Connection(settings.BROKER_URL) as broker, redis.Redis.from_url(settings.REDIS_URL) as server:
        channel: Any = broker.channel()
        producer = Producer(channel)
        producer.publish("first", routing_key=queue, retry=True, retry_policy=RETRY)
        with channel.conn_or_acquire() as client:
            server.client_kill_filter(_id=client.client_id())

        producer.publish("second", routing_key=queue, retry=True, retry_policy=RETRY)

        try:
            assert server.llen(queue) == 2
        finally:
            server.delete(queue)


def test_a_producer_whose_channel_was_closed_while_the_server_was_away_publishes_again() -> None:
    """As beat's is, which keeps one producer. Otherwise it would publish nothing until somebody starts it again."""
    queue = f"test-{secrets.token_hex(4)}"
    with Connection(settings.BROKER_URL) as broker, redis.Redis.from_url(settings.REDIS_URL) as server:
        producer = Producer(broker)
        producer.publish("before", routing_key=f"{queue}-before", retry=True, retry_policy=RETRY)
        channel: Any = producer.channel
        channel.close()

        producer.publish("after", routing_key=queue, retry=True, retry_policy=RETRY)

        try:
            assert server.llen(queue) == 1
        finally:
            server.delete(queue, f"{queue}-before")


def test_a_channel_publishes_to_the_new_primary_also_where_it_is_kept_after_an_error(tmp_path: Path) -> None:
    """As it is where a worker publishes the next task of a chain: Celery tries that again by the same channel."""
    processes, url = watched_valkey(tmp_path / "valkey", log=tmp_path / "log")
    queue, there = f"test-{secrets.token_hex(4)}", configure(url)
    with Supervisor() as supervisor, Connection(there.url, transport_options=there.options) as broker:
        supervisor.start(*processes)
        channel: Any = broker.channel()
        producer = Producer(channel)
        producer.publish("before", routing_key="another")

        def publish() -> bool:
            try:
                producer.publish("after", routing_key=queue)
            except broker.connection_errors:
                return False
            return True

        supervisor.stop(processes[0])
        wait_for(publish, "a message for the new primary")

        assert channel._size(queue) == 1


def test_no_fork_shares_the_connection_of_its_parent() -> None:
    """Or each of the two would read answers of the other."""
    reader, writer = os.pipe()
    with Connection(settings.BROKER_URL) as broker:
        channel: Any = broker.channel()
        with channel.conn_or_acquire() as ours:
            before = ours.client_id()
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # other threads: see os.fork
            child = os.fork()
        if not child:
            try:
                with channel.conn_or_acquire() as theirs:
                    os.write(writer, str(theirs.client_id()).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as said:
            assert int(said.read()) != before
        os.waitpid(child, 0)
        with channel.conn_or_acquire() as ours:
            assert ours.client_id() == before


def test_a_message_declares_its_queue_on_rabbitmq_alone() -> None:
    assert configure("redis://one/0").route_options == {"declare": ()}
    assert configure("sentinel://one/shop/0").route_options == {"declare": ()}
    assert configure("amqp://one/shop").route_options == {}  # RabbitMQ would drop it


@pytest.mark.parametrize("url", ["redis://one/0", "rediss://one/0", "sentinel://one/0"])
def test_every_way_to_redis_keeps_its_client(url: str) -> None:
    transport: Any = current_app.connection_for_write(url).get_transport_cls()

    assert issubclass(transport.Channel, KeptClient)
