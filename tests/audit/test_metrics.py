import pytest
from django.conf import LazySettings
from django.test import Client

from audit.models import AuditRun
from orders.models import Order
from payments.models import Payment
from tests.builders import answer_payment, make_order

pytestmark = pytest.mark.django_db


def test_metrics_count_what_waits_and_say_what_the_last_audit_found(client: Client) -> None:
    answer_payment(make_order(), Payment.Status.SENT)
    make_order()
    Order.objects.filter(payment__status=Payment.Status.PENDING).update(needs_review=True)
    AuditRun.objects.create(ok=False, report={})
    AuditRun.objects.create(ok=True, report={})

    lines = client.get("/metrics").content.decode().splitlines()

    assert "orderly_orders_pending 2.0" in lines
    assert "orderly_orders_stuck 0.0" in lines
    assert "orderly_orders_needs_review 1.0" in lines
    assert "orderly_payments_unknown 1.0" in lines
    assert "orderly_refunds_open 0.0" in lines
    assert "orderly_audit_ok 1.0" in lines
    assert any(line.startswith("orderly_audit_age_seconds ") for line in lines)


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
