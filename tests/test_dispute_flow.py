"""A dispute through a webhook, a real broker and real worker processes, to the order's event; and found without one."""

import json
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
import requests

from lab.stack.stack import Stack
from tests.test_flow import place, wait_until_final
from tests.waiting import wait_for
from tests.webhooks import post_event


@pytest.fixture
def charge(stack: Stack, sku: str) -> tuple[str, str]:
    """The code of a confirmed order, and its charge's id at the provider."""
    code = place(stack, sku)["code"]
    assert wait_until_final(stack, code)["status"] == "CONFIRMED"
    return code, str(query(stack, "SELECT provider_id FROM payments_payment WHERE reference = %s", code))


def query(stack: Stack, statement: LiteralString, *parameters: str) -> Any:
    with psycopg.connect(stack.environment["DATABASE_URL"]) as connection:
        row = connection.execute(statement, parameters).fetchone()
    return row and row[0]


def ask_provider(stack: Stack, path: str, **params: str) -> dict[str, Any]:
    url = f"{stack.environment['STRIPE_API_BASE']}/v1/test_helpers/disputes{path}"
    answer = requests.post(url, params, headers={"Authorization": "Bearer sk_test_sandbox"}, timeout=10)
    assert answer.status_code == 200, answer.text
    dispute: dict[str, Any] = answer.json()
    return dispute


def tell(stack: Stack, kind: str, dispute: dict[str, Any]) -> int | None:
    event = {"id": f"evt_{uuid4().hex}", "object": "event", "type": kind, "data": {"object": dispute}}
    return post_event(stack.web_url, json.dumps(event).encode(), stack.environment["STRIPE_WEBHOOK_SECRETS"])


def count_events(stack: Stack, code: str, kind: str) -> int:
    counted = """SELECT count(*) FROM orders_orderevent event JOIN orders_order o ON o.id = order_id
                 WHERE code = %s AND kind = %s"""
    return int(query(stack, counted, code, kind))


def test_a_dispute_is_told_by_webhook_opened_and_lost(stack: Stack, charge: tuple[str, str]) -> None:
    code, intent = charge
    opened = ask_provider(stack, "", payment_intent=intent)

    assert tell(stack, "charge.dispute.created", opened) == 200
    assert tell(stack, "charge.dispute.created", opened) == 200
    wait_for(lambda: count_events(stack, code, "dispute_opened"), "the order to know of its dispute", seconds=60)
    lost = ask_provider(stack, f"/{opened['id']}/lose")
    assert tell(stack, "charge.dispute.closed", lost) == 200
    wait_for(lambda: count_events(stack, code, "dispute_closed"), "the order to know of its end", seconds=60)

    assert count_events(stack, code, "dispute_opened") == 1
    assert query(stack, "SELECT status FROM payments_dispute WHERE provider_id = %s", opened["id"]) == "LOST"
    assert json.loads(stack.manage("reconcile", "--json").stdout)["differences"] == []


def test_a_dispute_whose_webhook_was_lost_is_found_by_the_task(stack: Stack, charge: tuple[str, str]) -> None:
    code, intent = charge
    opened = ask_provider(stack, "", payment_intent=intent)
    found = stack.manage("reconcile", "--json")
    assert found.returncode == 1
    assert [difference["provider_id"] for difference in json.loads(found.stdout)["differences"]] == [opened["id"]]

    asked = stack.manage("shell", "-c", "from audit.tasks import reconcile; reconcile.delay()")
    assert asked.returncode == 0, asked.stderr

    wait_for(lambda: count_events(stack, code, "dispute_opened"), "the order to know of its dispute", seconds=60)
    clean = stack.manage("reconcile", "--json")
    assert (clean.returncode, json.loads(clean.stdout)["open"]) == (0, 0)
