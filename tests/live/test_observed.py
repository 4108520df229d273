"""A shop that is traced and reports: one order is one trace and one set of lines, over all of its processes."""

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from lab.simulation.receiver import Received
from lab.stack.shop import run_stack
from lab.stack.stack import Stack
from tests.conftest import QUICK
from tests.receiver import Receiver, run_receiver
from tests.servers import GIVEN
from tests.waiting import wait_for

EMAIL = "ann.droid@example.com"
PLACES = {"web": ["order placed"], "payments": ["the provider was asked"], "orders": ["order confirmed"]}
STEPS = {"place_order", "charge_payment", "charge at the provider", "finalize_order"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """What takes the traces and the reports."""
    with run_receiver() as running:
        running.status = 200
        yield running


@pytest.fixture(scope="module")
def observed(receiver: Receiver) -> Iterator[Stack]:
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


def read_lines(shop: Stack, name: str) -> list[dict[str, Any]]:
    """A process's log, whose every line is JSON once the process knows its settings. As root, Celery warns before."""
    lines = Path(shop.log(name)).read_text().splitlines()
    return [json.loads(line) for line in dropwhile(lambda line: not line.startswith("{"), lines)]


def test_an_order_is_one_trace_over_the_web_and_both_workers(observed: Stack, receiver: Receiver) -> None:
    code, request_id = place(observed)
    wait_until(observed, code, "CONFIRMED")

    spans = find_trace(receiver, code)

    assert len({span.trace_id for span in spans}) == 1
    root = find_root(spans)
    assert root is not None
    assert root.name.startswith("POST ")
    told = {attribute.key: attribute.value.string_value for attribute in root.attributes}
    assert (told["request_id"], told["order"]) == (request_id, code)
    assert [span.name for span in spans if span.status.code == Status.STATUS_CODE_ERROR] == []
    assert EMAIL not in str(spans)


def test_a_declined_card_is_no_error_of_the_trace(observed: Stack, receiver: Receiver) -> None:
    code, _ = place(observed, "pm_card_visa_chargeDeclined")
    wait_until(observed, code, "CANCELLED")

    spans = find_trace(receiver, code)

    (charge,) = [span for span in spans if span.name == "charge at the provider"]
    assert "CardDeclined" in str(charge.attributes)
    assert [span.name for span in spans if span.status.code == Status.STATUS_CODE_ERROR] == []


def test_the_lines_of_an_order_have_its_code_its_request_and_its_trace(observed: Stack, receiver: Receiver) -> None:
    code, request_id = place(observed)
    wait_until(observed, code, "CONFIRMED")

    lines = {name: [line for line in read_lines(observed, name) if line.get("order") == code] for name in PLACES}

    assert {name: [line["event"] for line in found] for name, found in lines.items()} == PLACES
    assert {line["request_id"] for found in lines.values() for line in found} == {request_id}
    assert len({line["trace_id"] for found in lines.values() for line in found}) == 1


def test_every_line_of_every_process_is_json_whoever_wrote_it(observed: Stack) -> None:
    names = ("web", "payments", "orders", "beat")  # mails prints the mails of a shop without a mail server
    loggers = {name: {line["logger"] for line in read_lines(observed, name)} for name in names}

    assert "gunicorn.error" in loggers["web"]
    assert "celery.apps.worker" in loggers["payments"]
    assert "celery.beat" in loggers["beat"]


def test_a_task_that_fails_is_reported_with_its_order_and_nobodys_address(observed: Stack, receiver: Receiver) -> None:
    with psycopg.connect(observed.full_environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(REFUSE_ENDS)
        try:
            code, request_id = place(observed)
            event = wait_for_event(receiver, code)
        finally:
            connection.execute(ALLOW_ENDS)
    wait_until(observed, code, "CONFIRMED")

    assert event["tags"]["order"] == code
    assert event["tags"]["request_id"] == request_id
    assert event["release"]
    assert "for nobody to read: [email]" in json.dumps(event)
    assert EMAIL not in json.dumps(event)


def test_an_error_of_the_web_is_reported_without_what_was_sent(observed: Stack, receiver: Receiver) -> None:
    url = f"{observed.web_url}/api/v1/orders?secret-of-the-query"
    secrets = {"Authorization": f"Bearer orderly_{'a1B2' * 8}", "Cookie": "sessionid=secret-of-the-cookie"}
    with psycopg.connect(observed.full_environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("ALTER TABLE accounts_apitoken RENAME TO broken")
        try:
            with pytest.raises(urllib.error.HTTPError, match="500") as error:
                urllib.request.urlopen(urllib.request.Request(url, headers=secrets), timeout=20)
        finally:
            connection.execute("ALTER TABLE broken RENAME TO accounts_apitoken")
    request_id = error.value.headers["X-Request-ID"]

    event = wait_for_event(receiver, request_id)

    assert event["tags"]["request_id"] == request_id
    assert event["request"] == {"method": "GET", "url": f"{observed.web_url}/api/v1/orders"}
    assert "a1B2" not in json.dumps(event)
    assert "secret-of" not in json.dumps(event)
    assert request_id in error.value.read().decode()


def test_a_red_audit_and_a_command_that_breaks_are_reported(observed: Stack, receiver: Receiver) -> None:
    with psycopg.connect(observed.full_environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("UPDATE catalog_stock SET on_hand = on_hand + 1")
        code = "from audit.tasks import record_audit; record_audit(); raise RuntimeError('the command broke')"
        assert observed.manage("shell", "--no-imports", "-c", code).returncode == 1
        connection.execute("UPDATE catalog_stock SET on_hand = on_hand - 1")

    for words in ("the audit is not clean", "the command broke"):
        wait_for_event(receiver, words)


def test_a_refusal_is_no_event(observed: Stack, receiver: Receiver) -> None:
    code, _ = place(observed, "pm_card_visa_chargeDeclined")
    wait_until(observed, code, "CANCELLED")
    with pytest.raises(urllib.error.HTTPError, match="409"):
        place(observed, quantity=10_000)
    observed.manage("shell", "--no-imports", "-c", "raise RuntimeError('the last one')")  # all before it have come then
    wait_for_event(receiver, "the last one")

    assert find_events(receiver, code) == []
    assert find_events(receiver, "CardDeclined") == find_events(receiver, "OutOfStock") == []


REFUSE_ENDS = f"""
CREATE FUNCTION refuse_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'for nobody to read: {EMAIL}'; END $$;
CREATE TRIGGER refuse_end BEFORE UPDATE OF status ON orders_order
FOR EACH ROW WHEN (NEW.status = 'CONFIRMED') EXECUTE FUNCTION refuse_end();
"""
ALLOW_ENDS = "DROP FUNCTION refuse_end CASCADE"


def wait_for_event(receiver: Receiver, words: str) -> dict[str, Any]:
    return wait_for(lambda: find_events(receiver, words), f"a report of {words}")[0]


def find_events(receiver: Receiver, words: str) -> list[dict[str, Any]]:
    events = []
    for request in [*receiver.requests]:
        if request.path == "/api/1/envelope/":
            parts = unpack(request).splitlines()
            events += [json.loads(part) for part in parts if b'"event_id"' in part and b'"level"' in part]
    return [event for event in events if words in json.dumps(event)]


def test_an_order_does_not_wait_for_a_collector_that_hangs_or_refuses(observed: Stack, receiver: Receiver) -> None:
    """Last: what it sends meanwhile is lost."""
    for pause, status in ((30.0, 200), (0.0, 503)):
        receiver.pause, receiver.status = pause, status
        code, _ = place(observed)
        wait_until(observed, code, "CONFIRMED")
    receiver.pause, receiver.status = 0.0, 200
