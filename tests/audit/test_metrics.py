from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from audit.models import AuditRun, Difference
from orders.admission import CHECKOUT
from orders.models import Order
from payments.models import Payment
from tests.builders import answer_payment, make_order
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
