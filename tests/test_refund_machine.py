"""Every order of refunding that Hypothesis can think of ends with every refund over and the books equal."""

import time
from contextlib import suppress
from typing import ClassVar

import pytest
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from audit.services import audit_orders
from catalog.models import Stock, StockMovement
from orders.models import Order
from orders.refund_answers import record_refund
from orders.refunds import Returned, refund_order
from orders.services import finalize_order
from payments.gateway import GatewayUnavailable
from payments.refund_models import Refund
from payments.refund_requests import mark_asked
from payments.refunds import (
    NotRefundable,
    adopt_refund,
    check_refund,
    claim_due_refunds,
    find_next_number,
    hasten_refunds,
    refund_payment,
)
from payments.services import charge_payment
from payments.stripe import StripeGateway
from tests.builders import make_order, make_product
from tests.provider import Provider

pytestmark = pytest.mark.django_db(transaction=True)

CARDS = ["pm_card_visa", "pm_card_pendingRefund", "pm_card_refundFail"]
FAULTS = ["drop", "500_before", "500_after", "down"]
KEYS = Bundle("keys")
UNITS = 4


class Refunds(RuleBasedStateMachine):
    """One order, its refunds, and a provider that loses answers, and where somebody else gives money back."""

    provider: ClassVar[Provider]
    gateway: ClassVar[StripeGateway]
    count: ClassVar[int] = 0

    @initialize(card=st.sampled_from(CARDS))
    def buy(self, card: str) -> None:
        Refunds.count += 1
        self.product = make_product(f"MUG-{self.count}", stock=UNITS)
        self.code = make_order({self.product.sku: UNITS}, payment_method=card).code
        charge_payment(reference=self.code)
        self.order = finalize_order(code=self.code)
        self.intent = str(self.order.payment.provider_id)

    @rule(target=KEYS, units=st.integers(0, UNITS), restock=st.booleans(), amount=st.none() | st.integers(1, 1500))
    def request(self, units: int, restock: bool, amount: int | None) -> str:
        lines = [Returned(self.order.lines.get().pk, units, restock)] if units else []
        with suppress(NotRefundable):
            number = find_next_number(self.order.payment)
            return refund_order(code=self.code, number=number, lines=lines, amount=amount)[0].key
        return ""

    @rule(key=KEYS, fault=st.none() | st.sampled_from(FAULTS))
    def ask(self, key: str, fault: str | None) -> None:
        if fault:
            self.provider.control(fault=fault, times=1)
        with suppress(GatewayUnavailable):
            refund_payment(key=key)
        self.provider.request("DELETE", "/control")

    @rule(key=KEYS, has_asked=st.booleans())
    def die_while_asking(self, key: str, has_asked: bool) -> None:
        """As a worker that is killed before it asks the provider, or after; and its time runs out."""
        if (refund := mark_asked(key)) is None:
            return
        if has_asked:
            with suppress(Exception):
                self.gateway.refund(key=key, reference=self.code, provider_id=self.intent, amount=refund.amount)
        Refund.objects.filter(pk=refund.pk).update(in_flight_until=timezone.now())

    @rule(key=KEYS)
    def record(self, key: str) -> None:
        if key:
            record_refund(key=key)

    @rule()
    def hint(self) -> None:
        hasten_refunds(Refund.objects.of_reference(self.code))

    @rule()
    def sweep(self) -> None:
        for refund in claim_due_refunds():
            with suppress(GatewayUnavailable):
                (check_refund if refund.status == Refund.Status.SUCCEEDED else refund_payment)(key=refund.key)
            record_refund(key=refund.key)

    @rule(amount=st.integers(1, 1500))
    def give_back_there(self, amount: int) -> None:
        form = {"payment_intent": self.intent, "amount": amount}
        self.provider.request("POST", "/v1/refunds", form)  # it may refuse

    @rule()
    def adopt(self) -> None:
        for made in self.gateway.list_refunds(provider_id=self.intent):
            with suppress(NotRefundable):
                adopt_refund(payment_id=self.order.payment_id, made=made)

    @rule()
    def wait(self) -> None:
        time.sleep(0.1)  # banks answer

    def teardown(self) -> None:
        """Whatever was done, time and the sweep end every refund, and whoever looks at the provider adopts the rest."""
        for banks_time in (0.4, 0.4, 0):  # the first sweep may be the first to ask
            time.sleep(banks_time)
            self.hint()
            self.sweep()
            self.adopt()
            Refund.objects.update(in_flight_until=None)
        ours = Refund.objects.of_reference(self.code)
        assert list(ours.filter(recorded_at=None)) == []
        assert audit_orders()["violations"] == []
        order, charge = Order.objects.get(code=self.code), self.gateway.retrieve(self.intent)
        assert charge is not None
        assert charge.refunded == order.refunded <= order.total
        returned = StockMovement.objects.filter(stock=self.product.pk, kind="RETURNED")
        units = sum(movement.quantity for movement in returned)
        assert Stock.objects.get(product=self.product).on_hand == units <= UNITS


def test_every_refund_ends_well_whatever_happens(
    provider: Provider, gateway: StripeGateway, empty_ledger: None
) -> None:
    Refunds.provider, Refunds.gateway = provider, gateway
    run_state_machine_as_test(
        Refunds,
        settings=hypothesis_settings(
            max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
