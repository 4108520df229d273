"""Orders that a machine can't end: they wait for a person, keep their stock, and hold up nobody."""

import pytest
from django.conf import LazySettings
from django.utils import timezone

from accounts.models import User
from audit.services import audit_orders
from orders.models import Order
from orders.services import cancel_order, finalize_order, mark_reviewed
from orders.sweep import claim_stuck_orders
from payments.gateway import GatewayUnavailable, get_gateway
from payments.services import cancel_payment, charge_payment
from tests.builders import make_order, make_product, stock_of
from tests.provider import Provider, nonsense_provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]

INTENT = '{"object": "payment_intent", "id": "pi_1", "created": 1, "latest_charge": null, '
INTENT += '"metadata": {"reference": "CODE"}, '
NONSENSE = {
    "another amount": (200, INTENT + '"status": "succeeded", "amount_received": 1, "currency": "gbp"}', "took 1 GBP"),
    "another currency": (200, INTENT + '"status": "succeeded", "amount_received": 500, "currency": "usd"}', "500 USD"),
    "an unknown status": (200, INTENT + '"status": "mended", "amount_received": 0, "currency": "gbp"}', "mended"),
    "somebody else's": (200, INTENT.replace("CODE", "OTHER") + '"status": "succeeded"}', "somebody else's"),
    "a page of HTML": (200, "<html>under construction</html>", "not in Stripe's format"),
}


def sweep_out(order: Order) -> Order:
    """As after ORDER_MAX_SWEEPS sweeps in which the provider was asked each time."""
    for _ in range(4):
        with pytest.raises(GatewayUnavailable):
            charge_payment(reference=order.code)
        finalize_order(code=order.code)
        Order.objects.filter(pk=order.pk).update(sweep_after=timezone.now())
        claim_stuck_orders()
    order.refresh_from_db()
    return order


@pytest.mark.parametrize("what", NONSENSE)
def test_an_order_whose_provider_answers_nonsense_needs_review(settings: LazySettings, what: str) -> None:
    settings.ORDER_MAX_SWEEPS = 3
    status, body, says = NONSENSE[what]
    make_product("MUG", stock=10)
    order, other = make_order(), make_order()
    honest = settings.STRIPE_API_BASE

    with nonsense_provider(status, body.replace("CODE", order.code)) as settings.STRIPE_API_BASE:
        get_gateway.cache_clear()
        order = sweep_out(order)
    settings.STRIPE_API_BASE = honest
    get_gateway.cache_clear()

    assert (order.status, order.needs_review) == ("PENDING", True)
    assert says in order.review_reason
    assert stock_of("MUG") == (10, 2)
    charge_payment(reference=other.code)
    assert finalize_order(code=other.code).status == "CONFIRMED"
    assert audit_orders()["violations"] == []


def test_an_order_that_was_reviewed_goes_on_and_the_audit_is_clean(provider: Provider, settings: LazySettings) -> None:
    settings.ORDER_MAX_SWEEPS = 3
    staff = User.objects.create_user("staff@example.com")
    order, other = make_order(), make_order()
    provider.control(fault="down")
    for swept in (order, other):
        sweep_out(swept)
        mark_reviewed(code=swept.code, actor=staff, note="The provider is down.")
    provider.control()
    assert audit_orders()["violations"] == []

    charge_payment(reference=order.code)
    assert finalize_order(code=order.code).status == "CONFIRMED"

    assert [event.kind for event in order.events.all()][-3:] == ["review_needed", "reviewed", "confirmed"]
    assert audit_orders()["violations"] == []


def test_an_order_the_provider_never_answers_can_be_cancelled_by_staff(
    provider: Provider, settings: LazySettings
) -> None:
    settings.ORDER_MAX_SWEEPS = 3
    order = make_order()
    provider.control(fault="down")
    order = sweep_out(order)
    assert "503" in order.review_reason

    order = cancel_order(code=order.code, reason=Order.CancelReason.STAFF)
    assert (order.status, order.needs_review) == ("PENDING", False)
    provider.control()
    (claim,) = claim_stuck_orders()
    assert claim.expired
    cancel_payment(reference=order.code)

    order = finalize_order(code=order.code)
    assert (order.status, order.cancel_reason) == ("CANCELLED", "staff")
    assert stock_of("MUG") == (10, 0)
    assert audit_orders()["violations"] == []
