from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.utils import timezone

from accounts.models import User
from audit.liveness import check_liveness
from audit.models import Difference
from audit.reconciliation import reconcile
from audit.remedies import NotRemedied, adopt_difference
from audit.services import audit_orders
from orders.checkout import CheckoutKeyReused, UnknownGateway, place_order
from orders.models import Order
from orders.paying import PaymentNumberReused, pay_again
from orders.refund_answers import record_refund
from orders.refunds import Returned, refund_order
from orders.services import cancel_order, finalize_order, resume_order
from orders.sweep import claim_lost_orders, claim_stuck_orders
from orders.transfers import record_transfer
from payments.gateway import GatewayUnavailable, get_gateway
from payments.manual import TransferReused, record_sent_refund
from payments.models import Payment, Refund, TransferRefund
from payments.refunds import RefundTooLarge, claim_due_refunds, refund_payment
from payments.services import cancel_payment, charge_payment
from tests.builders import everything, make_checkout, make_order, make_product, make_transfer, stock_of, tamper
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("transfers", "empty_ledger")]
Status = Order.Status


def make_waiting_order() -> Order:
    return make_order({"MUG": 2}, gateway="manual", payment_method="transfer")


def process(order: Order) -> Order:
    """As the order's two tasks do."""
    charge_payment(reference=order.code)
    return finalize_order(code=order.code)


def expire(order: Order) -> Order:
    """As the sweep does at the deadline."""
    Order.objects.filter(pk=order.pk).update(expires_at=timezone.now(), sweep_after=timezone.now())
    assert [(claim.code, claim.expired) for claim in claim_stuck_orders()] == [(order.code, True)]
    cancel_payment(reference=order.code)
    return finalize_order(code=order.code)


def statuses(order: Order) -> tuple[str, str]:
    order.refresh_from_db()
    return order.status, Payment.objects.get(reference=order.code).status


def owed_back() -> list[int]:
    return list(TransferRefund.objects.unsent().values_list("amount", flat=True))


def test_an_order_by_transfer_waits_for_days_and_nobody_asks(settings: LazySettings) -> None:
    order = make_waiting_order()

    assert order.expires_at - order.created_at == timedelta(days=settings.TRANSFER_DAYS)
    assert order.sweep_after == order.expires_at
    assert process(order).status == Status.PENDING
    assert claim_stuck_orders() == claim_lost_orders() == []
    assert (order.payment.status, order.payment.requests) == ("PENDING", 0)
    assert check_liveness().uncharged == 0
    assert audit_orders()["ok"]


def test_a_transfer_of_the_total_confirms_its_order_once(django_user_model: type[User]) -> None:
    ann = django_user_model.objects.create_user("ann@example.com")
    order = make_waiting_order()

    recorded = make_transfer(order, bank_id="B-1", actor=ann, note="paid in two lines")
    repeated = make_transfer(order, bank_id="B-1")

    assert (recorded.created, recorded.pays, repeated) == (True, True, (recorded.transfer, False, True))
    assert statuses(order) == ("PENDING", "SENT")
    assert [process(order).status, process(order).status] == [Status.CONFIRMED] * 2
    payment = Payment.objects.get()
    assert (payment.provider_id, payment.gateway) == ("B-1", "manual")
    assert stock_of("MUG") == (8, 0)
    event = order.events.get(kind="transfer")
    assert (event.actor, event.data["amount"], event.data["note"]) == (ann, order.total, "paid in two lines")
    assert owed_back() == []
    assert audit_orders()["ok"]


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_wrong_amount_confirms_nothing_and_is_to_be_sent_back(difference: int) -> None:
    order = make_waiting_order()

    recorded = make_transfer(order, order.total + difference)

    assert not recorded.pays
    assert process(order).status == Status.PENDING
    assert statuses(order) == ("PENDING", "PENDING")
    assert owed_back() == [order.total + difference]
    assert audit_orders()["ok"]
    assert make_transfer(order).pays  # the right amount, afterwards
    assert process(order).status == Status.CONFIRMED
    assert audit_orders()["ok"]


def test_a_transfer_that_comes_after_the_cancel_is_to_be_sent_back(settings: LazySettings) -> None:
    order = make_waiting_order()
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)
    assert statuses(order) == ("CANCELLED", "CANCELLED")

    assert not make_transfer(order).pays

    assert process(order).status == Status.CANCELLED
    assert stock_of("MUG") == (10, 0)
    assert owed_back() == [order.total]
    assert audit_orders()["ok"]
    settings.TRANSFER_REFUND_DAYS = 0  # nobody has sent it back for too long
    assert [found["invariant"] for found in audit_orders()["violations"]] == ["A4"]
    record_sent_refund(pk=TransferRefund.objects.get().pk, provider_id="B-back", sent_on=timezone.now().date())
    assert audit_orders()["ok"]


