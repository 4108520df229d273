"""A process is killed at each point of a remedy. What is left is either nothing, or is taken up again, once."""

from typing import Any

import pytest

from accounts.models import User
from audit.models import Difference
from audit.reconciliation import reconcile
from audit.remedies import DifferenceIsResolved, adopt_difference, refund_difference
from audit.services import audit_orders
from audit.surplus import refund_all_surplus
from orders.models import Order
from orders.refund_answers import record_refund
from orders.services import finalize_order
from orders.sweep import claim_stuck_orders
from payments.dispute_models import Dispute
from payments.disputes import look_up_dispute
from payments.gateway import get_gateway
from payments.refund_models import Refund
from payments.services import charge_payment
from tests.audit.dying import die_at
from tests.audit.tampering import GHOST
from tests.builders import everything, make_order
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]
ADOPT, REFUND = "audit.remedies.adopt_difference", "audit.remedies.refund_difference"
WHY = "She paid by phone."


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("staff@example.com", is_staff=True)


def end_order() -> Order:
    order = make_order()
    charge_payment(reference=order.code)
    return finalize_order(code=order.code)


def find_difference() -> Difference:
    reconcile()
    return Difference.objects.unresolved().get()


def rows() -> list[Any]:
    return [everything(), list(Difference.objects.order_by("pk").values())]


def assert_all_agrees() -> None:
    reconcile()
    assert not Difference.objects.unresolved().exists()
    assert audit_orders()["violations"] == []


@pytest.mark.parametrize(
    ("moment", "target"),
    [("after", "payments.stripe.StripeGateway.retrieve"), ("after", "audit.remedies._resolve")],
    ids=["the provider is asked, nothing is written", "the charge is adopted, not committed"],
)
def test_an_adoption_that_was_killed_before_its_commit_leaves_nothing(
    provider: Provider, staff: User, moment: str, target: str
) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()
    before = rows()

    die_at(moment, target, ADOPT, pk=difference.pk, actor=staff.pk, note=WHY)
    assert rows() == before

    adopt_difference(pk=difference.pk, actor=staff, note=WHY)
    assert finalize_order(code=order.code).status == "CONFIRMED"
    assert_all_agrees()


def test_an_adoption_that_was_killed_after_its_commit_is_gone_on_with_by_the_sweep(
    provider: Provider, staff: User
) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()

    die_at("before", "orders.checkout.process_order", ADOPT, pk=difference.pk, actor=staff.pk, note=WHY)

    order.refresh_from_db()
    assert (order.status, order.payment.status) == ("PENDING", "SUCCEEDED")
    with pytest.raises(DifferenceIsResolved):
        adopt_difference(pk=difference.pk, actor=staff, note=WHY)
    assert [claim.code for claim in claim_stuck_orders()] == [order.code]
    charge_payment(reference=order.code)
    assert finalize_order(code=order.code).status == "CONFIRMED"
    assert order.events.filter(kind="reconciled").count() == 1
    assert_all_agrees()


@pytest.mark.parametrize(
    "target",
    ["audit.tasks.refund_surplus.delay", "payments.stripe.StripeGateway.refund"],
    ids=["decided, not published", "the worker has not asked"],
)
def test_a_refund_that_was_killed_before_the_provider_was_asked_is_asked_for(
    provider: Provider, staff: User, target: str
) -> None:
    provider.charge_again(GHOST, amount=700)
    difference = find_difference()
    if target.startswith("audit"):
        die_at("before", target, REFUND, pk=difference.pk, actor=staff.pk, note=WHY)
    else:
        refund_difference(pk=difference.pk, actor=staff, note=WHY)
        die_at("before", target, "audit.surplus.refund_surplus", pk=difference.pk)
    assert len(get_gateway().list_refunds(provider_id=difference.provider_id)) == 0
    assert Difference.objects.being_refunded().exists()

    refund_all_surplus()

    assert len(get_gateway().list_refunds(provider_id=difference.provider_id)) == 1
    assert_all_agrees()


def test_a_refund_that_was_killed_before_its_answer_was_written_is_made_once(provider: Provider, staff: User) -> None:
    provider.charge_again(GHOST, amount=700)
    difference = find_difference()
    refund_difference(pk=difference.pk, actor=staff, note=WHY)

    die_at("after", "payments.stripe.StripeGateway.refund", "audit.surplus.refund_surplus", pk=difference.pk)
    assert len(get_gateway().list_refunds(provider_id=difference.provider_id)) == 1
    reconcile()
    assert Difference.objects.being_refunded().exists()  # it has gone from the list, and is not closed by that

    refund_all_surplus()

    assert len(get_gateway().list_refunds(provider_id=difference.provider_id)) == 1
    difference.refresh_from_db()
    assert difference.resolution == "refunded"
    assert_all_agrees()


@pytest.mark.parametrize("target", ["payments.stripe.StripeGateway.list_refunds", "audit.remedies._resolve"])
def test_the_adoption_of_a_refund_that_was_killed_leaves_nothing(provider: Provider, staff: User, target: str) -> None:
    order = end_order()
    provider.refund(str(order.payment.provider_id), amount=100)
    difference = find_difference()
    before = rows()

    die_at("after", target, ADOPT, pk=difference.pk, actor=staff.pk, note=WHY)
    assert rows() == before

    adopt_difference(pk=difference.pk, actor=staff, note=WHY)
    record_refund(key=Refund.objects.get().key)
    assert_all_agrees()


@pytest.mark.parametrize("target", ["payments.stripe.StripeGateway.retrieve_dispute", "orders.disputes._tell"])
def test_a_dispute_that_was_asked_for_and_not_written_is_found_again(provider: Provider, target: str) -> None:
    order = end_order()
    dispute = provider.open_dispute(str(order.payment.provider_id))
    before = rows()

    die_at("after", target, "payments.disputes.look_up_dispute", gateway="stripe", provider_id=dispute)
    assert rows() == before

    assert find_difference().provider_id == dispute
    look_up_dispute(gateway="stripe", provider_id=dispute)
    assert Dispute.objects.get().status == "OPEN"
    assert_all_agrees()
