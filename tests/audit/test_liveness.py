"""Whoever stops working is seen, by the rows alone."""

import json
import re
import time
from datetime import timedelta
from io import StringIO
from typing import Any
from unittest.mock import patch

import pytest
from celery.signals import task_success
from django.conf import LazySettings
from django.core.checks import run_checks
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client

from audit import tasks
from audit.liveness import check_liveness
from audit.models import Tick
from audit.ticks import measure_clock_skew, read_schedule, record_tick
from backoffice.dashboard import read_dashboard
from config.celery import app
from orders import tasks as order_tasks
from orders.models import Order
from orders.paying import pay_again
from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, make_order, tamper

pytestmark = pytest.mark.django_db

SWEEP = "orders.tasks.sweep_stuck_orders"
AUDIT = "audit.tasks.record_audit"
MAILS = "orders.tasks.send_due_mails"  # three slow mails in one task may take 75 seconds


@pytest.fixture(autouse=True)
def _every_task_has_just_run(db: None) -> None:
    Tick.objects.update(ended_at=Now(), clock_skew=0)


def read_troubles() -> list[str]:
    """In words; the seconds pass while the test runs."""
    return [re.sub(r"\d+", "N", trouble) for trouble in check_liveness().troubles]


def age_order(order: Order, seconds: int) -> None:
    tamper("UPDATE orders_order SET created_at = created_at - %s * interval '1 s' WHERE id = %s", seconds, order.pk)
    old = "UPDATE payments_payment SET created_at = created_at - %s * interval '1 s' WHERE id = %s"
    tamper(old, seconds, order.payment_id)


def age_answer(order: Order, seconds: int) -> None:
    old = "UPDATE payments_payment SET answered_at = now() - %s * interval '1 s' WHERE id = %s"
    tamper(old, seconds, order.payment_id)


def age_tick(task: str, seconds: float) -> None:
    Tick.objects.filter(task=task).update(ended_at=Now() - timedelta(seconds=seconds))


def test_a_shop_at_work_has_no_trouble() -> None:
    make_order()

    found = check_liveness()

    assert found.troubles == []
    assert found.ticks.keys() == found.clock_skews.keys() == read_schedule().keys()


def test_an_order_that_nobody_charges_is_trouble() -> None:
    age_order(make_order(), 15)
    assert read_troubles() == []

    age_order(make_order(), 45)

    assert read_troubles() == ["An order has waited for its first charge for N seconds."]


def test_an_order_that_nobody_finalizes_is_trouble() -> None:
    order = make_order()
    answer_payment(order, Payment.Status.DECLINED)
    age_answer(order, 15)
    assert read_troubles() == []

    age_answer(order, 45)

    assert read_troubles() == ["An order has waited to be finalized for N seconds."]


def test_an_order_that_is_held_after_a_decline_waits_for_its_customer() -> None:
    order = make_order(hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED)
    age_order(order, 600)
    age_answer(order, 600)
    finalize_order(code=order.code)
    assert read_troubles() == []

    pay_again(code=order.code, number=2, payment_method="pm_card_visa")

    assert read_troubles() == []


def test_an_order_that_nobody_cancels_after_its_hold_is_trouble() -> None:
    order = make_order(hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED)
    age_answer(order, 600)
    finalize_order(code=order.code)
    Order.objects.update(held_until=Now() - timedelta(seconds=15))
    assert read_troubles() == []

    Order.objects.update(held_until=Now() - timedelta(seconds=60))

    assert read_troubles() == ["An order has waited to be finalized for N seconds."]


def test_an_order_whose_payment_was_asked_for_or_that_waits_for_a_person_is_no_trouble() -> None:
    asked, reviewed = make_order(), make_order()
    answer_payment(asked, Payment.Status.SENT)
    Order.objects.filter(pk=reviewed.pk).update(needs_review=True)
    for order in (asked, reviewed):
        age_order(order, 600)

    assert read_troubles() == []


@pytest.mark.parametrize(
    ("task", "allowed"), [(SWEEP, 30), (MAILS, 125), (AUDIT, 900), ("accounts.tasks.clear_sessions", 259_200)]
)
def test_a_scheduled_task_that_does_not_run_is_trouble(task: str, allowed: int) -> None:
    age_tick(task, allowed / 2)
    assert read_troubles() == []

    age_tick(task, allowed * 2)

    assert read_troubles() == [f"{task} has not run for N seconds."]


def test_the_time_of_a_task_that_never_ran_is_counted_from_when_it_was_scheduled() -> None:
    assert set(Tick.objects.values_list("task", flat=True)) == read_schedule().keys()


def test_the_end_of_a_scheduled_task_is_noted_and_of_no_other() -> None:
    Tick.objects.update(ended_at=Now() - timedelta(seconds=1000), clock_skew=7)
    ticks = Tick.objects.count()

    for task in (order_tasks.sweep_stuck_orders, order_tasks.finalize_order):
        task_success.send(sender=task)

    swept = Tick.objects.get(ended_at__gt=Now() - timedelta(seconds=60))
    assert swept.task == SWEEP
    assert abs(swept.clock_skew) < 1
    assert Tick.objects.count() == ticks


def test_a_clock_that_is_off_is_measured_and_is_trouble() -> None:
    ours = time.time
    with patch("time.time", lambda: ours() + 31.4):
        record_tick(task=SWEEP)
        assert 30 < measure_clock_skew() < 32
        warning = run_checks(tags=["database"], databases=["default"])[-1]

    assert (warning.id, warning.msg) == ("orderly.W001", "This machine's clock is 31 seconds off the database's.")
    assert read_troubles() == [f"The clock of the worker of {SWEEP} is N seconds off."]
    assert run_checks(tags=["database"], databases=["default"]) == []


def test_no_message_expires_within_the_skew_that_is_tolerated(settings: LazySettings) -> None:
    """A worker whose clock is ahead by that much would drop it on arrival."""
    with patch("celery.canvas._chain.apply_async") as publish:
        order_tasks.process_order("a-code")
        order_tasks.process_order("a-code", pause=1.5)

    lives = [call.kwargs["expires"] for call in publish.call_args_list]
    schedule: dict[str, dict[str, Any]] = app.conf.beat_schedule
    lives += [entry["options"]["expires"] for entry in schedule.values()]
    assert min(lives) >= settings.CLOCK_SKEW


def test_staff_and_operators_are_told(client: Client) -> None:
    age_tick(SWEEP, 100)
    [processes] = [figure for figure in read_dashboard().figures if figure.title == "Processes"]
    assert processes.alarm
    assert processes.value.startswith(f"{SWEEP} has not run for")
    assert "orderly_alive 0.0" in client.get("/metrics").content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("gateway", "empty_ledger")
def test_the_audit_tells_it_beside_its_verdict() -> None:
    age_tick(SWEEP, 100)

    printed = StringIO()
    call_command("audit", "--json", stdout=printed)

    report = json.loads(printed.getvalue())
    assert report["ok"]
    assert [trouble.partition(" ")[0] for trouble in report["troubles"]] == [SWEEP]


def test_the_check_writes_an_error_for_each_trouble(caplog: pytest.LogCaptureFixture) -> None:
    age_tick(SWEEP, 100)
    age_tick(AUDIT, 1000)

    tasks.check_liveness()

    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
