import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.services import audit_orders
from orders import paying
from orders.models import Order
from orders.paying import (
    AlreadyPaid,
    OrderHasEnded,
    OrderIsNotHeld,
    PaymentNumberReused,
    PaymentRefused,
    PaymentUnanswered,
    TooManyPayments,
    WrongPaymentNumber,
    pay_again,
)
from orders.services import MAX_PAYMENTS, cancel_order, finalize_order, resume_order
from orders.sweep import claim_lost_orders, claim_stuck_orders
from payments.gateway import GatewayUnavailable, get_gateway
from payments.models import Payment
from payments.services import cancel_payment, charge_payment
from payments.stripe import StripeGateway
from tests.builders import answer_payment, everything, make_order, make_product, stock_of
from tests.provider import Provider, nonsense_provider

pytestmark = pytest.mark.django_db(transaction=True)
Status = Payment.Status
VISA, DECLINED = "pm_card_visa", "pm_card_visa_chargeDeclined"


def hold_order(hold: int = 600, **fields: Any) -> Order:
    """An order of three MUGs of ten, whose first card was declined."""
    make_product("MUG", stock=10)
    order = make_order({"MUG": 3}, payment_method=DECLINED, hold_on_decline=hold, **fields)
    return decline(order)


def decline(order: Order) -> Order:
    answer_payment(order, Status.DECLINED, answered_at=timezone.now())
    return finalize_order(code=order.code)


def pay(order: Order, number: int = 2, method: str = VISA) -> Order:
    return pay_again(code=order.code, number=number, payment_method=method)[0]


def end_hold(order: Order) -> None:
    """Let the time of the hold pass."""
    Order.objects.filter(pk=order.pk).update(held_until=timezone.now(), sweep_after=timezone.now())


def refuses(refusal: type[PaymentRefused], order: Order, number: int = 2, method: str = VISA) -> None:
    """The payment is refused, and nothing has changed."""
    before = everything()
    with pytest.raises(refusal):
        pay(order, number, method)
    assert everything() == before


def test_a_declined_order_that_is_held_stays_reserved() -> None:
    order = hold_order()

    assert (order.status, order.held_until) == ("PENDING", order.sweep_after)
    assert order.held_until
    assert timedelta(0) < order.held_until - timezone.now() <= timedelta(seconds=600)
    assert stock_of("MUG") == (10, 3)
    assert [event.kind for event in order.events.all()] == ["placed", "held"]


def test_a_declined_order_that_asked_for_no_hold_is_cancelled_at_once() -> None:
    order = hold_order(0)

    assert (order.status, order.cancel_reason, order.held_until) == ("CANCELLED", "card_declined", None)
    assert stock_of("MUG") == (10, 0)


def test_finalize_order_changes_nothing_while_it_is_held() -> None:
    order = hold_order()
    before = everything()

    assert finalize_order(code=order.code).status == "PENDING"

    assert everything() == before


def test_no_hold_goes_beyond_the_deadline() -> None:
    order = hold_order(10**6)

    assert order.held_until == order.expires_at


def test_the_sweep_cancels_an_order_whose_hold_is_over() -> None:
    order = hold_order()
    assert claim_stuck_orders() == []
    end_hold(order)

    (claim,) = claim_stuck_orders()

    assert (claim.code, claim.expired) == (order.code, False)
    charge_payment(reference=order.code)
    ended = finalize_order(code=order.code)
    assert (ended.status, ended.cancel_reason) == ("CANCELLED", "card_declined")
    assert stock_of("MUG") == (10, 0)


def test_an_order_that_is_held_is_swept_again_when_its_hold_ends_and_no_attempt_is_counted(
    settings: LazySettings,
) -> None:
    settings.SWEEP_AFTER = settings.SWEEP_AFTER_MAX = 10_000
    order = hold_order()
    resume_order(code=order.code)

    (claim,) = claim_stuck_orders()
    held = finalize_order(code=order.code)

    assert 590 < claim.pause <= 600
    assert (held.status, held.finalize_attempts) == ("PENDING", 0)


