import re
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.conf import LazySettings, settings
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from audit.models import AuditRun, Difference
from audit.ticks import record_tick
from events_out.feed import move_horizon
from events_out.models import Endpoint
from events_out.planning import plan_deliveries
from orders.admission import CHECKOUT
from orders.models import Order
from payments.models import Payment
from tests.builders import answer_payment, make_endpoint, make_order
from tests.orders.test_limits import stop_redis
from tests.waiting_rooms import close_door, empty_rooms, let_in
from waiting_room import ask

pytestmark = pytest.mark.django_db


def test_metrics_count_what_waits_and_say_what_the_last_audit_found(client: Client) -> None:
    answer_payment(make_order(), Payment.Status.SENT)
    make_order()
    Order.objects.filter(payment__status=Payment.Status.PENDING).update(needs_review=True)
    AuditRun.objects.create(ok=False, report={})
    AuditRun.objects.create(ok=True, report={})
    known: dict[str, Any] = {
        "kind": "missing_here",
        "gateway": "stripe",
        "amount_there": 700,
        "occurred_at": timezone.now(),
    }
    Difference.objects.create(provider_id="pi_1", **known)
    Difference.objects.create(provider_id="pi_2", **known, resolution="gone", resolved_at=timezone.now())

    lines = client.get("/metrics").content.decode().splitlines()

    assert "orderly_orders_pending 2.0" in lines
    assert "orderly_orders_stuck 0.0" in lines
    assert "orderly_orders_needs_review 1.0" in lines
    assert "orderly_payments_unknown 1.0" in lines
    assert "orderly_differences_open 1.0" in lines
    assert "orderly_disputes_open 0.0" in lines
    assert "orderly_refunds_open 0.0" in lines
    assert "orderly_audit_ok 1.0" in lines
    assert any(line.startswith("orderly_audit_age_seconds ") for line in lines)


def test_metrics_say_how_long_events_wait_to_be_read_and_to_be_delivered(client: Client) -> None:
    def read() -> dict[str, float]:
        lines = client.get("/metrics").text.splitlines()
        return {name: float(value) for name, _, value in (line.partition(" ") for line in lines) if name != "#"}

    make_endpoint()
    make_order()
    unread = read()
    assert unread["orderly_event_lag_seconds"] > 0
    assert unread["orderly_delivery_lag_seconds"] == unread["orderly_deliveries_waiting"] == 0

    move_horizon()
    plan_deliveries()
    Endpoint.objects.update(failures=1, failing_since=timezone.now())
    planned = read()
    assert planned["orderly_event_lag_seconds"] == 0
    assert planned["orderly_delivery_lag_seconds"] > 0
    assert planned["orderly_deliveries_waiting"] == planned["orderly_endpoints_failing"] == 1

    Endpoint.objects.update(is_on=False)
    assert read()["orderly_deliveries_waiting"] == 0


def test_metrics_count_who_waits_where_the_shop_has_a_waiting_room(client: Client, settings: LazySettings) -> None:
    assert b"orderly_waiting" not in client.get("/metrics").content
    settings.WAITING_ROOM = CHECKOUT
    empty_rooms(CHECKOUT)
    close_door(CHECKOUT)
    for visitor in ("ann", "bob", "cid"):
        ask(CHECKOUT, visitor=visitor, is_page=True)
    let_in(CHECKOUT, 1, by="ann")

    lines = client.get("/metrics").content.decode().splitlines()

    assert "orderly_waiting_room_up 1.0" in lines
    assert 'orderly_waiting_room_waiting{room="checkout"} 2.0' in lines
    assert 'orderly_waiting_room_inside{room="checkout"} 1.0' in lines
    assert 'orderly_waiting_room_pace{room="checkout"} 0.0' in lines


def test_metrics_say_that_redis_does_not_keep_the_queue(client: Client, settings: LazySettings) -> None:
    settings.WAITING_ROOM = CHECKOUT
    stop_redis(settings)

    lines = client.get("/metrics").content.decode().splitlines()

    assert "orderly_waiting_room_up 0.0" in lines
    assert "orderly_orders_pending 0.0" in lines


@pytest.mark.parametrize(
    ("token", "local", "sent", "status"),
    [
        ("secret", True, "Bearer secret", 200),
        ("secret", True, "Bearer guess", 403),
        ("secret", True, "", 403),
        ("", True, "", 200),
        ("", False, "", 403),
    ],
)
def test_metrics_are_for_those_with_the_token(
    client: Client, settings: LazySettings, token: str, local: bool, sent: str, status: int
) -> None:
    settings.METRICS_TOKEN, settings.LOCAL = token, local

    assert client.get("/metrics", headers={"Authorization": sent}).status_code == status


def read_names(client: Client) -> set[str]:
    """The figures that there are, with an audit, a task's end and a charge to tell of."""
    AuditRun.objects.create(ok=True, report={})
    record_tick(task="audit.tasks.check_liveness")
    answer_payment(make_order(), Payment.Status.SUCCEEDED, answered_at=Now())
    lines = client.get("/metrics").text.splitlines()
    return {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}


def test_recent_orders_charges_and_queues_are_counted(client: Client) -> None:
    for status in (Payment.Status.SUCCEEDED, Payment.Status.DECLINED):
        answer_payment(make_order(), status, sent_at=Now() - timedelta(seconds=2), answered_at=Now())
    with current_app.connection_for_write() as broker:
        broker.SimpleQueue("mails").put("a message that nobody fetches")
        lines = client.get("/metrics").text.splitlines()

    assert 'orderly_recent_orders{status="PENDING"} 2.0' in lines
    assert 'orderly_recent_payments{status="DECLINED"} 1.0' in lines
    assert 'orderly_recent_payments{status="CANCELLED"} 0.0' in lines
    assert 'orderly_recent_charge_seconds{quantile="0.5"} 2.0' in lines
    assert 'orderly_queue_messages{queue="mails"} 1.0' in lines
    assert 'orderly_queue_messages{queue="sweep"} 0.0' in lines
    assert "orderly_broker_up 1.0" in lines


def test_figures_come_without_the_broker(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://127.0.0.1:9/0")

    lines = client.get("/metrics").text.splitlines()

    assert "orderly_broker_up 0.0" in lines
    assert not [line for line in lines if line.startswith("orderly_queue_messages{")]
    assert "orderly_orders_pending 0.0" in lines


@pytest.mark.parametrize("path", ["prometheus/alerts.yaml", "grafana/orderly.json"])
def test_alerts_and_the_dashboard_ask_for_figures_that_there_are(client: Client, path: str) -> None:
    asked = set(re.findall(r"\borderly_\w+", (settings.BASE_DIR / "deploy" / path).read_text()))

    assert len(asked) > 10
    assert asked <= read_names(client)


def list_alerts() -> list[str]:
    return re.findall(r"alert: (\w+)", (settings.BASE_DIR / "deploy" / "prometheus" / "alerts.yaml").read_text())


def test_each_alert_is_seen_to_fire() -> None:
    """By promtool, which deploy/check.sh runs."""
    tried = (settings.BASE_DIR / "deploy" / "prometheus" / "alerts_test.yaml").read_text()
    assert [name for name in list_alerts() if name not in tried] == []


def test_each_alert_has_its_section_in_the_runbook() -> None:
    assert list_alerts() == re.findall(
        r"^## (\w+)$", (settings.BASE_DIR / "docs" / "runbook.md").read_text(), re.MULTILINE
    )
