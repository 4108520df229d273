"""What differs is put right: once, by whom and why, and the audit is clean afterwards."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import User
from audit import remedies
from audit.ledger import BEGINNING
from audit.models import Difference
from audit.reconciliation import reconcile
from audit.remedies import (
    DifferenceIsResolved,
    NotRemedied,
    adopt_difference,
    propose_remedy,
    refund_difference,
    review_difference,
)
from audit.services import audit_orders
from audit.surplus import refund_all_surplus, refund_surplus
from audit.tasks import refund_surplus as refund_task
from orders.models import Order
from orders.paying import pay_again
from orders.refund_answers import record_refund
from orders.services import finalize_order
from payments.gateway import GatewayUnavailable, get_gateway
from payments.models import Payment
from payments.refund_models import Refund
from payments.services import charge_payment
from tests.audit.tampering import GHOST
from tests.builders import answer_payment, everything, make_order, make_transfer, stock_of, tamper
from tests.concurrency.race import race
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger", "published")]
DECLINED = "pm_card_visa_chargeDeclined"
WHY = "She paid by phone."


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The differences whose refund was published. Nobody takes the messages."""
    calls: list[int] = []
    monkeypatch.setattr(refund_task, "delay", calls.append)
    return calls


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("staff@example.com", is_staff=True)


def end_order(payment_method: str = "pm_card_visa", **fields: Any) -> Order:
    order = make_order(payment_method=payment_method, **fields)
    charge_payment(reference=order.code)
    return finalize_order(code=order.code)


def find_difference() -> Difference:
    reconcile()
    return Difference.objects.unresolved().get()


def rows() -> list[Any]:
    refunds = list(Refund.objects.order_by("pk").values())
    return [everything(), refunds, list(Difference.objects.order_by("pk").values())]


def kept() -> list[int]:
    """What the provider keeps of each charge."""
    return sorted(charge.amount - charge.refunded for charge in get_gateway().list_charges())


def assert_is_put_right(difference: Difference, how: str, staff: User) -> None:
    difference.refresh_from_db()
    assert (difference.resolution, difference.actor, difference.note) == (how, staff, WHY)
    assert difference.resolved_at
    reconcile()
    assert not Difference.objects.unresolved().exists()
    assert audit_orders()["violations"] == []


def assert_is_gone(difference: Difference) -> None:
    reconcile()
    difference.refresh_from_db()
    assert difference.resolution == "gone"
    assert audit_orders()["violations"] == []


def told(order: Order) -> list[tuple[str, str, Any]]:
    events = order.events.filter(kind="reconciled")
    return [(event.data["remedy"], event.data["note"], event.actor) for event in events]


def test_a_charge_made_by_hand_pays_the_order_that_was_never_sent(provider: Provider, staff: User) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()

    adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert finalize_order(code=order.code).status == "CONFIRMED"
    payment = Payment.objects.get()
    assert (payment.status, payment.provider_id, payment.requests) == ("SUCCEEDED", difference.provider_id, 0)
    assert stock_of("MUG") == (9, 0)
    assert told(order) == [("adopted", WHY, staff)]
    assert_is_put_right(difference, "adopted", staff)


def test_a_charge_made_by_hand_is_the_next_payment_after_a_decline(provider: Provider, staff: User) -> None:
    order = end_order(DECLINED, hold_on_decline=600)
    assert order.status == "PENDING"
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()

    adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert finalize_order(code=order.code).status == "CONFIRMED"
    order.refresh_from_db()
    assert (order.payment.number, order.payment.provider_id) == (2, difference.provider_id)
    assert_is_put_right(difference, "adopted", staff)


@pytest.mark.parametrize("amount", [499, 501])
def test_a_wrong_amount_is_never_adopted(provider: Provider, staff: User, amount: int) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=amount)
    difference = find_difference()
    before = rows()

    with pytest.raises(NotRemedied, match="in minor units"):
        adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert rows() == before


def test_a_charge_in_another_currency_is_never_adopted(provider: Provider, staff: User) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=order.total)
    provider.execute("UPDATE payment_intent SET currency = 'eur'")
    difference = find_difference()
    before = rows()

    with pytest.raises(NotRemedied, match="in minor units"):
        adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert rows() == before


def test_what_was_given_back_meanwhile_is_never_adopted(provider: Provider, staff: User) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()
    provider.request("POST", "/v1/refunds", {"payment_intent": difference.provider_id, "amount": 100})
    before = rows()

    with pytest.raises(NotRemedied, match="the provider keeps 400 GBP"):
        adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert rows() == before