def test_a_worker_that_starts_leaves_a_held_order_alone(settings: LazySettings) -> None:
    settings.LOST_AFTER = 0
    order = hold_order()
    assert claim_lost_orders() == []

    end_hold(order)

    assert [claim.code for claim in claim_lost_orders()] == [order.code]


def test_pay_again_adds_the_next_payment() -> None:
    order = hold_order()

    again, created = pay_again(code=order.code, number=2, payment_method=VISA)

    first, second = Payment.objects.order_by("number")
    assert created
    assert (first.status, second.status) == ("DECLINED", "PENDING")
    assert (first.key, second.key) == (f"charge-{order.code}", f"charge-{order.code}-2")
    assert (second.reference, second.amount, second.currency) == (order.code, order.total, order.currency)
    assert (again.payment, again.held_until, again.status) == (second, None, "PENDING")
    assert again.sweep_after
    assert again.sweep_after < order.expires_at
    assert [event.kind for event in order.events.all()] == ["placed", "held", "paying_again"]
    assert stock_of("MUG") == (10, 3)


def test_pay_again_before_the_decline_was_seen_by_finalize_order_needs_no_hold() -> None:
    order = make_order(hold_on_decline=600)
    answer_payment(order, Status.DECLINED)

    assert pay(order).payment.number == 2
    assert finalize_order(code=order.code).status == "PENDING"


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.DECLINED, Status.CANCELLED])
def test_the_second_payment_ends_the_order(status: Payment.Status) -> None:
    order = pay(hold_order())
    answer_payment(order, status, answered_at=timezone.now())

    ended = finalize_order(code=order.code)

    if status == Status.DECLINED:
        assert (ended.status, stock_of("MUG")) == ("PENDING", (10, 3))  # held again
        assert ended.held_until
    else:
        assert ended.status == ("CONFIRMED" if status == Status.SUCCEEDED else "CANCELLED")
        assert stock_of("MUG") == ((7, 0) if status == Status.SUCCEEDED else (10, 0))


def test_the_same_number_again_adds_no_payment_also_after_the_end() -> None:
    order = pay(hold_order())
    before = everything()
    assert pay_again(code=order.code, number=2, payment_method=VISA) == (order, False)
    assert everything() == before
    answer_payment(order, Status.SUCCEEDED)
    finalize_order(code=order.code)
    before = everything()

    again, created = pay_again(code=order.code, number=2, payment_method=VISA)

    assert (again.status, created) == ("CONFIRMED", False)
    assert everything() == before


def test_pay_again_refuses_another_card_under_the_same_number() -> None:
    refuses(PaymentNumberReused, pay(hold_order()), method="pm_card_mastercard")


@pytest.mark.parametrize("number", [0, 3, 99, -1])
def test_pay_again_refuses_a_number_that_is_not_the_next(number: int) -> None:
    refuses(WrongPaymentNumber, hold_order(), number)


@pytest.mark.parametrize("status", [Status.PENDING, Status.SENT])
def test_pay_again_refuses_while_the_bank_has_not_answered(status: Payment.Status) -> None:
    order = make_order(hold_on_decline=600)
    answer_payment(order, status)

    refuses(PaymentUnanswered, order)


def test_pay_again_refuses_what_is_paid() -> None:
    order = make_order(hold_on_decline=600)
    answer_payment(order, Status.SUCCEEDED)

    refuses(AlreadyPaid, order)


def end_by_cancel(order: Order) -> None:
    assert cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER).status == "CANCELLED"


def end_by_hold(order: Order) -> None:
    end_hold(order)
    assert finalize_order(code=order.code).status == "CANCELLED"


@pytest.mark.parametrize("end", [end_by_cancel, end_by_hold])
def test_pay_again_refuses_an_order_that_has_ended(end: Callable[[Order], None]) -> None:
    order = hold_order()
    end(order)

    refuses(OrderHasEnded, order)


def test_pay_again_refuses_an_order_that_asked_for_no_hold() -> None:
    order = make_order()
    answer_payment(order, Status.DECLINED)

    refuses(OrderIsNotHeld, order)


