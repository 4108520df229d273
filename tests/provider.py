"""The sandbox provider as a process, to be killed and started again, and the requests that are sent to it."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlencode, urlsplit

import psycopg
from psycopg import sql

from lab.stack.embedded import free_port
from payments.gateway import ChargeRequest

DELAYS = {
    "SANDBOX_SLOW_SECONDS": "0.5",
    "SANDBOX_PROCESSING_SECONDS": "0.3",
    "SANDBOX_HANG_SECONDS": "1",
    "SANDBOX_TRICKLE_SECONDS": "0.1",
}


class Provider:
    """A sandbox with its own database beside that of DATABASE_URL. It keeps its port through kill() and start()."""

    def __init__(self, **environment: str) -> None:
        self._environment = environment
        server = urlsplit(os.environ["DATABASE_URL"])
        self._database = f"{server.path.strip('/')}_sandbox_{os.getpid()}_{secrets.token_hex(2)}"
        self._server_url = os.environ["DATABASE_URL"]
        self.database_url = server._replace(path=f"/{self._database}").geturl()
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.sandbox", "--bind", f"127.0.0.1:{self._port}"],
            env=os.environ | DELAYS | self._environment | {"SANDBOX_DATABASE_URL": self.database_url},
        )
        deadline = time.monotonic() + 20
        while not answers(f"{self.url}/healthz"):
            if not self.is_running or time.monotonic() > deadline:
                raise RuntimeError("the sandbox provider does not start")
            time.sleep(0.02)

    def kill(self) -> None:
        """As by kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As by a supervisor; returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=10)

    def control(self, **body: Any) -> None:
        """Script a fault, such as fault="drop", times=1, or latency_ms=50; nothing at all takes it back."""
        assert self.request("POST", "/control", raw=json.dumps(body)).status == 200

    def request(
        self, method: str, path: str, params: dict[str, Any] | None = None, *, key: str | None = None, raw: str = ""
    ) -> "Reply":
        """A bare HTTP request, without the SDK. Raises OSError where no answer comes."""
        headers = {"Authorization": "Bearer sk_test_sandbox"} | ({"Idempotency-Key": key} if key else {})
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request(method, path, body=raw or urlencode(params or {}), headers=headers)
            response = connection.getresponse()
            replayed = response.headers.get("Idempotent-Replayed") == "true"
            return Reply(status=response.status, body=response.read().decode(), replayed=replayed)
        finally:
            connection.close()

    def charge_again(self, reference: str, *, amount: int) -> None:
        """Take money past the shop, as a bug or a person at the provider's desk would."""
        params = make_params(amount=amount, **{"metadata[reference]": reference})
        assert self.request("POST", "/v1/payment_intents", params, key=secrets.token_hex(8)).status == 200

    def refund(self, intent_id: str, *, amount: int) -> str:
        """Give money back past the shop, as a person at the provider's desk would. Return the refund's id."""
        reply = self.request("POST", "/v1/refunds", {"payment_intent": intent_id, "amount": amount})
        assert reply.status == 200, reply.body
        return str(reply.json["id"])

    def count_events(self) -> int:
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT count(*) FROM event").fetchone()
        assert row
        return int(row[0])

    def forget_everything(self) -> None:
        with psycopg.connect(self.database_url) as connection:
            connection.execute("TRUNCATE payment_intent, refund, saved_answer, event, confirmation_token")

    def drop_database(self) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self._database)))


@dataclass(frozen=True)
class Reply:
    status: int
    body: str
    replayed: bool

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]


def nonsense_provider(status: int, body: str) -> AbstractContextManager[str]:
    """Something on the provider's address that says the same to everything."""
    return fake_provider(lambda _method, _path: (status, body))


@contextmanager
def fake_provider(answer: Callable[[str, str], tuple[int, str]]) -> Iterator[str]:
    """Something on the provider's address that says what `answer` makes of a method and a path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answer(self.command, urlsplit(self.path).path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET  # noqa: N815 - the name is the base class's

        def log_message(self, *_: object) -> None:
            pass

    port = free_port()
    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join()


def make_request(payment_method: str = "pm_card_visa", **changes: Any) -> ChargeRequest:
    reference = f"T-{secrets.token_hex(6)}"
    values: dict[str, Any] = {
        "key": f"charge-{reference}",
        "reference": reference,
        "amount": 1234,
        "currency": "GBP",
        "payment_method": payment_method,
        "sent_at": datetime.now(UTC),
    }
    return ChargeRequest(**(values | changes))


def make_params(payment_method: str = "pm_card_visa", **changes: Any) -> dict[str, Any]:
    """The form of a charge, as the wire has it."""
    params = {"amount": 500, "currency": "gbp", "payment_method": payment_method, "confirm": "true"}
    return params | {"metadata[reference]": f"T-{secrets.token_hex(6)}"} | changes


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False