def test_a_second_transfer_of_a_confirmed_order_is_to_be_sent_back() -> None:
    order = make_waiting_order()
    make_transfer(order)
    process(order)

    assert not make_transfer(order).pays

    assert process(order).status == Status.CONFIRMED
    assert owed_back() == [order.total]
    assert audit_orders()["ok"]
    record_sent_refund(pk=TransferRefund.objects.get().pk, provider_id="B-back", sent_on=timezone.now().date())
    assert audit_orders()["ok"]


def test_a_transfer_for_an_order_that_is_paid_by_card_is_to_be_sent_back() -> None:
    order = make_order()

    assert not make_transfer(order).pays

    assert statuses(order) == ("PENDING", "PENDING")
    assert owed_back() == [order.total]


def test_the_banks_reference_of_another_transfer_is_refused() -> None:
    order, other = make_waiting_order(), make_waiting_order()
    make_transfer(order, bank_id="B-1")
    before = everything()

    for wrong, amount in ((other, other.total), (order, order.total + 1)):
        with pytest.raises(TransferReused):
            make_transfer(wrong, amount, bank_id="B-1")

    assert everything() == before


def test_a_transfer_of_no_order_is_refused() -> None:
    before = everything()

    with pytest.raises(Order.DoesNotExist):
        record_transfer(code="261129-00000-00000", amount=1, provider_id="B-1", arrived_on=timezone.now().date())

    assert everything() == before


def test_at_its_deadline_an_order_without_a_transfer_is_cancelled() -> None:
    order = make_waiting_order()

    assert expire(order).cancel_reason == Order.CancelReason.EXPIRED

    assert stock_of("MUG") == (10, 0)
    assert audit_orders()["ok"]


def test_a_transfer_that_was_recorded_before_the_deadline_confirms_the_order_after_it() -> None:
    order = make_waiting_order()
    make_transfer(order)

    assert expire(order).status == Status.CONFIRMED

    assert owed_back() == []
    assert audit_orders()["ok"]


@pytest.mark.parametrize(("days", "is_overdue"), [(6, False), (9, True)])
def test_an_order_by_transfer_may_be_pending_for_as_long_as_it_waits_and_no_longer(days: int, is_overdue: bool) -> None:
    make_waiting_order()
    tamper(
        "UPDATE orders_order SET created_at = created_at - make_interval(days => %s), "
        "expires_at = expires_at + interval '20 days', sweep_after = sweep_after + interval '20 days'",
        days,
    )

    violations = {violation["invariant"] for violation in audit_orders()["violations"]}

    assert violations == ({"A5", "A7"} if is_overdue else {"A7"})  # A7: its event tells when it was placed


def test_an_order_that_staff_have_processed_again_waits_on_without_a_review() -> None:
    order = make_waiting_order()
    resume_order(code=order.code)

    (claim,) = claim_stuck_orders()

    order.refresh_from_db()
    assert order.sweep_after == order.expires_at
    assert not claim.expired
    assert process(order).status == Status.PENDING


def test_a_recorded_transfer_whose_task_is_lost_is_taken_up_by_the_sweep_and_by_a_worker_that_starts(
    settings: LazySettings,
) -> None:
    settings.LOST_AFTER = 0
    order = make_waiting_order()
    make_transfer(order)
    order.refresh_from_db()
    assert order.sweep_after
    assert order.sweep_after < timezone.now() + timedelta(seconds=settings.SWEEP_AFTER + 1)

    assert [claim.code for claim in claim_lost_orders()] == [order.code]
    Order.objects.update(sweep_after=timezone.now())
    assert [claim.code for claim in claim_stuck_orders()] == [order.code]
    assert process(order).status == Status.CONFIRMED


def make_held_order() -> Order:
    order = make_order({"MUG": 2}, payment_method="pm_card_visa_chargeDeclined", hold_on_decline=600)
    assert process(order).held_until
    return order


def test_after_a_declined_card_an_order_can_be_paid_by_transfer(settings: LazySettings) -> None:
    order = make_held_order()

    order, created = pay_again(code=order.code, number=2, payment_method="transfer", gateway="manual")

    assert created
    assert timezone.now() + timedelta(days=settings.TRANSFER_DAYS) - order.expires_at < timedelta(minutes=1)
    assert order.mails.get().kind == "instructions"
    assert process(order).status == Status.PENDING
    declined, waiting = Payment.objects.filter(reference=order.code).order_by("number")
    assert declined.closed_at
    assert (waiting.status, waiting.gateway, waiting.waits_for_money) == ("PENDING", "manual", True)
    assert make_transfer(order).pays
    assert process(order).status == Status.CONFIRMED
    assert audit_orders()["ok"]


