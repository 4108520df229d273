from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import IntegrityError
from django.utils import timezone

from accounts.models import User
from orders.models import Order
from orders.services import (
    NothingToReview,
    OrderIsFinal,
    cancel_order,
    finalize_order,
    mark_reviewed,
    resume_order,
)
from orders.sweep import claim_stuck_orders
from payments.gateway import RequestRefused
from payments.models import Payment
from payments.services import cancel_payment, charge_payment
from tests.builders import answer_payment, everything, make_order, make_product, poison, stock_of, tamper

pytestmark = pytest.mark.django_db
Reason = Order.CancelReason
Answer = Payment.Status


def make_due_order() -> Order:
    order = make_order()
    Order.objects.filter(pk=order.pk).update(sweep_after=timezone.now() - timedelta(seconds=1))
    return order


def claimed(limit: int = 100) -> list[tuple[str, bool]]:
    return [(claim.code, claim.expired) for claim in claim_stuck_orders(limit=limit)]


def test_finalize_order_confirms_a_paid_order_and_deducts_its_stock() -> None:
    make_product("MUG", stock=10)
    order = make_order({"MUG": 2})
    answer_payment(order, Answer.SUCCEEDED)

    order = finalize_order(code=order.code)

    assert (order.status, order.cancel_reason) == ("CONFIRMED", "")
    assert order.finalized_at is not None
    assert stock_of("MUG") == (8, 0)
    assert [event.kind for event in order.events.all()] == ["placed", "confirmed"]


@pytest.mark.parametrize(("answer", "reason"), [(Answer.DECLINED, "card_declined"), (Answer.CANCELLED, "expired")])
def test_finalize_order_cancels_an_unpaid_order_and_releases_its_stock(answer: Payment.Status, reason: str) -> None:
    make_product("MUG", stock=10)
    order = make_order({"MUG": 2})
    answer_payment(order, answer)

    order = finalize_order(code=order.code)

    assert (order.status, order.cancel_reason) == ("CANCELLED", reason)
    assert stock_of("MUG") == (10, 0)
    assert [event.kind for event in order.events.all()] == ["placed", "cancelled"]


@pytest.mark.parametrize("answer", [Answer.SUCCEEDED, Answer.DECLINED])
def test_an_order_ends_also_where_the_clock_was_set_back_after_it_was_placed(answer: Payment.Status) -> None:
    make_product("MUG", stock=10)
    order = make_order({"MUG": 2})
    tamper("UPDATE orders_order SET created_at = created_at + interval '1 hour'")
    answer_payment(order, answer)

    assert finalize_order(code=order.code).status != Order.Status.PENDING


@pytest.mark.parametrize("answer", [Answer.PENDING, Answer.SENT])
def test_finalize_order_leaves_an_order_without_an_answer_as_it_is(answer: Payment.Status) -> None:
    order = make_order()
    answer_payment(order, answer)
    before = everything()

    finalize_order(code=order.code)

    assert everything() == before


@pytest.mark.parametrize("answer", [Answer.SUCCEEDED, Answer.DECLINED, Answer.CANCELLED])
def test_finalize_order_twice_changes_nothing_more(answer: Payment.Status) -> None:
    order = make_order()
    answer_payment(order, answer)
    finalize_order(code=order.code)
    before = everything()

    finalize_order(code=order.code)

    assert everything() == before


def test_cancel_order_ends_an_order_at_once_while_its_payment_was_never_sent() -> None:
    make_product("MUG", stock=10)
    order = make_order({"MUG": 2})

    order = cancel_order(code=order.code, reason=Reason.CUSTOMER)

    assert (order.status, order.cancel_reason) == ("CANCELLED", "customer")
    assert Payment.objects.get().status == Answer.CANCELLED
    assert stock_of("MUG") == (10, 0)
    assert [event.kind for event in order.events.all()] == ["placed", "cancel_requested", "cancelled"]


def test_cancel_order_leaves_an_unknown_payment_to_the_sweep() -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)

    order = cancel_order(code=order.code, reason=Reason.CUSTOMER)

    assert order.status == "PENDING"
    assert order.expires_at <= timezone.now()
    assert claimed() == [(order.code, True)]
    assert stock_of("MUG") == (10, 1)


def test_cancel_order_keeps_its_first_reason() -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    cancel_order(code=order.code, reason=Reason.CUSTOMER)
    cancel_order(code=order.code, reason=Reason.STAFF)
    answer_payment(order, Answer.CANCELLED)

    assert finalize_order(code=order.code).cancel_reason == "customer"


def test_a_customers_second_cancel_does_not_hasten_the_sweep() -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    cancel_order(code=order.code, reason=Reason.CUSTOMER)
    assert claimed() == [(order.code, True)]
    before = everything()

    cancel_order(code=order.code, reason=Reason.CUSTOMER)

    assert everything() == before
    assert claimed() == []


