"""A shop that is traced and reports, and what came of it."""

import gzip
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from lab.simulation.receiver import Received
from lab.stack.shop import run_stack
from lab.stack.stack import Stack
from tests.conftest import QUICK
from tests.receiver import Receiver
from tests.servers import GIVEN
from tests.waiting import wait_for

EMAIL = "ann.droid@example.com"
STEPS = {"place_order", "charge_payment", "charge at the provider", "finalize_order"}
REFUSE_ENDS = f"""
CREATE FUNCTION refuse_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'for nobody to read: {EMAIL}'; END $$;
CREATE TRIGGER refuse_end BEFORE UPDATE OF status ON orders_order
FOR EACH ROW WHEN (NEW.status = 'CONFIRMED') EXECUTE FUNCTION refuse_end();
"""
ALLOW_ENDS = "DROP FUNCTION refuse_end CASCADE"


@contextmanager
def run_observed(receiver: Receiver) -> Iterator[Stack]:
    """With a product MUG. The receiver takes its traces and its reports."""
    caller = {
        **GIVEN,
        **QUICK,
        "LOG_FORMAT": "json",
        "OTEL_BSP_SCHEDULE_DELAY": "200",  # milliseconds
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
        "SENTRY_DSN": f"http://key@127.0.0.1:{receiver.port}/1",
    }
    with run_stack(caller=caller, fsync=False) as running:
        catalog = running.folder / "products.csv"
        catalog.write_text("sku,name,price\nMUG,Mug,5.00\n")
        assert running.manage("load_catalog", str(catalog), "--stock", "1000").returncode == 0
        yield running


@contextmanager
def refusing_ends(shop: Stack) -> Iterator[None]:
    """No order can be confirmed meanwhile: PostgreSQL answers with an address in its words."""
    with psycopg.connect(shop.full_environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(REFUSE_ENDS)
        try:
            yield
        finally:
            connection.execute(ALLOW_ENDS)


def place(shop: Stack, method: str = "pm_card_visa", *, quantity: int = 1) -> tuple[str, str]:
    """An order's code, and the id of its request."""
    body = {"email": EMAIL, "lines": [{"sku": "MUG", "quantity": quantity}], "payment_method": method}
    headers = {"Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
    request = urllib.request.Request(f"{shop.web_url}/api/v1/orders", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)["code"], answer.headers["X-Request-ID"]


def wait_until(shop: Stack, code: str, status: str) -> None:
    def ended() -> bool:
        with urllib.request.urlopen(f"{shop.web_url}/api/v1/orders/{code}", timeout=20) as answer:
            return bool(json.load(answer)["status"] == status)

    wait_for(ended, f"{code} to be {status}")


def unpack(request: Received) -> bytes:
    packed = request.headers.get("content-encoding") == "gzip"
    return gzip.decompress(request.body) if packed else request.body


def read_spans(receiver: Receiver) -> list[Span]:
    spans: list[Span] = []
    for request in [*receiver.requests]:
        if request.path == "/v1/traces":
            told = ExportTraceServiceRequest.FromString(unpack(request))
            spans += [span for one in told.resource_spans for scope in one.scope_spans for span in scope.spans]
    return spans


def find_trace(receiver: Receiver, code: str) -> list[Span]:
    """All spans of the order's trace, once the last one has come."""

    def find() -> list[Span] | None:
        spans = read_spans(receiver)
        traces = {span.trace_id for span in spans if f"charge-{code}" in str(span.attributes)}
        found = [span for span in spans if span.trace_id in traces]
        return found if {span.name for span in found} >= STEPS and find_root(found) else None

    return wait_for(find, f"the trace of {code}")


def find_root(spans: list[Span]) -> Span | None:
    return next((span for span in spans if not span.parent_span_id), None)


def wait_for_event(receiver: Receiver, words: str) -> dict[str, Any]:
    return wait_for(lambda: find_events(receiver, words), f"a report of {words}")[0]


def find_events(receiver: Receiver, words: str) -> list[dict[str, Any]]:
    events = []
    for request in [*receiver.requests]:
        if request.path == "/api/1/envelope/":
            parts = unpack(request).splitlines()
            events += [json.loads(part) for part in parts if b'"event_id"' in part and b'"level"' in part]
    return [event for event in events if words in json.dumps(event)]
