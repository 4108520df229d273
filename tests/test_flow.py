"""Orders through HTTP, a real broker and real worker processes, to their end."""

import json
import signal
import time
import urllib.request
from typing import Any
from uuid import uuid4

import pytest

from lab.stack.stack import Stack

ENDS = {
    "pm_card_visa": ("CONFIRMED", ""),
    "pm_card_visa_chargeDeclined": ("CANCELLED", "card_declined"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("CANCELLED", "card_declined"),
    "pm_card_chargeDeclinedExpiredCard": ("CANCELLED", "card_declined"),
    "pm_no_such_method": ("CANCELLED", "card_declined"),
    "pm_sandbox_slow": ("CONFIRMED", ""),
    "pm_sandbox_drop": ("CONFIRMED", ""),
    "pm_sandbox_hang": ("CONFIRMED", ""),
    "pm_sandbox_trickle": ("CONFIRMED", ""),
    "pm_sandbox_500_after": ("CONFIRMED", ""),
    "pm_sandbox_500_before": ("CANCELLED", "expired"),
    "pm_sandbox_processing": ("CONFIRMED", ""),
    "pm_sandbox_processing_declined": ("CANCELLED", "card_declined"),
}


def test_every_payment_method_ends_as_it_should(stack: Stack, sku: str) -> None:
    codes = {method: place(stack, sku, method)["code"] for method in ENDS}

    orders = {method: wait_until_final(stack, code) for method, code in codes.items()}

    assert {method: (order["status"], order["reason"]) for method, order in orders.items()} == ENDS
    assert audit(stack)["violations"] == []


def test_the_same_request_again_is_answered_with_the_same_order_also_when_it_is_final(stack: Stack, sku: str) -> None:
    key = uuid4().hex
    first = place(stack, sku, key=key)
    final = wait_until_final(stack, first["code"])

    assert place(stack, sku, key=key) == final
    assert final["status"] == "CONFIRMED"


@pytest.mark.parametrize("worker", ["payments", "orders"])
def test_orders_survive_the_kill_of_a_worker_while_charges_are_in_flight(stack: Stack, sku: str, worker: str) -> None:
    codes = [place(stack, sku, "pm_sandbox_slow")["code"] for _ in range(6)]
    time.sleep(0.5)

    stack.process(worker).send(signal.SIGKILL)

    assert {wait_until_final(stack, code)["status"] for code in codes} == {"CONFIRMED"}
    assert audit(stack)["violations"] == []


def place(stack: Stack, sku: str, payment_method: str = "pm_card_visa", *, key: str = "") -> dict[str, Any]:
    body = {
        "email": "ann@example.com",
        "lines": [{"sku": sku, "quantity": 1}],
        "payment_method": payment_method,
        "expected_total": 500,
    }
    headers = {"Content-Type": "application/json", "Idempotency-Key": key or uuid4().hex}
    request = urllib.request.Request(f"{stack.web_url}/api/orders", json.dumps(body).encode(), headers)
    return fetch(request)


def wait_until_final(stack: Stack, code: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (order := fetch(urllib.request.Request(f"{stack.web_url}/api/orders/{code}")))["status"] == "PENDING":
        assert time.monotonic() < deadline, f"{code} is still PENDING"
        time.sleep(0.1)
    return order


def fetch(request: urllib.request.Request) -> dict[str, Any]:
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def audit(stack: Stack) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(stack.manage("audit", "--json").stdout)
    return report