@pytest.mark.parametrize("passed", ["held_until", "expires_at"])
def test_pay_again_refuses_when_the_time_is_over(passed: str) -> None:
    order = hold_order()
    Order.objects.update(**{passed: timezone.now()})

    refuses(OrderIsNotHeld, order)


def test_pay_again_refuses_once_a_cancel_was_asked_for() -> None:
    order = make_order(hold_on_decline=600)
    answer_payment(order, Status.SENT)
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)
    answer_payment(order, Status.DECLINED)

    refuses(OrderIsNotHeld, order)
    assert finalize_order(code=order.code).status == "CANCELLED"


def test_an_order_has_no_more_payments_than_it_may_have() -> None:
    order = hold_order()
    for number in range(2, MAX_PAYMENTS + 1):
        assert order.status == "PENDING"
        order = decline(pay(order, number))

    assert (order.status, order.cancel_reason) == ("CANCELLED", "card_declined")
    assert Payment.objects.count() == MAX_PAYMENTS
    assert stock_of("MUG") == (10, 0)


def test_pay_again_refuses_one_payment_too_many() -> None:
    order = hold_order()
    for number in range(2, MAX_PAYMENTS + 1):
        order = pay(order, number)
        answer_payment(order, Status.DECLINED)

    refuses(TooManyPayments, order, MAX_PAYMENTS + 1)


def test_pay_again_for_no_order() -> None:
    with pytest.raises(Order.DoesNotExist):
        pay_again(code="261124-GH0ST-GH0ST", number=2, payment_method=VISA)


@pytest.mark.parametrize("reason", ["customer", "staff"])
def test_cancelling_a_held_order_ends_it_at_once(reason: str) -> None:
    order = hold_order()

    ended = cancel_order(code=order.code, reason=Order.CancelReason(reason))

    assert (ended.status, ended.cancel_reason) == ("CANCELLED", reason)
    assert stock_of("MUG") == (10, 0)


def test_a_payment_that_fails_to_be_written_leaves_the_order_held(monkeypatch: pytest.MonkeyPatch) -> None:
    order = hold_order()
    before = everything()
    monkeypatch.setattr(paying, "process_on_commit", lambda code: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        pay(order)

    assert everything() == before


def test_the_database_refuses_two_payments_at_a_time() -> None:
    order = make_order()

    for number in (1, 2):
        with pytest.raises(IntegrityError), transaction.atomic():
            Payment.objects.create(reference=order.code, number=number, amount=order.total, currency="GBP")


@pytest.fixture
def _provider(gateway: object, empty_ledger: None) -> None:
    """The real adapter and a provider with an empty ledger."""


def intents(provider: Provider, code: str) -> list[tuple[str, str]]:
    """The number and status of each intent of the order, oldest first."""
    found = provider.request("GET", "/v1/payment_intents", {"limit": 100}).json["data"]
    ours = [intent["metadata"] | intent for intent in found if intent["metadata"]["reference"] == code]
    return [(intent.get("number", "1"), intent["status"]) for intent in reversed(ours)]


def hold_at_provider() -> Order:
    order = make_order(payment_method=DECLINED, hold_on_decline=600)
    charge_payment(reference=order.code)
    return finalize_order(code=order.code)


@pytest.mark.usefixtures("_provider")
def test_a_declined_card_and_then_a_good_one_is_one_charge(provider: Provider) -> None:
    order = pay(hold_at_provider())

    charge_payment(reference=order.code)

    assert finalize_order(code=order.code).status == "CONFIRMED"
    assert intents(provider, order.code) == [("1", "canceled"), ("2", "succeeded")]
    assert audit_orders()["ok"]


@pytest.mark.usefixtures("_provider")
def test_the_next_card_is_not_sent_while_the_declined_one_can_not_be_closed(provider: Provider) -> None:
    order = pay(hold_at_provider())
    provider.control(fault="down")

    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=order.code)

    second = Payment.objects.get(number=2)
    assert (second.status, second.requests, second.sent_at) == ("PENDING", 0, None)
    assert "503" in second.last_error
    provider.control()
    charge_payment(reference=order.code)
    assert finalize_order(code=order.code).status == "CONFIRMED"


