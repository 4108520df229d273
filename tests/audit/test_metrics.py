from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from audit.models import AuditRun, Difference
from events_out.deliveries import plan_deliveries
from events_out.feed import settle_events
from events_out.models import Endpoint
from orders.models import Order
from payments.models import Payment
from tests.builders import answer_payment, make_endpoint, make_order

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

    settle_events()
    plan_deliveries()
    Endpoint.objects.update(failures=1, failing_since=timezone.now())
    planned = read()
    assert planned["orderly_event_lag_seconds"] == 0
    assert planned["orderly_delivery_lag_seconds"] > 0
    assert planned["orderly_deliveries_waiting"] == planned["orderly_endpoints_failing"] == 1

    Endpoint.objects.update(is_on=False)
    assert read()["orderly_deliveries_waiting"] == 0


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
