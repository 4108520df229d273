"""What Celery is told of each kind of broker."""

import ssl
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from kombu import Connection

from config.broker import DELIVERY_LIMIT, Broker, configure_broker
from config.redis_transport import KeptClient


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
        channel._disconnect_pools()  # as kombu does where the connection is lost
        with channel.conn_or_acquire() as other:
            assert other is not first
            assert other.connection_pool is channel.pool


@pytest.mark.parametrize("url", ["redis://one/0", "rediss://one/0", "sentinel://one/0"])
def test_every_way_to_redis_keeps_its_client(url: str) -> None:
    transport: Any = current_app.connection_for_write(url).get_transport_cls()

    assert issubclass(transport.Channel, KeptClient)