@pytest.mark.usefixtures("_provider")
def test_a_declined_payment_is_not_closed_by_a_provider_that_refuses_to_be_asked(settings: LazySettings) -> None:
    """Such a refusal closes a payment that was only ever refused. This one was executed, and its intent is open."""
    order = pay(hold_at_provider())
    refusal = {"type": "invalid_request_error", "message": "Invalid currency: gbp", "param": "currency"}

    with nonsense_provider(400, json.dumps({"error": refusal})) as settings.STRIPE_API_BASE:
        get_gateway.cache_clear()
        with pytest.raises(GatewayUnavailable):
            charge_payment(reference=order.code)

    first, second = Payment.objects.order_by("number")
    assert (first.closed_at, second.status, second.sent_at) == (None, "PENDING", None)


def confirm_late(provider: Provider) -> None:
    """What Stripe's script, or a person at its dashboard, can do with a declined intent that nobody cancelled."""
    with psycopg.connect(provider.database_url) as connection:
        connection.execute(
            "UPDATE payment_intent SET status = 'succeeded', decline = NULL WHERE status = 'requires_payment_method'"
        )


@pytest.mark.usefixtures("_provider")
def test_a_declined_payment_can_not_be_confirmed_once_the_next_was_sent(provider: Provider) -> None:
    order = pay(hold_at_provider())
    charge_payment(reference=order.code)

    confirm_late(provider)

    finalize_order(code=order.code)
    assert audit_orders()["ok"]


@pytest.mark.usefixtures("_provider")
def test_control_without_the_close_it_is_a_second_charge_and_the_audit_names_it(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = pay(hold_at_provider())
    monkeypatch.setattr(StripeGateway, "cancel", lambda _gateway, _request: None)
    charge_payment(reference=order.code)

    confirm_late(provider)

    finalize_order(code=order.code)
    assert [(found["invariant"], found["codes"]) for found in audit_orders()["violations"]] == [("A3", [order.code])]


@pytest.mark.usefixtures("_provider")
def test_a_declined_payment_that_took_the_money_all_the_same_is_not_followed_by_a_second_charge(
    provider: Provider,
) -> None:
    order = pay(hold_at_provider())
    confirm_late(provider)

    charge_payment(reference=order.code)

    assert finalize_order(code=order.code).status == "CONFIRMED"
    assert intents(provider, order.code) == [("1", "succeeded")]
    assert audit_orders()["ok"]


@pytest.mark.usefixtures("_provider")
def test_what_a_declined_payment_took_and_was_given_back_pays_nothing(provider: Provider) -> None:
    order = pay(hold_at_provider())
    confirm_late(provider)
    (taken,) = get_gateway().list_charges()
    provider.refund(taken.provider_id, amount=taken.amount)

    charge_payment(reference=order.code)

    assert finalize_order(code=order.code).status == "CONFIRMED"
    assert sum(charge.amount - charge.refunded for charge in get_gateway().list_charges()) == order.total
    assert audit_orders()["ok"]


@pytest.mark.usefixtures("_provider")
def test_money_that_a_declined_payment_took_later_is_named_by_the_audit(provider: Provider) -> None:
    order = hold_at_provider()
    confirm_late(provider)
    end_hold(order)

    assert finalize_order(code=order.code).status == "CANCELLED"
    assert [(found["invariant"], found["codes"]) for found in audit_orders()["violations"]] == [("A4", [order.code])]


@pytest.mark.usefixtures("_provider")
def test_a_second_payment_past_the_deadline_is_cancelled(provider: Provider) -> None:
    order = pay(hold_at_provider(), method="pm_sandbox_drop")
    Order.objects.update(expires_at=timezone.now())

    cancel_payment(reference=order.code)

    ended = finalize_order(code=order.code)
    assert (ended.status, ended.cancel_reason) == ("CANCELLED", "expired")
    assert audit_orders()["ok"]