@pytest.mark.parametrize("method", ["pm_card_visa", DECLINED])
def test_an_order_that_has_ended_takes_no_charge(provider: Provider, staff: User, method: str) -> None:
    order = end_order(method)
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()
    before = rows()

    with pytest.raises(NotRemedied, match=f"The order is {order.status}"):
        adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert rows() == before


def test_an_order_whose_payment_is_asked_for_takes_no_other_charge(provider: Provider, staff: User) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()
    answer_payment(order, Payment.Status.SENT)
    before = rows()

    for remedy in (adopt_difference, refund_difference):
        with pytest.raises(NotRemedied):
            remedy(pk=difference.pk, actor=staff, note=WHY)

    assert rows() == before


@pytest.mark.parametrize("reference", [GHOST, "CONFIRMED", "CANCELLED"])
def test_money_of_no_order_is_given_back(provider: Provider, staff: User, published: list[int], reference: str) -> None:
    order = end_order(DECLINED if reference == "CANCELLED" else "pm_card_visa")
    provider.charge_again(GHOST if reference == GHOST else order.code, amount=700)
    difference = find_difference()

    refund_difference(pk=difference.pk, actor=staff, note=WHY)
    assert published == [difference.pk]
    assert 700 in kept()
    refund_task(difference.pk)

    assert 700 not in kept()
    assert told(order) == ([] if reference == GHOST else [("refunded", WHY, staff)])
    assert_is_put_right(difference, "refunded", staff)


def confirm_late(provider: Provider) -> None:
    """What Stripe's script, or a person at its dashboard, can do with a declined intent that nobody cancelled."""
    provider.execute("UPDATE payment_intent SET status = 'succeeded', decline = NULL")


def test_money_that_a_declined_card_took_is_not_given_back_while_it_may_pay_the_order(
    provider: Provider, staff: User
) -> None:
    order = end_order(DECLINED, hold_on_decline=600)
    confirm_late(provider)
    difference = find_difference()
    before = rows()

    with pytest.raises(NotRemedied, match="may do so yet"):
        refund_difference(pk=difference.pk, actor=staff, note=WHY)
    assert rows() == before

    pay_again(code=order.code, number=2, payment_method="pm_card_visa")
    before = rows()
    with pytest.raises(NotRemedied, match="may do so yet"):
        refund_difference(pk=difference.pk, actor=staff, note=WHY)
    assert rows() == before
    charge_payment(reference=order.code)
    assert finalize_order(code=order.code).status == "CONFIRMED"
    assert kept() == [order.total]
    assert_is_gone(difference)


def test_a_reviewed_charge_is_there_again_once_it_pays_its_order(provider: Provider, staff: User) -> None:
    order = end_order(DECLINED, hold_on_decline=600)
    confirm_late(provider)
    review_difference(pk=find_difference().pk, actor=staff, note="She pays again.")
    pay_again(code=order.code, number=2, payment_method="pm_card_visa")
    charge_payment(reference=order.code)

    assert finalize_order(code=order.code).status == "CONFIRMED"

    assert audit_orders()["violations"] == []


def test_a_short_list_does_not_miss_the_money_that_an_earlier_payment_took(provider: Provider) -> None:
    order = end_order(DECLINED, hold_on_decline=600)
    confirm_late(provider)
    provider.execute("UPDATE payment_intent SET created = created - interval '2 days'")
    tamper("UPDATE payments_payment SET created_at = created_at - interval '2 days'")
    tamper("UPDATE orders_order SET created_at = created_at - interval '2 days'")
    pay_again(code=order.code, number=2, payment_method="pm_card_visa")
    charge_payment(reference=order.code)
    assert finalize_order(code=order.code).status == "CONFIRMED"

    for since in (timezone.now() - timedelta(days=1), BEGINNING):
        reconcile(since=since)
        assert not Difference.objects.exists()


@pytest.mark.usefixtures("transfers")
def test_money_that_a_declined_card_took_is_given_back_where_a_transfer_pays_the_order(
    provider: Provider, staff: User
) -> None:
    order = end_order(DECLINED, hold_on_decline=600)
    pay_again(code=order.code, number=2, payment_method="manual", gateway="manual")
    confirm_late(provider)
    make_transfer(order)
    charge_payment(reference=order.code)
    assert "took the money" in Payment.objects.get(number=2).last_error
    difference = find_difference()

    refund_difference(pk=difference.pk, actor=staff, note=WHY)
    refund_task(difference.pk)

    charge_payment(reference=order.code)
    assert finalize_order(code=order.code).status == "CONFIRMED"
    assert kept() == [0]
    assert_is_put_right(difference, "refunded", staff)