def make_order_in_review() -> Order:
    """Swept and asked for as often as may be."""
    order = make_order()
    answer_payment(order, Answer.SENT)
    Payment.objects.filter(pk=order.payment_id).update(requests=200)
    Order.objects.filter(pk=order.pk).update(needs_review=True, review_reason="swept 20 times", sweeps=21)
    return order


def test_a_customers_cancellation_ends_no_review() -> None:
    code = make_order_in_review().code

    order = cancel_order(code=code, reason=Reason.CUSTOMER)

    assert (order.status, order.cancel_reason) == ("PENDING", "customer")
    assert (order.needs_review, order.review_reason, order.sweeps) == (True, "swept 20 times", 21)
    assert order.payment.requests == 200


def test_a_cancellation_by_staff_ends_the_review_and_has_the_provider_asked_again() -> None:
    code = make_order_in_review().code

    order = cancel_order(code=code, reason=Reason.STAFF)

    assert (order.status, order.cancel_reason) == ("PENDING", "staff")
    assert (order.needs_review, order.review_reason, order.sweeps) == (False, "", 0)
    assert order.payment.requests == 0


def test_mark_reviewed_has_the_provider_asked_again() -> None:
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    code = make_order_in_review().code

    order = mark_reviewed(code=code, actor=staff, note="The provider was down.")

    assert (order.needs_review, order.review_reason, order.sweeps) == (False, "", 0)
    assert order.payment.requests == 0


def test_an_order_that_was_paid_before_its_cancellation_is_confirmed() -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    cancel_order(code=order.code, reason=Reason.CUSTOMER)
    answer_payment(order, Answer.SUCCEEDED)

    order = finalize_order(code=order.code)

    assert (order.status, order.cancel_reason) == ("CONFIRMED", "")


@pytest.mark.parametrize("answer", [Answer.SUCCEEDED, Answer.DECLINED])
def test_a_final_order_can_be_neither_cancelled_nor_resumed(answer: Payment.Status) -> None:
    order = make_order()
    answer_payment(order, answer)
    finalize_order(code=order.code)
    before = everything()

    with pytest.raises(OrderIsFinal):
        cancel_order(code=order.code, reason=Reason.STAFF)
    with pytest.raises(OrderIsFinal):
        resume_order(code=order.code)

    assert everything() == before


def test_claim_stuck_orders_takes_what_is_due_once_and_pushes_its_next_time_on() -> None:
    due, fresh = make_due_order(), make_order()

    assert claimed() == [(due.code, False)]
    assert claim_stuck_orders() == []

    due.refresh_from_db()
    assert due.sweeps == 1
    assert due.sweep_after
    assert due.sweep_after > timezone.now()
    assert [event.kind for event in due.events.all()] == ["placed", "swept"]
    assert [event.kind for event in fresh.events.all()] == ["placed"]


def test_claim_stuck_orders_takes_no_more_than_its_limit_oldest_first() -> None:
    orders = [make_due_order() for _ in range(3)]
    Order.objects.filter(pk=orders[2].pk).update(sweep_after=timezone.now() - timedelta(hours=1))

    assert claimed(limit=1) == [(orders[2].code, False)]
    assert len(claim_stuck_orders(limit=5)) == 2


def test_claim_stuck_orders_waits_longer_each_time_but_never_past_the_deadline(settings: LazySettings) -> None:
    settings.SWEEP_AFTER, settings.SWEEP_AFTER_MAX = 10, 40
    order = make_due_order()
    waits = []
    for _ in range(4):
        Order.objects.update(sweep_after=timezone.now() - timedelta(seconds=1))
        claim_stuck_orders()
        order.refresh_from_db()
        assert order.sweep_after is not None
        waits.append((order.sweep_after - timezone.now()).total_seconds())
    for wait, delay in zip(waits, [10, 20, 40, 40], strict=True):
        assert delay * 0.7 < wait < delay * 1.3

    soon = timezone.now() + timedelta(seconds=3)
    Order.objects.update(sweep_after=timezone.now() - timedelta(seconds=1), expires_at=soon)
    claim_stuck_orders()
    order.refresh_from_db()
    assert order.sweep_after == soon


def sweep_until_review(order: Order, settings: LazySettings, *, fails: bool = False) -> Order:
    """Claimed as often as it takes; fails: and finalized each time, in vain."""
    settings.ORDER_MAX_SWEEPS = 3
    for _ in range(4):
        Order.objects.filter(pk=order.pk, sweep_after__isnull=False).update(sweep_after=timezone.now())
        claimed = claim_stuck_orders()
        if fails and claimed:
            with pytest.raises(IntegrityError):
                finalize_order(code=order.code)
    order.refresh_from_db()
    return order


