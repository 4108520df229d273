"""While a new version is rolled out, workers of the old one meet messages that they don't know. No order is lost."""

from typing import Any

import pytest
from celery import Celery

from tests.crash.drill import Drill, Purchase
from tests.crash.stories import PAID, assert_outcome, crash_at, finish
from tests.waiting import wait_for


@pytest.mark.parametrize(
    ("task", "newer", "said"),
    [
        ("payments.tasks.charge_payment_in_parts", {}, "Received unregistered task of type"),
        ("payments.tasks.charge_payment", {"parts": 2}, "unexpected keyword argument 'parts'"),
    ],
    ids=["unknown task", "unknown argument"],
)
def test_a_message_of_a_newer_version_is_dropped_and_its_order_swept(
    drill: Drill, task: str, newer: dict[str, Any], said: str
) -> None:
    """The new web server publishes it, and the old payments worker takes it."""
    purchase = Purchase(f"rolling {task}")
    drill.stock([purchase.sku])
    crash_at(drill, purchase, "place.committed")  # nothing is published yet
    log = drill.stack.log("payments")
    worker = drill.stack.process("payments").pid

    with drill.celery() as newer_version:
        publish(newer_version, task, drill.code_of(purchase), newer)
        wait_for(lambda: said in log.read_text(), "the worker to drop it")

    drill.wait_until_idle("payments")
    assert (drill.status_of(purchase), drill.payment_of(purchase)) == ("PENDING", "PENDING")
    assert drill.stack.process("payments").pid == worker
    assert_outcome(finish(drill, purchase), PAID)
    assert drill.audit() == []


def publish(app: Celery, task: str, code: str, newer: dict[str, Any]) -> None:
    """The chain as `orders.tasks.process_order` publishes it, with something new in it."""
    finalize = app.signature("orders.tasks.finalize_order", args=(code,), immutable=True, queue="orders")
    app.send_task(task, (code,), newer, queue="payments", chain=[finalize])
