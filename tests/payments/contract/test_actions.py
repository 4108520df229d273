"""What every gateway keeps where the customer has to act before the money can be taken."""

from typing import Any

import pytest

from payments.gateway import ActionRequired, CardDeclined, ChargeRequest, NextAction, PaymentProcessing
from tests.payments.contract.subjects import Subject
from tests.payments.contract.test_contract import ask_until_known, charges_of, outcome_unknown
from tests.provider import make_request

RETURN_URL = "https://shop.example.com/orders/1/return/"


def require_action(subject: Subject, payment_method: str = "") -> tuple[ChargeRequest, NextAction]:
    """A payment that waits for its customer, and what the customer has to do."""
    request = make_asking(subject, payment_method, return_url=RETURN_URL)
    with pytest.raises(ActionRequired):
        subject.gateway.charge(request)
    action = subject.gateway.next_action(request)
    assert action is not None
    return request, action


def make_asking(subject: Subject, payment_method: str = "", **fields: Any) -> ChargeRequest:
    """A request for a payment that its customer has to confirm."""
    subject.skip_without(subject.asks, "payment that its customer has to confirm")
    return make_request(payment_method or subject.asks, **fields)


def act(subject: Subject, action: NextAction, *, approve: bool) -> None:
    if subject.act is None:
        pytest.skip("no program can act for the customer here")
    subject.act(action, "approve" if approve else "fail")


def test_a_payment_that_waits_for_its_customer_is_neither_yes_nor_no(subject: Subject) -> None:
    request, action = require_action(subject)
    assert action.url.startswith("http")
    for _ in range(2):
        with pytest.raises(ActionRequired):
            subject.gateway.charge(request)
    assert subject.gateway.next_action(request) == action
    assert charges_of(subject, request) == []


def test_once_the_customer_has_approved_the_money_is_taken_once(subject: Subject) -> None:
    request, action = require_action(subject)
    act(subject, action, approve=True)

    charge = subject.gateway.charge(request)

    assert (charge.amount, charge.currency, charge.reference) == (request.amount, "GBP", request.reference)
    assert subject.gateway.charge(request) == charge
    assert subject.gateway.cancel(request) == charge
    assert subject.gateway.next_action(request) is None
    act(subject, action, approve=True)
    act(subject, action, approve=False)
    assert charges_of(subject, request) == [charge]


def test_a_customer_who_fails_at_the_bank_is_declined_for_good(subject: Subject) -> None:
    request, action = require_action(subject)
    act(subject, action, approve=False)

    for _ in range(2):
        with pytest.raises(CardDeclined) as declined:
            subject.gateway.charge(request)
        assert declined.value.code == "payment_intent_authentication_failure"

    assert subject.gateway.next_action(request) is None
    act(subject, action, approve=True)
    assert subject.gateway.cancel(request) is None
    assert charges_of(subject, request) == []


def test_a_failure_whose_answer_is_lost_is_declined_when_it_is_asked_for_again(subject: Subject) -> None:
    request, action = require_action(subject)
    act(subject, action, approve=False)
    with outcome_unknown(subject, "lose_answer"):
        subject.gateway.charge(request)
    with outcome_unknown(subject, "lose_answer", "GET"):
        subject.gateway.charge(request)

    with pytest.raises(CardDeclined) as declined:
        subject.gateway.charge(request)
    assert declined.value.code == "payment_intent_authentication_failure"


def test_after_the_cancel_a_customer_who_approves_pays_nothing(subject: Subject) -> None:
    request, action = require_action(subject)
    for _ in range(2):
        assert subject.gateway.cancel(request) is None

    assert subject.gateway.next_action(request) is None
    act(subject, action, approve=True)
    with pytest.raises(CardDeclined):
        subject.gateway.charge(request)
    assert charges_of(subject, request) == []


def test_a_cancel_that_comes_after_the_approval_returns_the_charge(subject: Subject) -> None:
    request, action = require_action(subject)
    act(subject, action, approve=True)

    charge = subject.gateway.cancel(request)

    assert charge is not None
    assert charges_of(subject, request) == [charge]


def test_a_bank_that_processes_after_the_approval_can_not_be_called_back(subject: Subject) -> None:
    if not subject.asks_and_processes:
        pytest.skip("the provider has no such payment method")
    request, action = require_action(subject, subject.asks_and_processes)
    act(subject, action, approve=True)

    with pytest.raises(PaymentProcessing):
        subject.gateway.charge(request)
    with pytest.raises(PaymentProcessing):
        subject.gateway.cancel(request)

    charge = ask_until_known(subject.gateway.charge, request)
    assert charges_of(subject, request) == [charge]


def test_a_lost_answer_that_asks_for_the_customer_is_found_again(subject: Subject) -> None:
    request = make_asking(subject, return_url=RETURN_URL)
    with outcome_unknown(subject, "lose_answer"):
        subject.gateway.charge(request)

    with pytest.raises(ActionRequired):
        subject.gateway.charge(request)
    with outcome_unknown(subject, "lose_answer", "GET"):
        subject.gateway.next_action(request)
    assert subject.gateway.next_action(request) is not None


def test_without_an_address_to_come_back_to_the_card_is_declined(subject: Subject) -> None:
    request = make_asking(subject)
    for _ in range(2):
        with pytest.raises(CardDeclined) as declined:
            subject.gateway.charge(request)
        assert declined.value.code == "authentication_required"
    assert charges_of(subject, request) == []


def test_what_the_customers_browser_is_told_is_in_no_repr() -> None:
    action = NextAction(url="https://bank.example.com/1", client_secret="pi_1_secret_2")
    assert "bank" not in repr(action)
    assert "pi_1" not in repr(action)