@pytest.mark.usefixtures("transfers")
def test_a_charge_at_another_gateway_does_not_pay_an_order_that_waits_for_its_transfer(
    provider: Provider, staff: User
) -> None:
    order = make_order(gateway="manual")
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()
    before = everything()

    with pytest.raises(NotRemedied, match="waits for manual"):
        adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert everything() == before


def test_a_refund_whose_message_was_lost_is_asked_for_by_the_audit(provider: Provider, staff: User) -> None:
    provider.charge_again(GHOST, amount=700)
    difference = find_difference()
    refund_difference(pk=difference.pk, actor=staff, note=WHY)
    reconcile()
    assert Difference.objects.being_refunded().exists()

    refund_all_surplus()

    assert kept() == [0]
    assert_is_put_right(difference, "refunded", staff)


def test_a_refund_is_left_to_the_audit_while_the_queue_is_down(
    provider: Provider, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.charge_again(GHOST, amount=700)
    difference = find_difference()

    def fail(_: int) -> None:
        raise OperationalError("Connection refused")

    monkeypatch.setattr(refund_task, "delay", fail)

    refund_difference(pk=difference.pk, actor=staff, note=WHY)

    assert Difference.objects.being_refunded().exists()


@pytest.mark.parametrize("fault", ["drop", "500_after"])
def test_a_refund_whose_answer_is_lost_is_made_once(provider: Provider, staff: User, fault: str) -> None:
    provider.charge_again(GHOST, amount=700)
    difference = find_difference()
    refund_difference(pk=difference.pk, actor=staff, note=WHY)
    provider.control(fault=fault, times=1)
    with pytest.raises(GatewayUnavailable):
        refund_surplus(pk=difference.pk)
    difference.refresh_from_db()
    assert difference.last_error

    refund_surplus(pk=difference.pk)
    refund_surplus(pk=difference.pk)

    assert len(get_gateway().list_refunds(provider_id=difference.provider_id)) == 1
    assert_is_put_right(difference, "refunded", staff)


def test_a_refund_that_the_provider_failed_to_make_is_open_again(provider: Provider, staff: User) -> None:
    provider.charge_again(GHOST, amount=700)
    difference = find_difference()
    refund_difference(pk=difference.pk, actor=staff, note=WHY)
    provider.control(fault="500_before", times=1)
    with pytest.raises(GatewayUnavailable):
        refund_surplus(pk=difference.pk)

    refund_surplus(pk=difference.pk)  # the provider repeats what it saved under the key

    difference.refresh_from_db()
    assert (difference.refund_requested_at, difference.resolved_at) == (None, None)
    assert "500" in difference.last_error
    assert get_gateway().list_refunds(provider_id=difference.provider_id) == []


def test_a_refund_that_was_made_and_not_written_down_is_no_difference_that_has_gone(
    provider: Provider, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.charge_again(GHOST, amount=700)
    difference = find_difference()
    refund_difference(pk=difference.pk, actor=staff, note=WHY)

    class Killed(BaseException):
        """The process ends between the provider's answer and the row."""

    def die(**_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("audit.models.DifferenceQuerySet.update", lambda self, **_: die())
        with pytest.raises(Killed):
            refund_surplus(pk=difference.pk)
    assert kept() == [0]
    reconcile()
    difference.refresh_from_db()
    assert difference.resolution == ""

    refund_all_surplus()

    assert len(get_gateway().list_refunds(provider_id=difference.provider_id)) == 1
    assert_is_put_right(difference, "refunded", staff)


def test_a_refund_that_the_provider_refuses_opens_the_difference_again(provider: Provider, staff: User) -> None:
    provider.charge_again(GHOST, amount=700)
    difference = find_difference()
    refund_difference(pk=difference.pk, actor=staff, note=WHY)
    provider.request("POST", "/v1/refunds", {"payment_intent": difference.provider_id, "amount": 100})

    refund_surplus(pk=difference.pk)

    difference.refresh_from_db()
    assert (difference.resolution, difference.refund_requested_at) == ("", None)
    assert difference.last_error
    assert find_difference().amount_there == 600


@pytest.mark.parametrize("kind", ["missing_there", "amount_differs", "refund_differs", "dispute_differs"])
def test_only_a_charge_without_a_payment_is_refunded_here(staff: User, kind: str) -> None:
    order = end_order()
    known = {"gateway": "stripe", "provider_id": str(order.payment.provider_id), "occurred_at": order.created_at}
    difference = Difference.objects.create(kind=kind, reference=order.code, **known)
    before = rows()

    with pytest.raises(NotRemedied, match="Only money that belongs to no order"):
        refund_difference(pk=difference.pk, actor=staff, note=WHY)

    assert rows() == before


def test_a_refund_made_by_hand_becomes_a_row_of_ours(provider: Provider, staff: User) -> None:
    order = end_order()
    for amount in (100, 50):
        provider.request("POST", "/v1/refunds", {"payment_intent": order.payment.provider_id, "amount": amount})
    difference = find_difference()
    assert (difference.kind, difference.amount_there, difference.amount_here) == ("refund_differs", 150, 0)

    adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert [(refund.amount, refund.adopted) for refund in Refund.objects.order_by("pk")] == [(100, True), (50, True)]
    for refund in Refund.objects.all():
        record_refund(key=refund.key)
    order.refresh_from_db()
    assert order.refunded == 150
    assert told(order) == [("adopted", WHY, staff)]
    assert_is_put_right(difference, "adopted", staff)


def test_a_refund_of_ours_that_the_provider_lacks_is_found_and_not_adopted(staff: User) -> None:
    order = end_order()
    tamper(
        "INSERT INTO payments_refund (payment_id, number, key, gateway, amount, status, provider_id, adopted,"
        " answered_at, recorded_at) SELECT id, 1, 'refund-x', gateway, 100, 'SUCCEEDED', 're_none', FALSE,"
        " now(), now() FROM payments_payment WHERE id = %s",
        order.payment_id,
    )
    difference = find_difference()
    assert (difference.kind, difference.amount_there, difference.amount_here) == ("refund_differs", 0, 100)
    before = rows()

    with pytest.raises(NotRemedied, match="no refund that we lack"):
        adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert rows() == before


def test_a_dispute_whose_webhook_was_lost_is_adopted(provider: Provider, staff: User) -> None:
    order = end_order()
    provider.open_dispute(str(order.payment.provider_id))
    difference = find_difference()

    adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert order.events.filter(kind="dispute_opened").count() == 1
    assert told(order) == [("adopted", WHY, staff)]
    assert_is_put_right(difference, "adopted", staff)


def test_a_dispute_about_a_charge_of_nobody_is_not_adopted(provider: Provider, staff: User) -> None:
    provider.charge_again(GHOST, amount=700)
    charge = find_difference()
    provider.open_dispute(charge.provider_id)
    reconcile()
    difference = Difference.objects.get(kind="dispute_differs")
    before = rows()

    with pytest.raises(NotRemedied):
        adopt_difference(pk=difference.pk, actor=staff, note=WHY)

    assert rows() == before


def lose_the_charge(provider: Provider) -> Order:
    order = end_order()
    provider.forget_everything()
    return order


def charge_twice(provider: Provider) -> Order:
    order = end_order()
    provider.charge_again(order.code, amount=700)
    return order


def charge_a_cancelled_order(provider: Provider) -> Order:
    order = end_order(DECLINED)
    provider.charge_again(order.code, amount=700)
    return order


def charge_nobody(provider: Provider) -> Order:
    order = end_order()
    provider.charge_again(GHOST, amount=700)
    return order


def charge_less(provider: Provider) -> Order:
    order = end_order()
    provider.execute("UPDATE payment_intent SET amount = 450")
    return order


def refund_by_hand(provider: Provider) -> Order:
    order = end_order()
    provider.request("POST", "/v1/refunds", {"payment_intent": order.payment.provider_id, "amount": 100})
    return order


def dispute_nobodys_charge(provider: Provider) -> Order:
    order = charge_nobody(provider)
    provider.execute(
        "INSERT INTO dispute (id, payment_intent, amount, reason, due_by, created)"
        " SELECT 'dp_1', id, 700, 'general', now(), now() - interval '1 hour' FROM payment_intent"
        " WHERE metadata ->> 'reference' LIKE '%GH0ST%'"
    )
    return order


@pytest.mark.parametrize(
    "story",
    [
        lose_the_charge,
        charge_twice,
        charge_a_cancelled_order,
        charge_nobody,
        charge_less,
        refund_by_hand,
        dispute_nobodys_charge,
    ],
)
def test_the_audit_accepts_what_a_person_has_reviewed(
    provider: Provider, staff: User, story: Callable[[Provider], Order]
) -> None:
    order = story(provider)
    reconcile()
    assert not audit_orders()["ok"]

    differences = list(Difference.objects.unresolved())
    for difference in differences:
        review_difference(pk=difference.pk, actor=staff, note=WHY)

    assert ("reviewed", WHY, staff) in told(order) or GHOST in {found.reference for found in differences}
    for difference in differences:
        assert_is_put_right(difference, "reviewed", staff)
    before = rows()
    reconcile()
    assert [row | {"last_seen_at": None} for row in rows()[2]] == [row | {"last_seen_at": None} for row in before[2]]


def test_what_was_reviewed_is_reported_again_once_more_differs(provider: Provider, staff: User) -> None:
    provider.charge_again(GHOST, amount=700)
    difference = find_difference()
    review_difference(pk=difference.pk, actor=staff, note=WHY)
    assert audit_orders()["ok"]

    provider.request("POST", "/v1/refunds", {"payment_intent": difference.provider_id, "amount": 100})

    assert not audit_orders()["ok"]
    assert find_difference().amount_there == 600


def test_a_dispute_that_was_reviewed_is_reported_again_once_its_status_changes(provider: Provider, staff: User) -> None:
    dispute_nobodys_charge(provider)
    provider.end_dispute("dp_1", "win")
    reconcile()
    for difference in Difference.objects.unresolved():
        review_difference(pk=difference.pk, actor=staff, note=WHY)
    assert audit_orders()["ok"]

    provider.end_dispute("dp_1", "lose")

    assert [found["invariant"] for found in audit_orders()["violations"]] == ["A10"]
    again = find_difference()
    assert (again.kind, again.amount_there, again.there) == ("dispute_differs", 700, "£7.00, Lost")


@pytest.mark.parametrize("remedy", [review_difference, adopt_difference, refund_difference])
def test_a_repeat_of_a_remedy_changes_nothing(provider: Provider, staff: User, remedy: Callable[..., None]) -> None:
    order = make_order()
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()
    remedy(pk=difference.pk, actor=staff, note=WHY)
    before = rows()

    for again in (review_difference, adopt_difference, refund_difference):
        with pytest.raises(DifferenceIsResolved):
            again(pk=difference.pk, actor=staff, note="Again.")

    assert rows() == before


def act_at_once(acts: Sequence[Callable[..., None]], difference: Difference, staff: User) -> list[str]:
    """Several staff click at the same moment. Return what each was told; empty: it is done."""
    calls = [partial(act, pk=difference.pk, actor=staff, note=WHY) for act in acts]
    return [type(error).__name__ if error else "" for error in race(calls)]


@pytest.mark.parametrize(
    "acts", [[review_difference] * 2, [adopt_difference, refund_difference, review_difference] * 2]
)
def test_staff_who_act_at_the_same_time_do_it_once(
    provider: Provider, staff: User, acts: list[Callable[..., None]]
) -> None:
    for _ in range(3):
        order = make_order()
        provider.charge_again(order.code, amount=order.total)
        reconcile()
        difference = Difference.objects.get(reference=order.code)

        told_each = act_at_once(acts, difference, staff)

        assert sorted(told_each) == ["", *["DifferenceIsResolved"] * (len(acts) - 1)]
        assert len(told(order)) == 1


def test_without_the_lock_they_do_it_twice(provider: Provider, staff: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    order = make_order()
    provider.charge_again(order.code, amount=order.total)
    difference = find_difference()
    monkeypatch.setattr(remedies, "_lock_open", lambda pk: Difference.objects.get(pk=pk))

    assert act_at_once([review_difference] * 2, difference, staff) == ["", ""]

    assert len(told(order)) == 2


PROPOSALS: dict[str, tuple[Callable[[], Order | None], int, str]] = {
    "its order waits for it": (make_order, 500, "adopt"),
    "its order waits for another card": (lambda: end_order(DECLINED, hold_on_decline=600), 500, "adopt"),
    "its order waits for another amount": (make_order, 499, "refund"),
    "its order was paid": (end_order, 500, "refund"),
    "its order was cancelled": (lambda: end_order(DECLINED), 500, "refund"),
    "it has no order": (lambda: None, 500, "refund"),
}


@pytest.mark.parametrize("charge", PROPOSALS)
def test_the_remedy_that_is_proposed_for_a_charge_is_taken(provider: Provider, staff: User, charge: str) -> None:
    make, amount, remedy = PROPOSALS[charge]
    order = make()
    provider.charge_again(order.code if order else GHOST, amount=amount)
    difference = find_difference()
    before = rows()

    assert propose_remedy(difference) == remedy

    assert rows() == before
    {"adopt": adopt_difference, "refund": refund_difference}[remedy](pk=difference.pk, actor=staff, note=WHY)


def test_a_payment_without_its_charge_is_proposed_for_review(provider: Provider) -> None:
    end_order()
    provider.forget_everything()

    assert propose_remedy(find_difference()) == "review"