def test_an_order_that_is_swept_too_often_needs_review_and_is_swept_on(settings: LazySettings) -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    Payment.objects.update(last_error="the provider answered 503")

    order = sweep_until_review(order, settings)

    assert (order.status, order.needs_review) == ("PENDING", True)
    assert order.review_reason == "swept 3 times: the provider answered 503"
    assert stock_of("MUG") == (10, 1)
    assert order.sweep_after is not None
    assert order.sweep_after > timezone.now()
    sweep_until_review(order, settings)
    kinds = [event.kind for event in order.events.all()]
    assert kinds == ["placed", "swept", "swept", "swept", "review_needed"]  # it is said once


def test_an_order_in_review_ends_by_itself_when_the_answer_comes(settings: LazySettings) -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    sweep_until_review(order, settings)
    answer_payment(order, Answer.SUCCEEDED)

    order = finalize_order(code=order.code)

    assert (order.status, order.needs_review) == ("CONFIRMED", False)


def test_an_order_that_is_paid_and_does_not_end_is_left_to_a_person(settings: LazySettings) -> None:
    order = make_order()
    answer_payment(order, Answer.CANCELLED)
    poison(order)

    order = sweep_until_review(order, settings, fails=True)

    assert (order.status, order.needs_review, order.sweep_after) == ("PENDING", True, None)
    assert order.finalize_attempts == 3
    assert stock_of("MUG") == (10, 1)
    assert claim_stuck_orders() == []
    resume_order(code=order.code)
    assert claimed() == [(order.code, False)]


def test_an_order_that_was_finalized_in_vain_is_not_given_up_before_a_person_is_told(settings: LazySettings) -> None:
    settings.ORDER_MAX_SWEEPS = 3
    order = make_order()
    answer_payment(order, Answer.CANCELLED)
    poison(order)
    Order.objects.update(sweep_after=timezone.now())
    claim_stuck_orders()
    for _ in range(5):  # messages that came twice
        with pytest.raises(IntegrityError):
            finalize_order(code=order.code)
    Order.objects.update(sweep_after=timezone.now())

    assert claimed() == [(order.code, False)]
    order.refresh_from_db()
    assert (order.needs_review, order.finalize_attempts) == (False, 5)


def test_a_paid_order_that_nobody_finalizes_is_swept_on(settings: LazySettings) -> None:
    order = make_order()
    answer_payment(order, Answer.SUCCEEDED)

    for _ in range(5):  # the workers are away: what the sweep publishes gets lost
        order = sweep_until_review(order, settings)

    assert (order.needs_review, order.finalize_attempts) == (True, 0)
    assert order.sweep_after is not None
    assert finalize_order(code=order.code).status == "CONFIRMED"


def test_finalizing_before_there_is_an_answer_counts_as_no_attempt(settings: LazySettings) -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    order = sweep_until_review(order, settings)
    before = everything()

    for _ in range(5):
        finalize_order(code=order.code)

    assert everything() == before


def test_an_order_in_review_whose_answer_comes_late_is_still_finalized_by_the_sweep(settings: LazySettings) -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    sweep_until_review(order, settings)
    answer_payment(order, Answer.SUCCEEDED)  # and the message to finalize it is lost
    Order.objects.update(sweep_after=timezone.now())

    assert claimed() == [(order.code, False)]


def test_the_sweep_comes_back_soon_after_the_first_cancel_of_an_expired_order(settings: LazySettings) -> None:
    """That one may meet a charge in flight. Later it waits for longer each time."""
    settings.SWEEP_AFTER, settings.SWEEP_AFTER_MAX = 20, 600
    past = timezone.now() - timedelta(seconds=5)
    make_order()
    Order.objects.update(sweeps=6, sweep_after=past, expires_at=past)

    [first] = claim_stuck_orders()
    Order.objects.update(sweep_after=timezone.now())
    [second] = claim_stuck_orders()

    assert first.pause <= 20
    assert second.pause > 400


def test_an_endless_error_message_does_not_stop_the_sweep_of_others(settings: LazySettings) -> None:
    order, other = make_order(), make_due_order()
    answer_payment(order, Answer.SENT)
    Payment.objects.filter(pk=order.payment_id).update(last_error="x" * 10_000)

    sweep_until_review(order, settings)

    other.refresh_from_db()
    assert other.sweeps == 1


def test_cancel_order_ends_the_review_as_well() -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    Order.objects.update(needs_review=True, sweeps=20)

    order = cancel_order(code=order.code, reason=Reason.STAFF)

    assert not order.needs_review
    assert claimed() == [(order.code, True)]


