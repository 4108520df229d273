"""The workers' consumer: it closes each connection that it opened, and says when it took from a queue."""

from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any

import celery.worker.consumer

from config.watchdog import pulse


class Consumer(celery.worker.consumer.Consumer):
    """Celery's consumer, whose connection can't leak, and can't fall silent without being noticed."""

    opened: Any = None

    def connection_for_read(self, heartbeat: float | None = None) -> Any:
        self.opened = super().connection_for_read(heartbeat=heartbeat)
        watch_reads(self.opened.transport)
        return self.opened

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
    """Count each answer of a queue as a sign of life, even that the queue is empty. An error is no sign of life."""
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
    channels = transport.cycle._fd_to_chan if transport.driver_type == "redis" else {}
    _, command = channels.get(arguments[0], (None, ""))
    return bool(command == "LISTEN")
