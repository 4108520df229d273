"""A payment that waits for its customer: what is written down, what is counted, and how it ends."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from payments import requests
from payments.gateway import GatewayUnavailable, NextAction, get_gateway
from payments.models import Payment
from payments.requests import make_request, mark_sent
from payments.services import cancel_payment, charge_payment, create_payment, request_cancel
from tests.payments.test_services import charged, make_payment, row
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "shop_url")]
Status = Payment.Status
ASKS = "pm_card_authenticationRequired"


@pytest.fixture
def shop_url(settings: LazySettings) -> None:
    settings.PAYMENT_RETURN_URL = "https://shop.example.com/orders/{reference}/return/"


def require_action(reference: str, payment_method: str = ASKS) -> NextAction:
    make_payment(payment_method, reference=reference)
    charge_payment(reference=reference)
    assert row(reference)["status"] == Status.ACTION_REQUIRED
    action = get_gateway().next_action(make_request(Payment.objects.get(reference=reference)))
    assert action
    return action


def status_of(reference: str) -> str:
    return str(row(reference)["status"])


def test_a_payment_that_waits_for_its_customer_is_written_down_and_unanswered(reference: str) -> None:
    require_action(reference)

    payment = Payment.objects.get()
    assert (payment.is_answered, payment.waits_for_action, payment.answered_at) == (False, True, None)
    assert (payment.in_flight_until, payment.last_error, payment.only_refused) == (None, "", False)
    assert payment.action_required_at
    assert payment.return_url == f"https://shop.example.com/orders/{reference}/return/"
    assert charged(reference) == []


@pytest.mark.parametrize(("answer", "ends"), [("approve", Status.SUCCEEDED), ("fail", Status.DECLINED)])
def test_charge_payment_finds_what_the_customer_did_at_the_bank(
    provider: Provider, reference: str, answer: Any, ends: Status
) -> None:
    action = require_action(reference)
    provider.act(action.url, answer)

    charge_payment(reference=reference)
    before = row(reference)
    charge_payment(reference=reference)

    assert (row(reference), before["status"]) == (before, ends)
    assert charged(reference) == ([1234] if ends == Status.SUCCEEDED else [])


def test_a_customer_who_takes_time_uses_up_no_requests(
    settings: LazySettings, provider: Provider, reference: str
) -> None:
    settings.PAYMENT_MAX_REQUESTS = 2
    action = require_action(reference)
    for _ in range(4):
        charge_payment(reference=reference)
    assert row(reference)["requests"] == 1

    provider.act(action.url, "approve")
    charge_payment(reference=reference)

    assert status_of(reference) == Status.SUCCEEDED


def test_requests_without_an_answer_are_counted_and_the_customer_may_still_act(
    settings: LazySettings, provider: Provider, reference: str
) -> None:
    settings.PAYMENT_MAX_REQUESTS = 3
    require_action(reference)
    provider.control(fault="down")
    for _ in range(2):
        with pytest.raises(GatewayUnavailable):
            charge_payment(reference=reference)
    charge_payment(reference=reference)  # once too often: nothing is asked

    payment = Payment.objects.get()
    assert (payment.status, payment.requests) == (Status.ACTION_REQUIRED, 3)
    assert payment.last_error
    assert not payment.waits_for_action


def test_a_bank_that_processes_after_the_approval_waits_for_no_customer_any_more(
    provider: Provider, reference: str
) -> None:
    action = require_action(reference, "pm_sandbox_action_processing")
    provider.act(action.url, "approve")

    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)

    assert status_of(reference) == Status.SENT


def test_cancel_payment_ends_the_wait_for_good(provider: Provider, reference: str) -> None:
    action = require_action(reference)

    cancel_payment(reference=reference)
    provider.act(action.url, "approve")
    charge_payment(reference=reference)

    assert (status_of(reference), charged(reference)) == (Status.CANCELLED, [])


def test_cancel_payment_finds_the_approval_of_a_customer_who_never_came_back(
    provider: Provider, reference: str
) -> None:
    action = require_action(reference)
    provider.act(action.url, "approve")

    cancel_payment(reference=reference)

    assert (status_of(reference), charged(reference)) == (Status.SUCCEEDED, [1234])


def test_after_a_cancel_was_requested_only_the_cancel_asks(provider: Provider, reference: str) -> None:
    action = require_action(reference)
    request_cancel(reference=reference)
    provider.act(action.url, "approve")

    charge_payment(reference=reference)
    assert status_of(reference) == Status.ACTION_REQUIRED
    cancel_payment(reference=reference)
    assert status_of(reference) == Status.SUCCEEDED


def test_a_late_answer_that_asks_for_the_customer_replaces_no_other(provider: Provider, reference: str) -> None:
    action = require_action(reference)
    late = mark_sent(reference, askable=Payment.ASKED)
    assert late
    Payment.objects.update(in_flight_until=Now() - timedelta(seconds=1))  # it was frozen, and another one asks
    provider.act(action.url, "approve")
    charge_payment(reference=reference)
    before = row(reference)

    requests.record_action(late)

    assert row(reference) == before
    assert before["status"] == Status.SUCCEEDED


def test_a_payment_that_was_sent_without_an_address_is_asked_for_as_before(
    settings: LazySettings, provider: Provider, reference: str
) -> None:
    """An older release has sent it: its key is bound to what it said."""
    settings.PAYMENT_RETURN_URL = ""
    make_payment("pm_sandbox_drop", reference=reference)
    with pytest.raises(GatewayUnavailable):
        charge_payment(reference=reference)

    settings.PAYMENT_RETURN_URL = "https://shop.example.com/orders/{reference}/return/"
    charge_payment(reference=reference)

    assert (status_of(reference), charged(reference)) == (Status.SUCCEEDED, [1234])


def test_a_shop_that_moves_asks_with_the_address_that_was_sent(
    settings: LazySettings, provider: Provider, reference: str
) -> None:
    action = require_action(reference)
    settings.PAYMENT_RETURN_URL = "https://new.example.com/orders/{reference}/return/"

    assert provider.act(action.url, "approve").startswith(f"https://shop.example.com/orders/{reference}/return/?")
    charge_payment(reference=reference)

    assert status_of(reference) == Status.SUCCEEDED


def test_the_database_keeps_the_address_and_lets_nobody_pay_twice_while_a_customer_acts(reference: str) -> None:
    require_action(reference)
    before = row(reference)
    second: dict[str, Any] = {"amount": 1234, "currency": "GBP", "payment_method": ASKS, "number": 2}

    assert create_payment(reference=reference, **second) is None
    for change in ({"return_url": "https://thief.example.com"}, {"action_required_at": None}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Payment.objects.update(**change)

    assert (row(reference), Payment.objects.count()) == (before, 1)