def test_resume_order_lets_the_sweep_take_it_up_again() -> None:
    order = make_order()
    Order.objects.update(needs_review=True, review_reason="swept too often", sweeps=9, sweep_after=None)
    Payment.objects.update(requests=200)

    resume_order(code=order.code)

    assert claimed() == [(order.code, False)]
    order.refresh_from_db()
    assert (order.sweeps, order.needs_review, order.payment.requests) == (1, False, 0)
    assert [event.kind for event in order.events.all()] == ["placed", "resumed", "swept"]


@pytest.fixture
def actor() -> User:
    return User.objects.create_user("staff@example.com")


def test_a_note_is_kept_in_the_event_with_its_actor(actor: User) -> None:
    order = make_order()

    resume_order(code=order.code, actor=actor, note="She phoned.")
    cancel_order(code=order.code, reason=Reason.STAFF, actor=actor, note="She phoned again.")

    events = order.events.filter(actor=actor)
    assert [(event.kind, event.data) for event in events] == [
        ("resumed", {"note": "She phoned."}),
        ("cancel_requested", {"reason": "staff", "note": "She phoned again."}),
    ]


def test_no_note_leaves_no_key() -> None:
    order = make_order()

    resume_order(code=order.code)
    cancel_order(code=order.code, reason=Reason.CUSTOMER)

    assert not order.events.filter(data__has_key="note").exists()


def test_a_cancel_with_a_note_is_an_event_also_after_the_customers_own(actor: User) -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    cancel_order(code=order.code, reason=Reason.CUSTOMER)
    cancel_order(code=order.code, reason=Reason.CUSTOMER)

    order = cancel_order(code=order.code, reason=Reason.STAFF, actor=actor, note="She phoned.")

    assert order.cancel_reason == "customer"
    events = order.events.filter(kind="cancel_requested")
    assert [(event.actor, event.data) for event in events] == [
        (None, {"reason": "customer"}),
        (actor, {"reason": "staff", "note": "She phoned."}),
    ]


def test_mark_reviewed_lets_an_order_be_swept_as_often_as_at_first(settings: LazySettings, actor: User) -> None:
    order = make_order()
    answer_payment(order, Answer.SENT)
    before = sweep_until_review(order, settings)

    order = mark_reviewed(code=order.code, actor=actor, note="The bank is down.")

    assert (order.needs_review, order.review_reason, order.sweeps, order.finalize_attempts) == (False, "", 0, 0)
    assert order.sweep_after == before.sweep_after
    event = order.events.latest("pk")
    assert (event.kind, event.actor, event.data) == ("reviewed", actor, {"note": "The bank is down."})
    for _ in range(3):
        assert not order.needs_review
        Order.objects.update(sweep_after=timezone.now())
        claim_stuck_orders()
        order.refresh_from_db()
    assert not order.needs_review
    Order.objects.update(sweep_after=timezone.now())
    claim_stuck_orders()
    order.refresh_from_db()
    assert order.needs_review


def test_mark_reviewed_takes_up_an_order_that_the_sweep_had_given_up(settings: LazySettings, actor: User) -> None:
    order = make_order()
    answer_payment(order, Answer.CANCELLED)
    poison(order)
    assert sweep_until_review(order, settings, fails=True).sweep_after is None

    mark_reviewed(code=order.code, actor=actor, note="Mended.")

    assert claimed() == [(order.code, False)]


def test_mark_reviewed_refuses_an_order_that_needs_no_review_and_one_that_is_final(actor: User) -> None:
    order, final = make_order(), make_order()
    cancel_order(code=final.code, reason=Reason.CUSTOMER)
    before = everything()

    with pytest.raises(NothingToReview):
        mark_reviewed(code=order.code, actor=actor, note="Fine.")
    with pytest.raises(OrderIsFinal):
        mark_reviewed(code=final.code, actor=actor, note="Fine.")

    assert everything() == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("reason", ["expired", "staff"])
def test_an_order_whose_payment_is_only_ever_refused_ends_at_its_deadline_or_when_staff_cancel_it(reason: str) -> None:
    code = make_order().code
    # Placed before the shop knew that this can't be charged.
    tamper("UPDATE payments_payment SET amount = 5124, currency = 'KWD'")
    with pytest.raises(RequestRefused):
        charge_payment(reference=code)
    assert finalize_order(code=code).status == "PENDING"

    if reason == "staff":
        cancel_order(code=code, reason=Order.CancelReason.STAFF)
    else:
        Order.objects.update(sweep_after=timezone.now(), expires_at=timezone.now())
    (claim,) = claim_stuck_orders()
    assert claim.expired
    cancel_payment(reference=code)
    order = finalize_order(code=code)

    assert (order.status, order.cancel_reason) == ("CANCELLED", reason)
    assert stock_of("MUG") == (10, 0)


def test_final_orders_are_never_claimed() -> None:
    order = make_due_order()
    answer_payment(order, Answer.SUCCEEDED)
    finalize_order(code=order.code)

    assert claim_stuck_orders() == []
