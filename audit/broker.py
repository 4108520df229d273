"""Asks the broker, and waits a second at most for one that is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import current_app
from kombu import Connection, Queue
from kombu.exceptions import ChannelError

PATIENCE = 1  # second


@contextmanager
def open_broker() -> Iterator[Any]:
    """A connection to the broker. Raises kombu's OperationalError while the broker is away."""
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=PATIENCE)
        yield broker


def count_messages(broker: Connection, queue: Queue) -> int | None:
    """The messages in the queue that no worker has fetched; None: there is no such queue.

    The declaration is passive, so it makes no queue and compares no arguments.
    """
    try:
        with broker.channel() as channel:
            declared: Any = queue.bind(channel).queue_declare(passive=True)  # kombu's types say that it is a text
            return int(declared.message_count)
    except ChannelError as error:
        if str(error.reply_code) != "404":  # kombu's Redis has it as a text
            raise
        return None
