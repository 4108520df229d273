"""Money that goes back: decided once, asked for with one key, and followed by the stock."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.conf import LazySettings
from django.core import mail as outbox
from django.db import IntegrityError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerDown

from accounts.models import User
from audit.services import audit_orders
from orders.mails import send_due_mails
from orders.models import Order
from orders.refund_answers import record_refund
from orders.refunds import (
    LineAlreadyReturned,
    NoSuchLine,
    OrderIsNotRefundable,
    RefundNumberReused,
    Returned,
    WrongRefundAmount,
    WrongRefundNumber,
    count_returnable,
    refund_order,
)
from orders.services import OrderIsFinal, finalize_order, mark_reviewed
from orders.tasks import sweep_refunds
from payments import refund_requests
from payments.gateway import GatewayUnavailable
from payments.models import Payment
from payments.refund_models import Refund
from payments.refunds import (
    NotRefundable,
    RefundTooLarge,
    adopt_refund,
    check_refund,
    claim_due_refunds,
    hasten_refunds,
    refund_payment,
)
from payments.services import charge_payment
from payments.stripe import StripeGateway
from tests.builders import answer_payment, everything, make_confirmed, make_order, request_refund, stock_of
from tests.provider import Provider

pytestmark = pytest.mark.django_db(transaction=True)
FAILS_LATER, PENDING_FIRST = "pm_card_refundFail", "pm_card_pendingRefund"


@pytest.fixture
def order(gateway: StripeGateway, empty_ledger: None) -> Order:
    return make_confirmed()


def end_refund(refund: Refund) -> Refund:
    refund_payment(key=refund.key)
    record_refund(key=refund.key)
    refund.refresh_from_db()
    return refund


def refuses(refusal: type[NotRefundable], refund: Callable[[], object]) -> None:
    """Nothing is refunded, and nothing has changed."""
    before = everything()
    with pytest.raises(refusal):
        refund()
    assert everything() == before


def kinds(order: Order) -> list[str]:
    return [event.kind for event in order.events.all()]


def refunded_there(order: Order, gateway: StripeGateway) -> int:
    charge = gateway.retrieve(str(order.payment.provider_id))
    assert charge
    return charge.refunded


def test_a_refund_is_written_down_before_anything_is_asked(order: Order, gateway: StripeGateway) -> None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)

    refund = request_refund(order, units=2, actor=staff, note="Broken handles")

    assert (refund.status, refund.amount, refund.key) == ("REQUESTED", 1000, f"refund-{order.code}-1")
    assert refunded_there(order, gateway) == 0
    assert stock_of("MUG") == (7, 0)
    event = order.events.get(kind="refund_requested")
    assert (event.actor, event.data) == (staff, {"number": 1, "amount": 1000, "note": "Broken handles"})
    assert audit_orders()["ok"]


def test_the_money_goes_back_and_then_the_stock(order: Order, gateway: StripeGateway) -> None:
    refund = request_refund(order, units=2)

    refund_payment(key=refund.key)
    assert refunded_there(order, gateway) == 1000
    assert stock_of("MUG") == (7, 0)
    assert audit_orders()["ok"]

    record_refund(key=refund.key)
    order.refresh_from_db()
    refund.refresh_from_db()
    assert (order.status, order.refunded) == ("CONFIRMED", 1000)
    assert (refund.status, refund.sweep_after) == ("SUCCEEDED", None)
    assert refund.recorded_at
    assert stock_of("MUG") == (9, 0)
    assert kinds(order) == ["placed", "confirmed", "refund_requested", "refunded"]
    assert audit_orders()["ok"]


def test_units_that_are_not_restocked_stay_away(order: Order) -> None:
    end_refund(request_refund(order, units=2, restock=False))
    assert stock_of("MUG") == (7, 0)
    assert count_returnable(order) == {order.lines.get().pk: 1}
    assert audit_orders()["ok"]


def test_an_amount_only_gives_no_units_back(order: Order) -> None:
    end_refund(request_refund(order, amount=499))
    order.refresh_from_db()
    assert (order.refunded, stock_of("MUG")) == (499, (7, 0))
    assert count_returnable(order) == {order.lines.get().pk: 3}
    assert audit_orders()["ok"]


def test_one_line_comes_back_in_parts(order: Order) -> None:
    for number in (1, 2, 3):
        end_refund(request_refund(order, number, units=1))
    order.refresh_from_db()
    assert (order.refunded, stock_of("MUG")) == (order.total, (10, 0))
    assert audit_orders()["ok"]


def test_every_step_again_changes_nothing(order: Order) -> None:
    refund = request_refund(order, units=2)
    assert refund_order(code=order.code, number=1, lines=[Returned(order.lines.get().pk, 2)]) == (refund, False)
    end_refund(refund)
    before = everything()

    assert refund_order(code=order.code, number=1, lines=[Returned(order.lines.get().pk, 2)]) == (refund, False)
    end_refund(refund)
    check_refund(key=refund.key)
    Refund.objects.update(checked_at=None)
    after = everything()
    Refund.objects.update(checked_at=None)

    assert [{**row, "checked_at": None} for row in before.pop("Refund")] == after.pop("Refund")
    assert after == before


def test_a_number_is_for_one_refund(order: Order) -> None:
    request_refund(order, units=2)
    refuses(RefundNumberReused, lambda: request_refund(order, units=1))
    refuses(RefundNumberReused, lambda: request_refund(order, amount=1000))
    refuses(RefundNumberReused, lambda: request_refund(order, units=2, restock=False))
    refuses(WrongRefundNumber, lambda: request_refund(order, 3, units=1))
    refuses(WrongRefundNumber, lambda: request_refund(order, 0, units=1))


def test_never_more_than_was_charged(order: Order) -> None:
    refuses(RefundTooLarge, lambda: request_refund(order, amount=order.total + 1))
    request_refund(order, amount=1000)
    refuses(RefundTooLarge, lambda: request_refund(order, 2, amount=501))  # while the first has no answer
    end_refund(request_refund(order, 2, amount=500))
    refuses(RefundTooLarge, lambda: request_refund(order, 3, amount=1))


def test_postgresql_refuses_more_than_was_charged_whoever_writes_it(order: Order) -> None:
    refund = request_refund(order, amount=1000)
    too_much = Refund(
        payment=order.payment, number=2, key="k", gateway="stripe", amount=501, sweep_after=timezone.now()
    )
    before = everything()
    with pytest.raises(IntegrityError, match="refund_is_at_most_what_was_charged"), transaction.atomic():
        too_much.save()
    assert everything() == before
    with pytest.raises(IntegrityError, match="refund_is_kept"):
        Refund.objects.filter(pk=refund.pk).delete()


def test_a_line_is_not_given_back_twice(order: Order) -> None:
    line = order.lines.get().pk
    request_refund(order, units=2)
    refuses(LineAlreadyReturned, lambda: request_refund(order, 2, units=2))
    refuses(NoSuchLine, lambda: request_refund(order, 2, units=-1, amount=1))
    for lines in ([Returned(line, 1), Returned(line, 1, restock=False)], [Returned(line + 1, 1)]):
        refuses(NoSuchLine, partial(refund_order, code=order.code, number=2, lines=lines, amount=1))


@pytest.mark.parametrize("amount", [None, 0, -1])
def test_nothing_can_not_be_refunded(order: Order, amount: int | None) -> None:
    refuses(WrongRefundAmount, lambda: request_refund(order, amount=amount))


@pytest.mark.parametrize("answer", [None, Payment.Status.DECLINED])
def test_only_a_confirmed_order_is_refunded(answer: Payment.Status | None) -> None:
    order = make_order()
    if answer:
        answer_payment(order, answer)
        finalize_order(code=order.code)
    refuses(OrderIsNotRefundable, lambda: request_refund(order, amount=1))


def test_a_lost_answer_leaves_the_refund_requested_and_a_repeat_finds_the_money(
    order: Order, gateway: StripeGateway, provider: Provider
) -> None:
    refund = request_refund(order, units=2)
    provider.control(fault="drop", times=1)
    with pytest.raises(GatewayUnavailable):
        refund_payment(key=refund.key)
    record_refund(key=refund.key)
    refund.refresh_from_db()
    assert (refund.status, refund.in_flight_until, stock_of("MUG")) == ("REQUESTED", None, (7, 0))
    assert "no answer" in refund.last_error
    assert audit_orders()["ok"]

    end_refund(refund)

    assert (refund.status, refund.requests) == ("SUCCEEDED", 2)
    assert (refunded_there(order, gateway), stock_of("MUG")) == (1000, (9, 0))
    assert audit_orders()["ok"]


def test_a_refund_that_somebody_asks_for_is_asked_for_by_nobody_else(order: Order, gateway: StripeGateway) -> None:
    refund = request_refund(order, units=2)
    Refund.objects.update(in_flight_until=timezone.now() + timedelta(hours=1))

    refund_payment(key=refund.key)

    assert refunded_there(order, gateway) == 0


def test_a_pending_refund_is_asked_after_until_the_bank_has_answered(
    gateway: StripeGateway, empty_ledger: None
) -> None:
    order = make_confirmed(method=PENDING_FIRST)
    refund = request_refund(order, units=2)
    with pytest.raises(GatewayUnavailable):
        refund_payment(key=refund.key)
    assert audit_orders()["ok"]
    until_known(lambda: refund_payment(key=refund.key))
    record_refund(key=refund.key)
    assert stock_of("MUG") == (9, 0)
    assert audit_orders()["ok"]


def until_known(ask: Callable[[], None]) -> None:
    deadline = timezone.now() + timedelta(seconds=10)
    while True:
        try:
            return ask()
        except GatewayUnavailable:
            assert timezone.now() < deadline


def test_a_refused_refund_fails_for_good_and_staff_are_told(order: Order, provider: Provider) -> None:
    refund = request_refund(order, units=2)
    provider.refund(str(order.payment.provider_id), amount=1200)  # at the provider's desk

    end_refund(refund)

    order.refresh_from_db()
    assert (refund.status, refund.failure_code) == ("FAILED", "amount_too_large")
    assert (order.refunded, order.needs_review, stock_of("MUG")) == (0, True, (7, 0))
    assert "amount_too_large" in order.review_reason
    assert kinds(order)[2:] == ["refund_requested", "refund_failed"]
    assert list(Order.objects.in_review()) == [order]


def adopt_all(order: Order, gateway: StripeGateway) -> list[Refund | None]:
    made = gateway.list_refunds(provider_id=str(order.payment.provider_id))
    return [adopt_refund(payment_id=order.payment_id, made=one) for one in made]


def test_a_refund_that_began_at_the_provider_is_adopted_once(
    order: Order, gateway: StripeGateway, provider: Provider
) -> None:
    end_refund(request_refund(order, units=1))
    made = provider.refund(str(order.payment.provider_id), amount=300)
    assert not audit_orders()["ok"]

    for _ in range(2):
        adopted, ours = adopt_all(order, gateway)

    assert adopted
    assert (adopted.number, adopted.status, adopted.adopted, adopted.provider_id) == (2, "SUCCEEDED", True, made)
    assert ours == Refund.objects.get(number=1)
    record_refund(key=adopted.key)
    order.refresh_from_db()
    assert (order.refunded, stock_of("MUG")) == (800, (8, 0))
    assert kinds(order)[-1] == "refunded"
    assert audit_orders()["ok"]


def test_a_refund_that_is_adopted_before_its_order_has_ended_is_recorded_after_the_end(
    gateway: StripeGateway, provider: Provider, empty_ledger: None
) -> None:
    order = make_order({"MUG": 2})
    charge_payment(reference=order.code)
    order.refresh_from_db()
    provider.refund(str(order.payment.provider_id), amount=300)
    (refund,) = adopt_all(order, gateway)
    assert refund

    record_refund(key=refund.key)
    assert kinds(order) == ["placed"]

    finalize_order(code=order.code)
    record_refund(key=refund.key)
    assert kinds(order) == ["placed", "confirmed", "refunded"]
    assert audit_orders()["ok"]


def test_the_number_of_an_adopted_refund_is_no_repeat_of_one_that_was_asked_for_here(
    order: Order, gateway: StripeGateway, provider: Provider
) -> None:
    provider.refund(str(order.payment.provider_id), amount=300)
    adopt_all(order, gateway)

    refuses(RefundNumberReused, lambda: request_refund(order, amount=300))

    assert request_refund(order, 2, amount=300).status == "REQUESTED"


def test_a_refund_there_waits_to_be_adopted_until_our_own_is_answered(
    order: Order, gateway: StripeGateway, provider: Provider
) -> None:
    refund = request_refund(order, units=3)
    provider.refund(str(order.payment.provider_id), amount=1500)
    refuses(RefundTooLarge, lambda: adopt_all(order, gateway))

    assert end_refund(refund).status == "FAILED"

    (adopted,) = adopt_all(order, gateway)
    assert adopted
    record_refund(key=adopted.key)
    assert audit_orders()["ok"]


def test_a_refund_that_was_refused_and_is_given_all_the_same_is_adopted(
    order: Order, gateway: StripeGateway, provider: Provider
) -> None:
    refund = request_refund(order, units=1)
    refund_requests.record_answer(refund, status=Refund.Status.FAILED, failure_code="refused")
    record_refund(key=refund.key)
    charge = str(order.payment.provider_id)
    gateway.refund(key=refund.key, reference=order.code, provider_id=charge, amount=500)  # it was late by hours

    for _ in range(2):
        (adopted,) = adopt_all(order, gateway)

    assert adopted
    assert (adopted.number, adopted.adopted, adopted.amount) == (2, True, refund.amount)
    record_refund(key=adopted.key)
    assert audit_orders()["ok"]


def test_after_a_definite_no_a_new_refund_gives_the_same_units_back(
    order: Order, gateway: StripeGateway, provider: Provider
) -> None:
    provider.refund(str(order.payment.provider_id), amount=1200)
    end_refund(request_refund(order, units=3))
    adopt_all(order, gateway)

    again = end_refund(request_refund(order, 3, units=3, amount=300))

    assert (again.status, again.key) == ("SUCCEEDED", f"refund-{order.code}-3")
    assert (refunded_there(order, gateway), stock_of("MUG")) == (1500, (10, 0))


def test_a_refund_that_fails_later_is_taken_back_and_staff_are_told(gateway: StripeGateway, empty_ledger: None) -> None:
    order = make_confirmed(method=FAILS_LATER)
    refund = end_refund(request_refund(order, units=2))
    assert (refund.status, stock_of("MUG")) == ("SUCCEEDED", (9, 0))

    deadline = timezone.now() + timedelta(seconds=10)
    while refund.status == "SUCCEEDED":
        assert timezone.now() < deadline
        check_refund(key=refund.key)
        refund.refresh_from_db()
    record_refund(key=refund.key)

    order.refresh_from_db()
    assert (refund.status, refund.failure_code) == ("FAILED", "lost_or_stolen_card")
    assert (order.refunded, order.needs_review, stock_of("MUG")) == (0, True, (9, 0))
    assert kinds(order)[2:] == ["refund_requested", "refunded", "refund_failed"]
    assert audit_orders()["ok"]
    refuses(LineAlreadyReturned, lambda: request_refund(order, 2, units=2))  # two of three are back in stock
    assert request_refund(order, 2, units=1, amount=1500)


def test_a_refund_that_still_holds_stays_as_it_is(order: Order) -> None:
    refund = end_refund(request_refund(order, units=2))
    hasten_refunds(Refund.objects.all())

    check_refund(key=refund.key)

    refund.refresh_from_db()
    assert (refund.status, refund.sweep_after) == ("SUCCEEDED", None)


def test_a_refund_that_has_failed_is_taken_up_no_more(order: Order, provider: Provider) -> None:
    provider.refund(str(order.payment.provider_id), amount=1500)
    end_refund(request_refund(order, units=2))

    hasten_refunds(Refund.objects.all())

    assert claim_due_refunds() == []


def test_a_person_ends_the_review_of_a_failed_refund(order: Order, provider: Provider) -> None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    with pytest.raises(OrderIsFinal):
        mark_reviewed(code=order.code, actor=staff, note="")
    provider.refund(str(order.payment.provider_id), amount=1500)
    end_refund(request_refund(order, units=2))

    mark_reviewed(code=order.code, actor=staff, note="They have the money.")

    order.refresh_from_db()
    assert (order.needs_review, order.review_reason, order.status) == (False, "", "CONFIRMED")
    assert kinds(order)[-1] == "reviewed"
    assert [found["invariant"] for found in audit_orders()["violations"]] == ["A3"]  # nobody has adopted it yet


def test_the_customer_is_mailed_once_for_each_refund(order: Order, settings: LazySettings) -> None:
    end_refund(request_refund(order, units=1))
    end_refund(request_refund(order, 2, amount=25))

    send_due_mails()
    send_due_mails()

    confirmed, *refunds = outbox.outbox
    assert [message.subject for message in refunds] == [f"A refund for your order {order.code}"] * 2
    assert "£5.00" in str(refunds[0].body)
    assert "£0.25" in str(refunds[1].body)
    assert len({message.extra_headers["Message-ID"] for message in (confirmed, *refunds)}) == 3


def make_due() -> None:
    Refund.objects.filter(sweep_after__isnull=False).update(sweep_after=timezone.now())


def test_the_sweep_takes_up_what_is_not_over_and_nothing_else(order: Order) -> None:
    refund = request_refund(order, units=2)
    assert claim_due_refunds() == []

    make_due()
    assert claim_due_refunds() == [refund]
    assert claim_due_refunds() == []  # its next sweep is ahead

    refund_payment(key=refund.key)
    make_due()
    assert claim_due_refunds() == [refund]  # it is not recorded

    record_refund(key=refund.key)
    make_due()
    assert claim_due_refunds() == []


def test_staff_are_told_of_a_refund_that_has_no_answer_for_long(
    order: Order, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ORDER_MAX_SWEEPS = 2
    published: list[Refund] = []
    monkeypatch.setattr("orders.tasks.process_refund", published.append)
    refund = request_refund(order, units=2)
    for _ in range(2):
        make_due()
        sweep_refunds.run()

    order.refresh_from_db()
    assert published == [refund, refund]
    assert order.needs_review
    assert kinds(order)[-1] == "review_needed"
    assert audit_orders()["ok"]


def test_staff_who_have_looked_at_it_are_asked_again_once_something_else_is_wrong(
    order: Order, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ORDER_MAX_SWEEPS = 1
    monkeypatch.setattr("orders.tasks.process_refund", lambda refund: None)
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    request_refund(order, units=2)

    def sweep() -> bool:
        make_due()
        sweep_refunds.run()
        order.refresh_from_db()
        return order.needs_review

    assert sweep()
    mark_reviewed(code=order.code, actor=staff, note="The bank is asked.")
    assert [sweep(), sweep()] == [False, False]
    assert kinds(order)[-1] == "reviewed"

    Refund.objects.update(last_error="the account is closed")
    assert sweep()
    assert order.review_reason.endswith("the account is closed")


def test_the_broker_down_leaves_the_refund_to_the_sweep(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Refund) -> None:
        raise BrokerDown("no")

    monkeypatch.setattr("orders.refunds.process_refund", fail)
    assert request_refund(order, units=2).status == "REQUESTED"


def test_no_answer_replaces_another(order: Order) -> None:
    refund = request_refund(order, units=2)
    refund_payment(key=refund.key)
    before = everything()
    refund_requests.record_answer(refund, status=Refund.Status.FAILED, failure_code="late")
    assert everything() == before
