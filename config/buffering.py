"""gunicorn's processes, with waitress in each. A request takes a thread once it is whole; an answer keeps none."""

import os
import resource
import time
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.server import BaseWSGIServer, create_server
from waitress.utilities import BadRequest

REQUEST_WITHIN = 30.0  # seconds from a request's first byte to its last
SILENT_FOR = 30  # seconds; then a connection is closed, be it in a request, in an answer or between them
LOOK_EVERY = 0.1  # seconds from one look at all connections to the next
FULL = 0.9  # of the connections there may be; then room is made
SPARE_FILES = 100  # of those a process may open: for databases, logs and long requests
LIMITS = {
    "max_request_header_size": 64 * 2**10,  # bytes
    "max_request_body_size": 10 * 2**20,
    "inbuf_overflow": 64 * 2**10,  # what is longer waits in a temporary file, not in memory
}
LONGEST_CHUNK_LINE = 16 * 2**10  # bytes: a chunk's size with its extensions, or all that follows the last one


class RequestParser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """waitress's parser with a limit for the line of a chunk, which waitress reads anew at each packet."""

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        body = self.body_rcv
        if isinstance(body, ChunkedReceiver) and len(body.control_line) + len(body.trailer) > LONGEST_CHUNK_LINE:
            self.error = BadRequest("a chunk's line is too long")
            self.completed = True
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Raises ParsingError, also if the header states two lengths: a proxy may have read the other one.

        https://www.rfc-editor.org/rfc/rfc9112.html#section-6.3-2.3
        """
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length beside Transfer-Encoding")


class Channel(HTTPChannel):  # type: ignore[misc]
    parser_class = RequestParser


class BufferingWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """One thread reads and writes all connections, --threads run the shop; at most --worker-connections at a time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sockets: dict[int, Any] = {}
        self._begun: WeakKeyDictionary[HTTPRequestParser, float] = WeakKeyDictionary()

    def run(self) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = min(self.cfg.worker_connections, files - SPARE_FILES)
        create_server(
            self.wsgi,
            map=self._sockets,
            sockets=[listener.sock for listener in self.sockets],
            threads=self.cfg.threads,
            connection_limit=self._most,
            channel_timeout=SILENT_FOR,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,  # config/proxies.py knows whom to trust
            ident="",
            **LIMITS,
        )
        for server in self._find(BaseWSGIServer):
            server.channel_class = Channel
        next_look = 0.0
        while self.alive and os.getppid() == self.ppid:
            self._serve()
            self._make_room()
            if time.monotonic() > next_look:  # a look at every connection costs more than a request
                self.notify()
                self._close_late()
                next_look = time.monotonic() + LOOK_EVERY
        self._finish()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        for server in self._find(BaseWSGIServer):
            server.pull_trigger()  # or the loop would notice a second later

    def _serve(self) -> None:
        wasyncore.loop(timeout=1, map=self._sockets, use_poll=True, count=1)

    def _close_late(self) -> None:
        now = time.monotonic()
        for channel in self._find(HTTPChannel):
            request = channel.request  # one that is not whole yet
            if request and not channel.requests and now - self._begun.setdefault(request, now) > REQUEST_WITHIN:
                channel.will_close = True

    def _make_room(self) -> None:
        """Before all connections are taken, close those that were silent longest: they would keep the others out."""
        if len(self._sockets) < self._most * FULL:
            return
        channels = self._find(HTTPChannel)
        waiting = [channel for channel in channels if not (channel.requests or channel.total_outbufs_len)]
        waiting.sort(key=lambda channel: channel.last_activity)
        for channel in waiting[: 1 + len(channels) // 10]:
            channel.will_close = True

    def _finish(self) -> None:
        """Take no more connections, and end when all that was asked is answered."""
        for server in self._find(BaseWSGIServer):
            server.accepting = False
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < deadline and any(
            channel.requests or channel.total_outbufs_len for channel in self._find(HTTPChannel)
        ):
            self._serve()
            self.notify()

    def _find(self, kind: type[Any]) -> list[Any]:
        return [channel for channel in self._sockets.values() if isinstance(channel, kind)]
