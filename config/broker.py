"""How Celery talks to the broker: each transport has options of its own."""

import ssl
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kombu import Queue

from config.sentinel import parse_service, split_hosts

# A broker that hands a task out a second time because its worker died counts how often. More than this, and the message
# is dropped: the row's own count decides from then on. See docs/adr/0027.
DELIVERY_LIMIT = 5
# Seconds. A worker of one task at a time says nothing while it is at work, and RabbitMQ waits for twice as long.
HEARTBEAT = 60
RETRY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}  # the sweep does the rest


class Broker(NamedTuple):
    """What differs between brokers in Celery's settings."""

    url: str
    options: dict[str, Any]
    tls: dict[str, Any] | None
    redelivers: bool  # at once, where a worker dies with a task in hand; and it counts
    queue_arguments: dict[str, Any]
    route_options: dict[str, Any]  # with which each message is published

    def make_queues(self, names: Iterable[str]) -> list[Queue]:
        return [Queue(name, routing_key=name, queue_arguments=self.queue_arguments) for name in sorted(set(names))]


def configure_broker(url: str, *, prefix: str, timeout: float) -> Broker:
    """`prefix` is of Redis's keys. `timeout` is how many seconds an answer may take; a customer may wait for it."""
    scheme = url.partition("://")[0]
    if scheme in ("amqp", "amqps"):
        return _configure_rabbitmq(url, timeout=timeout)
    options = _make_redis_options(prefix=prefix, timeout=timeout)
    if scheme == "sentinel":
        service = parse_service(url)
        options |= {"master_name": service.name, "sentinel_kwargs": _make_sentinel_options(service.sentinel_options)}
        urls = [f"sentinel://{service.credentials}{host}:{port}/{service.database}" for host, port in service.sentinels]
        url = ";".join(urls)
    # In Redis a queue is there once a message is in it. To declare it first takes a twelfth of a message's time.
    return Broker(url, options, tls=None, redelivers=False, queue_arguments={}, route_options={"declare": ()})


def _make_redis_options(*, prefix: str, timeout: float) -> dict[str, Any]:
    return {
        **RETRY,
        "global_keyprefix": prefix,
        # A worker keeps what it has fetched in memory, and gives it back when it is stopped. With copies in Redis, what
        # a killed worker had fetched would come back only after the visibility timeout: the sweep has done it by then.
        "ack_emulation": False,
        "socket_connect_timeout": 1,
        "socket_timeout": timeout,
        "health_check_interval": 10,
    }


def _make_sentinel_options(password: Mapping[str, str]) -> dict[str, Any]:
    return {**password, "socket_connect_timeout": 1, "socket_timeout": 1}


def _configure_rabbitmq(url: str, *, timeout: float) -> Broker:
    options = {
        **RETRY,
        "confirm_publish": True,  # or a message that no queue has taken would count as published
        "connect_timeout": 1,
        "read_timeout": timeout,
        "write_timeout": timeout,
    }
    # Every node has the queue's log, and a message is confirmed once most of them have it on disk.
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
    tls = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None} if url.startswith("amqps") else None
    url = ";".join(split_hosts(url))
    return Broker(url, options, tls=tls, redelivers=True, queue_arguments=arguments, route_options={})
