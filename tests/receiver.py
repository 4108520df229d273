"""Somebody who is told of events: a server on loopback that keeps what it got, and answers as a test wants."""

import time
from collections.abc import Callable, Iterator
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


class Receiver:
    """What it took or refused is in `requests`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.port = port
        self.requests: list[Received] = []
        self.status = 204
        self.statuses: dict[str, int] = {}  # by the event's id
        self.headers: dict[str, str] = {}
        self.answer = b""
        self.pause = 0.0  # seconds before each answer
        self.look: Callable[[], bool] | None = None  # what a test wants to see before each answer
        self.seen: list[bool] = []

    @property
    def ids(self) -> list[str]:
        return [request.id for request in self.requests]

    def take(self, request: Received) -> int:
        self.requests.append(request)
        time.sleep(self.pause)
        if self.look:
            self.seen.append(self.look())
        return self.statuses.get(request.headers.get("webhook-id", ""), self.status)


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.take(Received(self.path, headers, body)))
            for name, value in {**receiver.headers, "Content-Length": str(len(receiver.answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever does not read the whole answer is no trouble."""

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()