def test_the_declined_card_is_closed_before_the_transfer_is_taken(provider: Provider, settings: LazySettings) -> None:
    order = make_held_order()
    pay_again(code=order.code, number=2, payment_method="transfer", gateway="manual")
    Order.objects.update(sweep_after=timezone.now())
    (claim,) = claim_stuck_orders()
    assert claim.pause < 2 * settings.SWEEP_AFTER  # the sweep does not rest before the card is closed
    provider.control(fault="down")
    assert make_transfer(order).pays
    with pytest.raises(GatewayUnavailable):
        process(order)
    provider.control()

    assert process(order).status == Status.CONFIRMED

    assert Payment.objects.get(number=1).closed_at
    assert audit_orders()["ok"]


def test_the_declined_card_is_closed_before_a_cancel_finds_the_transfer(provider: Provider) -> None:
    order = make_held_order()
    pay_again(code=order.code, number=2, payment_method="transfer", gateway="manual")
    provider.control(fault="down")
    assert make_transfer(order).pays
    cancel_order(code=order.code, reason=Order.CancelReason.CUSTOMER)
    with pytest.raises(GatewayUnavailable):
        cancel_payment(reference=order.code)
    provider.control()

    cancel_payment(reference=order.code)

    assert finalize_order(code=order.code).status == Status.CONFIRMED
    assert Payment.objects.get(number=1).closed_at
    assert audit_orders()["ok"]


@pytest.mark.parametrize("method", ["card", "transfer"])
def test_the_same_number_with_another_gateway_is_refused(method: str) -> None:
    order = make_held_order()
    pay_again(code=order.code, number=2, payment_method="transfer", gateway="manual")
    before = everything()

    _, created = pay_again(code=order.code, number=2, payment_method="transfer", gateway="manual")
    assert not created
    with pytest.raises(PaymentNumberReused):
        pay_again(code=order.code, number=2, payment_method=method, gateway="stripe")

    assert everything() == before


def test_a_gateway_that_the_shop_does_not_offer_is_refused(settings: LazySettings) -> None:
    order = make_held_order()
    settings.CHECKOUT_GATEWAYS = ["stripe"]
    before = everything()

    for unknown in ("manual", "paypal"):
        with pytest.raises(UnknownGateway):
            make_order(gateway=unknown)
        with pytest.raises(UnknownGateway):
            pay_again(code=order.code, number=2, payment_method="transfer", gateway=unknown)

    assert everything() == before


def test_the_gateway_belongs_to_what_was_asked_for_under_the_checkout_key() -> None:
    first = make_checkout(gateway="manual")
    make_product("MUG")
    order, created = place_order(first)
    assert created

    assert place_order(replace(first)) == (order, False)
    with pytest.raises(CheckoutKeyReused):
        place_order(replace(first, gateway=""))
    assert make_checkout(key="k").hash == make_checkout(key="k", gateway="stripe").hash


def refund_later(refund: Refund, number: int) -> None:
    """As staff do, who send the money from the bank."""
    sent = TransferRefund.objects.get(key=refund.key)
    record_sent_refund(pk=sent.pk, provider_id=f"B-back-{number}", sent_on=timezone.now().date())
    assert audit_orders()["violations"] == []
    (due,) = claim_due_refunds()
    refund_payment(key=due.key)
    record_refund(key=due.key)
    assert audit_orders()["violations"] == []


def test_an_order_that_a_transfer_paid_is_refunded_in_parts_beside_a_surplus_and_never_more_than_arrived() -> None:
    order = make_waiting_order()
    make_transfer(order)
    make_transfer(order)
    process(order)
    line = order.lines.get().pk

    for number in (1, 2):
        refund, _ = refund_order(code=order.code, number=number, lines=[Returned(line, 1)])
        with pytest.raises(GatewayUnavailable):
            refund_payment(key=refund.key)
        assert audit_orders()["violations"] == []
        refund_later(refund, number)

    order.refresh_from_db()
    assert (order.refunded, stock_of("MUG"), owed_back()) == (order.total, (10, 0), [order.total])
    before = everything()
    with pytest.raises(RefundTooLarge):
        refund_order(code=order.code, number=3, amount=1)
    assert everything() == before
    surplus = TransferRefund.objects.unsent().get()
    record_sent_refund(pk=surplus.pk, provider_id="B-back", sent_on=timezone.now().date())
    assert [charge.refunded for charge in get_gateway("manual").list_charges()] == [order.total] * 2
    assert audit_orders()["violations"] == []


def test_a_transfer_that_is_to_be_sent_back_never_pays_an_order(
    settings: LazySettings, django_user_model: type[User]
) -> None:
    settings.TRANSFER_REFUND_DAYS = 0
    order = make_order(payment_method="pm_card_visa_chargeDeclined", hold_on_decline=600)
    assert process(order).status == "PENDING"
    assert not make_transfer(order).pays
    reconcile()
    difference = Difference.objects.get()
    before = everything()

    with pytest.raises(NotRemedied, match="is being given back"):
        adopt_difference(pk=difference.pk, actor=django_user_model.objects.create_user("ann@example.com"), note="Paid.")

    assert everything() == before
