"""A shop that is traced and reports: one order is one trace and one set of lines, over all of its processes."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from typing import Any

import psycopg
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from lab.stack.stack import Stack
from tests.live.observing import (
    EMAIL,
    find_events,
    find_root,
    find_trace,
    place,
    refusing_ends,
    run_observed,
    wait_for_event,
    wait_until,
)
from tests.receiver import Receiver

PLACES = {"web": ["order placed"], "payments": ["the provider was asked"], "orders": ["order confirmed"]}


@pytest.fixture(scope="module")
def observed(receiver: Receiver) -> Iterator[Stack]:
    with run_observed(receiver) as running:
        yield running


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
    told = read_attributes(root)
    assert (told["request_id"], told["order"]) == (request_id, code)
    assert [span.name for span in spans if span.status.code == Status.STATUS_CODE_ERROR] == []
    assert EMAIL not in str(spans)


def read_attributes(span: Span) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in span.attributes}


def test_a_statement_is_a_span_of_its_step_and_has_none_of_its_values(observed: Stack, receiver: Receiver) -> None:
    code, _ = place(observed)
    wait_until(observed, code, "CONFIRMED")

    spans = find_trace(receiver, code)

    names = {span.span_id: span.name for span in spans}
    statements = [span for span in spans if "db.query.text" in read_attributes(span)]
    assert {names[span.parent_span_id] for span in statements} >= {"place_order", "charge_payment"}
    round_trips = {names[span.parent_span_id] for span in spans if span.name == "execute_impatiently"}
    assert round_trips >= {"charge_payment", "finalize_order"}  # several statements in one: a pipeline
    assert {read_attributes(span)["db.system.name"] for span in statements} == {"postgresql"}
    texts = [read_attributes(span)["db.query.text"] for span in statements]
    assert any("orders_order" in text and "%(" in text for text in texts)
    assert not any(value in text for value in (code, EMAIL, "pm_card_visa", "'MUG'") for text in texts)


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
    with refusing_ends(observed):
        code, request_id = place(observed)
        event = wait_for_event(receiver, code)
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


def test_an_order_does_not_wait_for_a_collector_that_hangs_or_refuses(observed: Stack, receiver: Receiver) -> None:
    """Last: what it sends meanwhile is lost."""
    for pause, status in ((30.0, 200), (0.0, 503)):
        receiver.pause, receiver.status = pause, status
        code, _ = place(observed)
        wait_until(observed, code, "CONFIRMED")
    receiver.pause, receiver.status = 0.0, 200
