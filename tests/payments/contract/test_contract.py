"""What every gateway keeps, whichever provider it speaks to: the promises of payments.gateway.Gateway, one by one."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from payments.gateway import (
    MAX_CLOCK_DIFFERENCE,
    CardDeclined,
    Charge,
    ChargeRequest,
    GatewayUnavailable,
    RefundRefused,
    RequestRefused,
)
from tests.payments.contract.relay import Fault
from tests.payments.contract.subjects import Subject, read_test_key
from tests.provider import make_request

T = TypeVar("T")
FAULTS: list[Fault] = ["lose_request", "lose_answer"]


def charges_of(subject: Subject, request: ChargeRequest) -> list[Charge]:
    """What the provider took for the reference. What came too late and is to be sent back, is not taken."""
    made = subject.gateway.list_charges(since=request.sent_at - MAX_CLOCK_DIFFERENCE)
    return [charge for charge in made if charge.reference == request.reference and charge.owed < charge.amount]


def ask_until_known(ask: Callable[[ChargeRequest], T], request: ChargeRequest) -> T:
    """Ask again, as the sweep does, while the outcome is unknown."""
    for _ in range(40):
        try:
            return ask(request)
        except GatewayUnavailable:
            time.sleep(0.1)
    raise AssertionError("the outcome stays unknown")


@contextmanager
def outcome_unknown(subject: Subject, fault: Fault, method: str = "POST") -> Iterator[pytest.ExceptionInfo[Any]]:
    """What is asked inside has no answer."""
    subject.relay.fail_next(fault, method)
    with pytest.raises(GatewayUnavailable) as unknown:
        yield unknown


def assert_takes_nothing(subject: Subject, request: ChargeRequest) -> None:
    with pytest.raises((GatewayUnavailable, CardDeclined)):
        subject.gateway.charge(request)
    assert charges_of(subject, request) == []


def test_a_charge_is_the_money_that_was_asked_for(subject: Subject) -> None:
    for amount, currency in subject.chargeable:
        request = make_request(subject.pays, amount=amount, currency=currency)

        charge = subject.gateway.charge(request)

        assert (charge.amount, charge.currency, charge.refunded) == (amount, currency, 0)
        assert charge.reference == request.reference
        assert abs(datetime.now(UTC) - charge.created_at) < MAX_CLOCK_DIFFERENCE
        assert charges_of(subject, request) == [charge]


def test_a_decline_says_why_and_stays_one(subject: Subject) -> None:
    subject.skip_without(subject.declines, "decline: money that has arrived is taken")
    for method, code in subject.declines.items():
        request = make_request(method)
        for _ in range(2):
            with pytest.raises(CardDeclined) as declined:
                subject.gateway.charge(request)
            assert declined.value.code == code
        assert subject.gateway.cancel(request) is None
        assert subject.gateway.cancel(request) is None
        with pytest.raises(CardDeclined):
            subject.gateway.charge(request)
        assert charges_of(subject, request) == []


def test_a_payment_method_that_does_not_exist_is_declined(subject: Subject) -> None:
    subject.skip_without(subject.unknown, "payment methods: every customer has a bank")
    for method, code in subject.unknown.items():
        request = make_request(method)
        for _ in range(2):
            with pytest.raises(CardDeclined) as declined:
                subject.gateway.charge(request)
            assert declined.value.code == code
        assert subject.gateway.cancel(request) is None
        assert charges_of(subject, request) == []


def test_an_amount_outside_of_the_providers_limits_is_declined(subject: Subject) -> None:
    subject.skip_without(subject.declined_amounts, "limits of an amount")
    for amount, currency, code in subject.declined_amounts:
        request = make_request(subject.pays, amount=amount, currency=currency)
        with pytest.raises(CardDeclined) as declined:
            subject.gateway.charge(request)
        assert declined.value.code == code
        assert subject.gateway.cancel(request) is None
        assert charges_of(subject, request) == []


def test_an_amount_that_no_rule_allows_is_refused_which_is_no_decline(subject: Subject) -> None:
    subject.skip_without(subject.refused_amounts, "rules of an amount")
    for amount, currency in subject.refused_amounts:
        request = make_request(subject.pays, amount=amount, currency=currency)
        for _ in range(2):
            with pytest.raises(RequestRefused):
                subject.gateway.charge(request)
        assert subject.gateway.cancel(replace(request, only_refused=True)) is None
        assert subject.gateway.cancel(request) is None  # by the list
        assert charges_of(subject, request) == []


def test_a_charge_asked_again_is_the_same_charge(subject: Subject) -> None:
    request = make_request(subject.pays)
    assert subject.gateway.charge(request) == subject.gateway.charge(request)
    assert len(charges_of(subject, request)) == 1


def test_one_key_in_many_threads_is_one_charge(subject: Subject) -> None:
    request = make_request(subject.pays)
    with ThreadPoolExecutor(8) as pool:
        charges = set(pool.map(lambda _: ask_until_known(subject.gateway.charge, request), range(8)))
    assert charges == set(charges_of(subject, request))
    assert len(charges) == 1


def test_another_request_under_the_same_key_takes_nothing_and_is_no_decline(subject: Subject) -> None:
    request = make_request(subject.pays)
    charge = subject.gateway.charge(request)
    for other in (replace(request, amount=4321), replace(request, currency="EUR")):
        with pytest.raises(GatewayUnavailable) as unknown:
            subject.gateway.charge(other)
        assert not isinstance(unknown.value, RequestRefused)
    assert charges_of(subject, request) == [charge]


def test_the_charge_of_another_reference_is_never_returned_for_its_key(subject: Subject) -> None:
    request = make_request(subject.pays)
    charge = subject.gateway.charge(request)
    other = replace(request, reference=f"{request.reference}-other")
    for ask in (subject.gateway.charge, subject.gateway.cancel):
        with pytest.raises(GatewayUnavailable):
            ask(other)
    assert charges_of(subject, request) == [charge]
    assert charges_of(subject, other) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_charge_without_an_answer_is_unknown_and_asked_again_taken_once(subject: Subject, fault: Fault) -> None:
    request = make_request(subject.pays)
    with outcome_unknown(subject, fault) as unknown:
        subject.gateway.charge(request)
    assert not isinstance(unknown.value, RequestRefused)
    assert len(charges_of(subject, request)) == (fault == "lose_answer")

    charge = subject.gateway.charge(request)

    assert charges_of(subject, request) == [charge]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_decline_without_an_answer_is_unknown_and_asked_again_the_decline(subject: Subject, fault: Fault) -> None:
    subject.skip_without(subject.declines, "decline: money that has arrived is taken")
    method, code = next(iter(subject.declines.items()))
    request = make_request(method)
    with outcome_unknown(subject, fault):
        subject.gateway.charge(request)
    with pytest.raises(CardDeclined) as declined:
        subject.gateway.charge(request)
    assert declined.value.code == code


def test_a_charge_without_an_answer_is_found_by_the_cancel(subject: Subject) -> None:
    request = make_request(subject.pays)
    with outcome_unknown(subject, "lose_answer"):
        subject.gateway.charge(request)

    charge = subject.gateway.cancel(request)

    assert charge is not None
    assert charges_of(subject, request) == [charge]


def test_a_charge_that_never_arrived_is_cancelled_for_good(subject: Subject) -> None:
    request = make_request(subject.pays)
    with outcome_unknown(subject, "lose_request"):
        subject.gateway.charge(request)

    assert subject.gateway.cancel(request) is None
    assert_takes_nothing(subject, request)


def test_cancel_before_the_charge_makes_a_late_one_impossible(subject: Subject) -> None:
    request = make_request(subject.pays)
    assert subject.gateway.cancel(request) is None
    for _ in range(2):
        with pytest.raises((GatewayUnavailable, CardDeclined)):
            subject.gateway.charge(request)
    assert subject.gateway.cancel(request) is None
    assert charges_of(subject, request) == []


def test_cancel_while_the_charge_is_on_its_way_makes_it_arrive_in_vain(subject: Subject) -> None:
    request = make_request(subject.pays)
    with ThreadPoolExecutor(1) as pool, subject.relay.hold_next() as is_held:
        charging = pool.submit(subject.gateway.charge, request)
        assert is_held.wait(10)
        assert subject.gateway.cancel(request) is None
    assert isinstance(charging.exception(), GatewayUnavailable | CardDeclined)
    assert charges_of(subject, request) == []


def test_control_without_the_cancel_the_charge_on_its_way_takes_the_money(subject: Subject) -> None:
    request = make_request(subject.pays)
    with ThreadPoolExecutor(1) as pool, subject.relay.hold_next() as is_held:
        charging = pool.submit(subject.gateway.charge, request)
        assert is_held.wait(10)
        assert charges_of(subject, request) == []  # what a cancel would see that only looks
    assert charges_of(subject, request) == [charging.result()]


def test_cancel_against_charge_leaves_one_truth(subject: Subject) -> None:
    for _ in range(5):
        request = make_request(subject.pays)
        with ThreadPoolExecutor(1) as pool:
            charging = pool.submit(subject.gateway.charge, request)
            cancelled = ask_until_known(subject.gateway.cancel, request)
        assert charges_of(subject, request) == ([cancelled] if cancelled else [])
        assert (charging.exception() is None) <= (cancelled is not None)


def test_cancel_after_the_charge_returns_it(subject: Subject) -> None:
    request = make_request(subject.pays)
    charge = subject.gateway.charge(request)
    for _ in range(2):
        assert subject.gateway.cancel(request) == charge
    assert charges_of(subject, request) == [charge]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_cancel_without_an_answer_is_unknown_and_asked_again_as_final(subject: Subject, fault: Fault) -> None:
    request = make_request(subject.pays)
    with outcome_unknown(subject, fault):
        subject.gateway.cancel(request)

    assert subject.gateway.cancel(request) is None
    assert_takes_nothing(subject, request)


def refund(subject: Subject, charge: Charge, amount: int, number: int = 1) -> str:
    return subject.gateway.refund(
        key=f"refund-{charge.reference}-{number}",
        reference=charge.reference,
        provider_id=charge.provider_id,
        amount=amount,
    )


def insist_on_refund(subject: Subject, charge: Charge, amount: int) -> str:
    """Ask again, as the sweep does, while the outcome is unknown."""
    for _ in range(40):
        with suppress(GatewayUnavailable):
            return refund(subject, charge, amount)
        time.sleep(0.1)
    raise AssertionError("the refund stays unknown")


def refused_refund(subject: Subject, charge: Charge, amount: int, number: int) -> str:
    """The refund is refused, and nothing was given back for it. Return the code."""
    before = subject.gateway.retrieve(charge.provider_id)
    with pytest.raises(RefundRefused) as refused:
        refund(subject, charge, amount, number)
    assert subject.gateway.retrieve(charge.provider_id) == before
    return refused.value.code


def refunded(subject: Subject, charge: Charge) -> int:
    now = subject.gateway.retrieve(charge.provider_id)
    assert now is not None
    assert now == replace(charge, refunded=now.refunded)
    return now.refunded


def test_a_whole_charge_is_refunded_once_per_key(subject: Subject) -> None:
    charge = subject.gateway.charge(make_request(subject.pays, amount=1_000))

    first = refund(subject, charge, 1_000)

    assert refund(subject, charge, 1_000) == first
    assert refunded(subject, charge) == 1_000
    assert refused_refund(subject, charge, 1, number=2) == "charge_already_refunded"


def test_a_charge_is_refunded_in_parts_and_never_too_much(subject: Subject) -> None:
    charge = subject.gateway.charge(make_request(subject.pays, amount=1_000))
    first = refund(subject, charge, 600)

    assert refused_refund(subject, charge, 401, number=2) == "amount_too_large"

    second = refund(subject, charge, 400, number=3)
    assert first != second
    assert refunded(subject, charge) == 1_000
    made = subject.gateway.list_refunds(provider_id=charge.provider_id)
    assert [(one.provider_id, one.key, one.amount, one.status) for one in made] == [
        (second, f"refund-{charge.reference}-3", 400, "succeeded"),
        (first, f"refund-{charge.reference}-1", 600, "succeeded"),
    ]


def test_a_refund_of_another_amount_under_the_same_key_is_unknown(subject: Subject) -> None:
    charge = subject.gateway.charge(make_request(subject.pays, amount=1_000))
    refund(subject, charge, 600)
    with pytest.raises(GatewayUnavailable):
        refund(subject, charge, 300)
    assert refunded(subject, charge) == 600


def test_one_key_in_many_threads_is_one_refund(subject: Subject) -> None:
    charge = subject.gateway.charge(make_request(subject.pays, amount=1_000))
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: insist_on_refund(subject, charge, 100), range(8)))
    assert len(made) == 1
    assert refunded(subject, charge) == 100


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refund_without_an_answer_is_unknown_and_asked_again_given_once(subject: Subject, fault: Fault) -> None:
    charge = subject.gateway.charge(make_request(subject.pays, amount=1_000))
    with outcome_unknown(subject, fault):
        refund(subject, charge, 600)
    assert refunded(subject, charge) == (600 if fault == "lose_answer" else 0)

    refund(subject, charge, 600)

    assert refunded(subject, charge) == 600


def test_a_refund_of_the_whole_charge_without_an_answer_is_not_refused_afterwards(subject: Subject) -> None:
    charge = subject.gateway.charge(make_request(subject.pays, amount=1_000))
    with outcome_unknown(subject, "lose_answer"):
        refund(subject, charge, 1_000)
    assert refund(subject, charge, 1_000) == subject.gateway.list_refunds(provider_id=charge.provider_id)[0].provider_id


def test_a_pending_refund_is_unknown_until_it_succeeds(subject: Subject) -> None:
    subject.skip_without(subject.refunds_later, "refund that the provider makes later")
    charge = subject.gateway.charge(make_request(subject.refunds_later, amount=1_000))
    with pytest.raises(GatewayUnavailable):
        refund(subject, charge, 600)
    made = insist_on_refund(subject, charge, 600)
    assert [one.provider_id for one in subject.gateway.list_refunds(provider_id=charge.provider_id)] == [made]
    assert refunded(subject, charge) == 600


def test_a_refund_that_fails_later_is_refused_from_then_on(subject: Subject) -> None:
    subject.skip_without(subject.refunds_fail, "refund that fails after it succeeded")
    charge = subject.gateway.charge(make_request(subject.refunds_fail, amount=1_000))
    made = refund(subject, charge, 600)
    assert made

    for _ in range(40):
        (now,) = subject.gateway.list_refunds(provider_id=charge.provider_id)
        if now.status == "failed":
            break
        time.sleep(0.1)

    assert (now.provider_id, now.status) == (made, "failed")
    assert now.failure_code
    with pytest.raises(RefundRefused):
        refund(subject, charge, 600)
    assert refunded(subject, charge) == 0


def test_a_charge_is_retrieved_as_the_provider_has_it(subject: Subject) -> None:
    charge = subject.gateway.charge(make_request(subject.pays))
    assert subject.gateway.retrieve(charge.provider_id) == charge
    with outcome_unknown(subject, "lose_answer", "GET"):
        subject.gateway.retrieve(charge.provider_id)


def test_the_list_has_the_newest_charge_first_and_none_from_before(subject: Subject) -> None:
    early = subject.gateway.charge(make_request(subject.pays))
    time.sleep(1.1)  # providers count in seconds
    late, last = (subject.gateway.charge(make_request(subject.pays)) for _ in range(2))
    ours = {early, late, last}

    listed = list(subject.gateway.list_charges(since=late.created_at))

    assert [charge for charge in listed if charge in ours] == [last, late]
    assert list(subject.gateway.list_charges(since=datetime.now(UTC) + timedelta(days=1))) == []


def test_the_list_takes_no_longer_than_it_may_and_without_an_answer_is_unknown(subject: Subject) -> None:
    subject.gateway.charge(make_request(subject.pays))
    with pytest.raises(GatewayUnavailable):
        list(subject.gateway.list_charges(within=0))
    with outcome_unknown(subject, "lose_answer", "GET"):
        list(subject.gateway.list_charges())


def test_a_charge_has_a_page_for_staff_or_none(subject: Subject) -> None:
    url = subject.gateway.payment_url("id at the provider")

    assert url is None or (url.startswith("https://") and url.isascii() and " " not in url)


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1", "pk_test_1", "nonsense"])
def test_only_a_key_to_the_test_mode_is_ever_used(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("STRIPE_TEST_KEY", key)
    with pytest.raises(ValueError, match="could take money"):
        read_test_key()
