"""Celery's transports for Redis. Their channels keep the client that publishes: kombu makes one for each message."""

import os
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class KeptClient:
    """Lets a channel of kombu's, the class beside this one, keep its client. One thread uses a channel at a time."""

    _publisher: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        if self.connection is None:  # type: ignore[attr-defined]
            # An AttributeError follows otherwise, after which kombu makes no other channel: beat would publish no more.
            raise ConnectionError("The channel was closed while its server was away.")
        if not self._has_publisher():
            if self._publisher is not None:
                self._publisher.close()  # the pool has its connection again
            # The client keeps its connection, too. Any other asks the pool for one at each message.
            self._publisher = self.Client(connection_pool=self.pool, single_connection_client=True)  # type: ignore[attr-defined]
        return self._publisher

    def _has_publisher(self) -> bool:
        """Whether its connection stands, in this process: by itself it would go back to where it was.

        The pool asks the sentinels where the primary is now, and gives no fork a connection of its parent's.
        """
        if self._publisher is None or self._publisher.connection_pool is not self.pool:  # type: ignore[attr-defined]
            return False
        connection = self._publisher.connection
        return connection is not None and connection._sock is not None and connection.pid == os.getpid()


class Channel(KeptClient, redis.Channel):
    pass


class SentinelChannel(KeptClient, redis.SentinelChannel):
    pass


class Transport(redis.Transport):
    Channel = Channel


class SentinelTransport(redis.SentinelTransport):
    Channel = SentinelChannel


TRANSPORT_ALIASES |= {
    "redis": f"{__name__}:Transport",
    "rediss": f"{__name__}:Transport",
    "sentinel": f"{__name__}:SentinelTransport",
}
