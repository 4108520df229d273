"""HTTP: who asks, for what, and the answer on the wire. One process, a thread for each connection."""

import io
import json
import logging
import os
import re
import socket
import sys
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import psycopg

from lab.sandbox import bank, browser, disputes, faults, idempotency, intents, refunds, tokens
from lab.sandbox.database import Database
from lab.sandbox.messages import Answer, InvalidRequest, Request, invalid, missing, refuse, reply

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

log = logging.getLogger("lab.sandbox")

ORIGIN = os.environ.get("SANDBOX_URL", "")  # where browsers find the sandbox; empty: where the shop does
LARGEST_BODY = 100_000  # bytes
INTENT = re.compile(r"/v1/payment_intents/(?P<object_id>\w+)(?P<action>/cancel)?")
DISPUTE = re.compile(r"/v1/(test_helpers/)?disputes/(?P<object_id>\w+)(?P<action>/win|/lose)?")

READS = {
    "/v1/payment_intents": intents.list_intents,
    "/v1/refunds": refunds.list_refunds,
    "/v1/disputes": disputes.list_disputes,
}
WRITES = {
    "/v1/payment_intents": intents.create_intent,
    "/v1/refunds": refunds.create_refund,
    "/v1/test_helpers/confirmation_tokens": tokens.create_test_token,
    "/v1/test_helpers/disputes": disputes.create_dispute,
}

DOWN = refuse(503, "api_error", "The sandbox is told to be down")


class SandboxServer(ThreadingHTTPServer):
    daemon_threads = True  # an answer that hangs doesn't keep a stopping server
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], database: Database) -> None:
        super().__init__(address, Handler)
        self.database = database

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # that is a client who didn't wait for its answer
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    server: SandboxServer
    protocol_version = "HTTP/1.1"
    timeout = 75  # seconds a kept-alive connection may be silent
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def do_DELETE(self) -> None:
        self.respond()

    def respond(self) -> None:
        try:
            answer = self.answer()
        except InvalidRequest as refusal:
            answer = refusal.answer
        except idempotency.AnswerLost:
            self.close_connection = True
            return
        except psycopg.Error:
            log.exception("the database failed")
            answer = refuse(503, "api_error", "The database of the sandbox is out of reach")  # saved nowhere
        self.send(answer)

    def answer(self) -> Answer:
        body = self.read_body()
        url = urlsplit(self.path)
        match url.path:
            case "/healthz":
                with self.server.database.connection() as connection:
                    return reply(200, {"ok": connection.execute("SELECT true").fetchone() is not None})
            case "/control":
                return self.answer_control(body)
        if url.path.startswith("/bank/"):
            return self.answer_bank(url.path.removeprefix("/bank/"), dict(parse_qsl(url.query)), body)
        if file := browser.find_file(url.path):
            return file
        if refusal := browser.refuse_key(self.headers.get("Authorization", ""), url.path):
            return refusal
        with self.server.database.connection() as connection:
            control = faults.read_control(connection)
            fault = faults.take_fault(connection, control, "down", "trickle")
        time.sleep(control["latency_ms"] / 1000)
        answer = DOWN if fault == "down" else self.answer_api(url.path, url.query, body, control)
        return replace(answer, trickles=True) if fault == "trickle" else answer

    def answer_api(self, path: str, query: str, body: str, control: faults.Control) -> Answer:
        names, dispute = INTENT.fullmatch(path), DISPUTE.fullmatch(path)
        params = dict(parse_qsl(body if self.command == "POST" else query, keep_blank_values=True))
        key = self.headers.get("Idempotency-Key")
        found = names or dispute
        object_id = found["object_id"] if found else ""
        origin = ORIGIN or f"http://{self.headers.get('Host', '')}"
        request = Request(path=path, params=params, object_id=object_id, key=key, origin=origin)
        if key is not None and not 0 < len(key) <= 255:
            raise invalid("Idempotency keys have 1 to 255 characters.", param="Idempotency-Key")
        if self.command == "POST" and path == browser.CARD_TOKENS:
            # It has a card's number in it, so nothing is saved under an idempotency key.
            with self.server.database.connection() as connection:
                return tokens.tokenize_card(connection, request)
        if self.command == "POST":
            write = disputes.ENDS.get(dispute["action"]) if dispute else WRITES.get(path)
            if write := (intents.cancel_intent if names and names["action"] else write):
                return idempotency.run_once(self.server.database, request, write, control)
        elif read := intents.retrieve_intent if names and not names["action"] else READS.get(path):
            with self.server.database.connection() as connection:
                refunds.finish_refunds(connection)  # they show in what is read of a payment intent, too
                return read(connection, request)
        elif dispute:
            with self.server.database.connection() as connection:
                return disputes.retrieve_dispute(connection, request)
        raise missing(f"Unrecognized request URL ({self.command}: {path}).", param="url")

    def answer_bank(self, secret: str, query: dict[str, str], body: str) -> Answer:
        where = {"parent": query.get("parent", ""), "language": bank.choose_language(self.headers)}
        with self.server.database.connection() as connection:
            if self.command != "POST":
                return bank.show_page(connection, secret, **where)
            approved = dict(parse_qsl(body)).get("answer") == "approve"
            return bank.act(connection, secret, approved=approved, **where)

    def answer_control(self, body: str) -> Answer:
        with self.server.database.connection() as connection:
            match self.command:
                case "POST":
                    faults.set_control(connection, **read_control_body(body))
                case "DELETE":
                    faults.clear_control(connection)
            return reply(200, faults.read_control(connection))

    def read_body(self) -> str:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            self.close_connection = True  # what follows is not a request
            raise InvalidRequest(413, "invalid_request_error", f"A body has at most {LARGEST_BODY} bytes.")
        return self.rfile.read(int(length)).decode("utf-8", "replace")

    def send(self, answer: Answer) -> None:
        body = answer.body.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if answer.replayed:
            self.send_header("Idempotent-Replayed", "true")
        if answer.trickles:
            self.wfile = Trickle(self.connection)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class Trickle(io.BufferedIOBase):
    """Sends one byte, waits, and sends the next."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def write(self, data: "ReadableBuffer") -> int:
        for byte in bytes(data):
            self._connection.sendall(bytes([byte]))
            time.sleep(faults.TRICKLE_SECONDS)
        return len(bytes(data))


def read_control_body(body: str) -> dict[str, Any]:
    """The fault, how often it strikes, the latency, and what befalls events. Raises InvalidRequest."""
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise invalid("Send a JSON object.", param="body")
    control = faults.CALM | given
    if control["fault"] not in (None, *faults.CONTROL_FAULTS):
        raise invalid(f"Known faults: {', '.join(faults.CONTROL_FAULTS)}.", param="fault")
    for name, lowest in (("times", 1), ("latency_ms", 0)):
        value = control[name]
        if (value is not None or name == "latency_ms") and not (type(value) is int and lowest <= value <= 600_000):
            raise invalid(f"{name} is a whole number from {lowest} to 600000.", param=name)
    events = control["webhooks"]
    if not (isinstance(events, list) and all(fault in faults.WEBHOOK_FAULTS for fault in events)):
        raise invalid(f"What can befall webhooks: a list of {', '.join(faults.WEBHOOK_FAULTS)}.", param="webhooks")
    if unknown := control.keys() - faults.CALM.keys():
        raise invalid(f"Unknown: {', '.join(sorted(unknown))}.", param="body")
    return control
