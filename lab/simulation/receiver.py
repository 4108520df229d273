"""Somebody who is told of events: a server on loopback that hands each request on, and answers as it is told to."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

from standardwebhooks import Webhook


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> Any:
        """What it says. Raises WebhookVerificationError, as its receiver's library does."""
        return Webhook(secret).verify(self.body, self.headers)


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Receiver(ThreadingHTTPServer):
    """`take` gets each request, several at the same time. The port is any that is free."""

    def __init__(self, take: Callable[[Received], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.take = take
        self.port = self.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def handle_error(self, *_: object) -> None:
        """Whoever does not read the whole answer is no trouble."""


class Handler(BaseHTTPRequestHandler):
    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.take(Received(self.path, headers, body))
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(receiver: Receiver) -> Iterator[None]:
    """Let it answer until the end, and close it."""
    with receiver:
        thread = Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            receiver.shutdown()
            thread.join()
