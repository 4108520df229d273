"""What the customers and the banks of a chaos run know, held against what the shop knows."""

from threading import Event, Thread

import pytest

from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.disputes import DisputeDesk
from lab.simulation.chaos.payers import Wish
from orders.models import Order
from orders.paying import pay_again
from orders.services import finalize_order
from payments.disputes import look_up_dispute
from payments.models import Payment
from payments.services import charge_payment
from tests.builders import answer_payment, make_order
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(run="run", shop_url="http://127.0.0.1:1", wanted=1, seconds=1, stopping=Event())


def make_paid_again(key: str) -> Order:
    order = make_order(key=key, hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED)
    pay_again(code=finalize_order(code=order.code).code, number=2, payment_method="pm_card_visa")
    return order


def test_a_payment_that_nobody_asked_for_and_one_that_is_gone_are_problems(crowd: Crowd) -> None:
    order = make_paid_again("run-1")
    make_paid_again("other-1")

    assert list(crowd.payers.find_problems()) == [
        f"{Wish(order.code, 2)}: None was asked for, the shop has pm_card_visa"
    ]

    crowd.payers.methods |= {Wish(order.code, 2): "pm_card_visa", Wish(order.code, 3): "pm_card_visa"}
    crowd.payers.told.add(Wish(order.code, 3))
    assert list(crowd.payers.find_problems()) == [
        f"{Wish(order.code, 3)}: pm_card_visa was asked for, the shop has None"
    ]


@pytest.fixture
def desk(crowd: Crowd) -> DisputeDesk:
    """At work, until each of its disputes is decided."""
    order = make_order(key="run-1")
    charge_payment(reference=order.code)
    finalize_order(code=order.code)
    stopping, closing = Event(), Event()
    desk = DisputeDesk(run="run", crowd=crowd, stopping=stopping, closing=closing)
    work = Thread(target=desk.work)
    work.start()
    while work.is_alive() and not any(claim.dispute for claim in desk.claims):
        stopping.wait(0.05)
    stopping.set()
    while work.is_alive() and any(claim.ends for claim in desk.claims):
        closing.wait(0.05)
    closing.set()
    work.join()
    return desk


def test_disputes_are_settled_once_the_shop_has_heard_of_their_end(desk: DisputeDesk) -> None:
    [claim] = desk.claims
    assert not desk.is_settled()
    assert [problem.partition(":")[0] for problem in desk.find_problems()] == [claim.dispute]

    look_up_dispute(gateway="stripe", provider_id=claim.dispute)

    assert desk.is_settled()
    assert list(desk.find_problems()) == []


def test_the_audit_may_miss_what_a_bank_has_just_decided_and_nothing_else(desk: DisputeDesk) -> None:
    [claim] = desk.claims

    assert desk.explains({"invariant": "A10", "codes": [claim.code], "detail": ""})
    assert not desk.explains({"invariant": "A3", "codes": [claim.code], "detail": ""})
    assert not desk.explains({"invariant": "A10", "codes": [claim.code, "another"], "detail": ""})


def test_a_dispute_that_no_bank_of_the_run_opened_is_a_problem_until_it_is_decided(
    desk: DisputeDesk, provider: Provider
) -> None:
    look_up_dispute(gateway="stripe", provider_id=desk.claims[0].dispute)
    dispute = provider.open_dispute(str(Payment.objects.get().provider_id))
    look_up_dispute(gateway="stripe", provider_id=dispute)

    assert list(desk.find_problems()) == [f"{dispute}: nobody has decided it"]
