"""The workers' consumer: it closes each connection that it opened, and says when it took from a queue."""

from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any

import celery.worker.consumer

from config.watchdog import TICK, pulse

DELAYS = "delayed_delivery"


class Consumer(celery.worker.consumer.Consumer):
    """Celery's consumer, whose connection can't leak, and can't fall silent without being noticed."""

    class Blueprint(celery.worker.consumer.Consumer.Blueprint):  # type: ignore[misc, valid-type]  # so the stubs say
        # It makes 28 queues at RabbitMQ for tasks with a countdown. No task has one: long waits are a row's.
        default_steps = [step for step in celery.worker.consumer.Consumer.Blueprint.default_steps if DELAYS not in step]

    opened: Any = None
    ticking: Any = None

    def connection_for_read(self, heartbeat: float | None = None) -> Any:
        self.opened = super().connection_for_read(heartbeat=heartbeat)
        watch_reads(self.opened.transport)
        return self.opened

    def register_with_event_loop(self, hub: Any) -> None:
        """Where RabbitMQ is the broker, the loop that listens is the sign of life: an empty queue is silent.

        A connection that breaks ends the loop, and so does one whose heartbeats do not come.
        """
        super().register_with_event_loop(hub)
        if self.ticking:  # the hub keeps its timers when the connection is another
            self.ticking.cancel()
        if self.opened.transport.driver_type == "amqp":
            self.ticking = hub.call_repeatedly(TICK, pulse.beat)

    def connect(self) -> Any:
        """Connect to the broker, or close the connection and raise what it raises.

        Celery 5.7 leaves the connection open when the event loop can't take it on, and tries again five times a second.
        A read-only broker is enough for that: see docs/adr/0013.
        """
        try:
            return super().connect()
        except Exception:
            if self.opened:  # if not, the first connection could not even be opened
                self.opened.release()
            raise


def watch_reads(transport: Any) -> None:
    """Count each answer of a queue as a sign of life, even that the queue is empty. An error is no sign of life.

    This is for Redis, which is asked: see Consumer.register_with_event_loop.
    """
    if transport.driver_type != "redis":
        return
    read: Callable[..., object] = transport.on_readable

    def read_and_beat(*arguments: Any) -> None:
        is_queue = not is_broadcast(transport, *arguments)
        with suppress(Empty):  # how kombu says it
            read(*arguments)
        if is_queue:
            pulse.beat()

    transport.on_readable = read_and_beat


def is_broadcast(transport: Any, *arguments: Any) -> bool:
    """Whether Redis answers a subscription: remote control may work while no queue is read any more."""
    _, command = transport.cycle._fd_to_chan.get(arguments[0], (None, ""))
    return bool(command == "LISTEN")
