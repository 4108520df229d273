"""The network between a gateway and its provider, where a request or its answer can get lost or wait."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["lose_request", "lose_answer"]
TIMEOUT = 30  # seconds
OF_ONE_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


class Relay(ThreadingHTTPServer):
    """Sends each request on to the provider at `upstream`, but for the faults that a test asks for."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = urlsplit(upstream)
        self._fault: tuple[Fault, str] | None = None
        self._gate = threading.Event()
        self._gate.set()
        self._holds_next = False
        self._held = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fail_next(self, fault: Fault, method: str = "POST") -> None:
        """Let the next request of that method get lost before the provider has it, or its answer after."""
        self._fault = fault, method

    def take_fault(self, method: str) -> Fault | None:
        if self._fault is None or self._fault[1] != method:
            return None
        (fault, _), self._fault = self._fault, None
        return fault

    @contextmanager
    def hold_next(self) -> Iterator[threading.Event]:
        """Keep the next request on its way to the provider until the block ends. The event says that it is there."""
        self._gate.clear()
        self._held.clear()
        self._holds_next = True
        try:
            yield self._held
        finally:
            self._gate.set()

    def wait_if_held(self) -> None:
        if self._holds_next:
            self._holds_next = False
            self._held.set()
            self._gate.wait(TIMEOUT)


class Handler(BaseHTTPRequestHandler):
    server: Relay

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.take_fault(self.command)
        self.server.wait_if_held()
        if fault != "lose_request":
            answer = self._ask(body)
            if answer and fault != "lose_answer":
                self._answer(*answer)

    do_POST = do_GET  # noqa: N815 - the name is the base class's

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes] | None:
        upstream = self.server.upstream
        connect = HTTPSConnection if upstream.scheme == "https" else HTTPConnection
        connection = connect(upstream.netloc, timeout=TIMEOUT)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OF_ONE_HOP}
        try:
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        except (OSError, HTTPException):
            return None  # the provider gave no answer, so the gateway gets none
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in OF_ONE_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def run_relay(upstream: str) -> Iterator[Relay]:
    with Relay(upstream) as relay:
        thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()
