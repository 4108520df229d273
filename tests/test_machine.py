"""Every order of doing things that Hypothesis can think of ends with every order final and a clean audit."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
import requests
from django.conf import LazySettings
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

from audit.services import audit_orders
from catalog.models import Stock
from catalog.services import AdjustmentRefused, adjust_stock
from orders.models import Order
from orders.pricing import OutOfStock
from orders.services import OrderIsFinal, cancel_order, finalize_order, resume_order
from orders.sweep import claim_stuck_orders
from payments.actions import find_next_action
from payments.gateway import GatewayUnavailable
from payments.services import cancel_payment, charge_payment
from tests.builders import make_order, make_product

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]

METHODS = [
    "pm_card_visa",
    "pm_card_visa_chargeDeclined",
    "pm_sandbox_drop",
    "pm_sandbox_500_before",
    "pm_sandbox_500_after",
    "pm_sandbox_processing",
    "pm_sandbox_processing_declined",
    "pm_card_authenticationRequired",
    "pm_sandbox_action_processing",
]
CODES = Bundle("codes")


class Shop(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sku = uuid4().hex
        self.product = make_product(self.sku, stock=8)

    @rule(target=CODES, quantity=st.integers(1, 3), method=st.sampled_from(METHODS))
    def place(self, quantity: int, method: str) -> str:
        available = Stock.objects.get(product=self.product).available
        try:
            order = make_order({self.sku: quantity}, payment_method=method)
        except OutOfStock:
            assert quantity > available
            return ""
        assert quantity <= available
        return order.code

    @rule(code=CODES)
    def charge(self, code: str) -> None:
        if code:
            ask(charge_payment, code)

    @rule(code=CODES, answer=st.sampled_from(["approve", "fail"]))
    def act_at_the_bank(self, code: str, answer: str) -> None:
        """The customer answers the bank, where it asks, and never comes back."""
        with suppress(GatewayUnavailable):
            if action := find_next_action(reference=code):
                requests.post(action.url, {"answer": answer}, allow_redirects=False, timeout=5)

    @rule(code=CODES)
    def cancel_at_the_provider(self, code: str) -> None:
        if code and Order.objects.get(code=code).expires_at < timezone.now():
            ask(cancel_payment, code)

    @rule(code=CODES)
    def finalize(self, code: str) -> None:
        if code:
            finalize_order(code=code)

    @rule(code=CODES)
    def cancel(self, code: str) -> None:
        if code:
            change(cancel_order, code=code, reason=Order.CancelReason.CUSTOMER)

    @rule(code=CODES)
    def resume(self, code: str) -> None:
        if code:
            change(resume_order, code=code)

    @rule(code=CODES)
    def expire(self, code: str) -> None:
        Order.objects.filter(code=code).update(expires_at=timezone.now() - timedelta(seconds=1))

    @rule(quantity=st.integers(-2, 2).filter(bool))
    def adjust(self, quantity: int) -> None:
        change(adjust_stock, reference=uuid4().hex, product_id=self.product.pk, quantity=quantity, reason="counted")

    @rule()
    def sweep(self) -> None:
        Order.objects.filter(status="PENDING").update(sweep_after=timezone.now() - timedelta(seconds=1))
        for claim in claim_stuck_orders():
            ask(cancel_payment if claim.expired else charge_payment, claim.code)
            finalize_order(code=claim.code)

    def teardown(self) -> None:
        """Whatever was done, time and the sweep end every order."""
        Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        for _ in range(100):
            if Order.objects.filter(status="PENDING").exists():
                self.sweep()
                time.sleep(0.02)  # for a payment that the bank is still processing
        assert not Order.objects.filter(status="PENDING").exists()
        assert audit_orders()["violations"] == []


def ask(service: Callable[..., None], code: str) -> None:
    with suppress(GatewayUnavailable):
        service(reference=code)


def change(service: Callable[..., object], **arguments: object) -> None:
    with suppress(OrderIsFinal, AdjustmentRefused):
        service(**arguments)


@pytest.mark.parametrize("sweeps", [3, 1_000])
def test_every_order_ends_well_whatever_happens(settings: LazySettings, sweeps: int) -> None:
    settings.ORDER_MAX_SWEEPS = sweeps
    settings.PAYMENT_RETURN_URL = "https://shop.example.com/orders/{reference}/return/"
    run_state_machine_as_test(
        Shop,
        settings=hypothesis_settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
