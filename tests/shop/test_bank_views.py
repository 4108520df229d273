"""A customer is led to the bank and back. Only the provider says what came of it, and no page claims more."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError

from orders import tasks
from orders.models import Order
from payments import actions
from payments.gateway import GatewayUnavailable, NextAction, get_gateway
from payments.models import Payment
from payments.services import charge_payment
from payments.stripe import StripeGateway
from shop import bank_views
from shop.status import describe_order
from tests.builders import answer_payment, everything, make_order
from tests.lab.test_card_tokens import make_token
from tests.provider import Provider
from tests.test_languages import find_english

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway")]
SHOP_URL = "https://shop.example.com"


@pytest.fixture(autouse=True)
def shop_url(settings: LazySettings) -> None:
    settings.SHOP_URL, settings.PAYMENT_RETURN_URL = SHOP_URL, f"{SHOP_URL}/orders/{{reference}}/return/"
    settings.STRIPE_PUBLISHABLE_KEY, settings.STRIPE_JS_URL = "pk_test_sandbox", ""
    cache.clear()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The codes of the orders whose provider is asked again."""
    codes: list[str] = []
    monkeypatch.setattr(tasks, "process_order", lambda code, **_options: codes.append(code))
    return codes


def make_waiting_order(payment_method: str = "pm_card_authenticationRequired") -> Order:
    order = make_order(payment_method=payment_method)
    charge_payment(reference=order.code)
    assert Payment.objects.get().status == Payment.Status.ACTION_REQUIRED
    return order


def go(client: Client, order: Order) -> Any:
    return client.get(f"/orders/{order.code}/action/")


def test_the_order_page_leads_to_the_bank_and_does_not_say_what_came_of_it(client: Client, provider: Provider) -> None:
    order = make_waiting_order()
    page = client.get(f"/orders/{order.code}/").text
    assert "Your bank asks you to confirm" in page
    assert f'href="/orders/{order.code}/action/"' in page
    before = everything()

    bank = go(client, order)

    assert (bank.status_code, everything()) == (HTTPStatus.SEE_OTHER, before)
    assert bank["Location"].startswith(f"{provider.url}/bank/")
    assert "no-store" in bank["Cache-Control"]
    provider.act(bank["Location"], "approve")
    assert "Your bank asks you to confirm" in client.get(f"/orders/{order.code}/").text
    assert "Your payment went through" not in client.get(f"/orders/{order.code}/").text


def test_a_customer_who_comes_back_has_the_provider_asked_once_and_not_by_the_request(
    client: Client, provider: Provider, published: list[str]
) -> None:
    order = make_waiting_order()
    provider.act(go(client, order)["Location"], "approve")
    before = everything()

    for _ in range(3):  # whatever the address says
        back = client.get(f"/orders/{order.code}/return/?redirect_status=succeeded&payment_intent_client_secret=x")
        assert (back.status_code, back["Location"]) == (HTTPStatus.FOUND, f"/orders/{order.code}/")

    assert (published, everything()) == ([order.code], before)


def test_a_customer_who_comes_back_to_an_order_that_has_ended_changes_nothing(
    client: Client, published: list[str]
) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.CANCELLED)
    Order.objects.update(status="CANCELLED", cancel_reason="expired", finalized_at=timezone.now())
    before = everything()
    assert client.get(f"/orders/{order.code}/return/")["Location"] == f"/orders/{order.code}/"
    assert (published, everything()) == ([], before)
    assert client.get("/orders/000000-AAAAA-AAAAA/return/").status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (Payment.Status.PENDING, {}),
        (Payment.Status.SENT, {}),
        (Payment.Status.ACTION_REQUIRED, {"last_error": "no answer"}),
    ],
)
def test_nobody_uses_up_the_requests_of_a_payment_by_reloading(
    client: Client, published: list[str], status: Payment.Status, fields: dict[str, str]
) -> None:
    order = make_order()
    answer_payment(order, status, **fields)
    assert client.get(f"/orders/{order.code}/return/").status_code == HTTPStatus.FOUND
    assert published == []


def test_a_broker_that_is_down_stops_nobody_from_coming_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_code: str) -> None:
        raise OperationalError("down")

    order = make_waiting_order()
    monkeypatch.setattr(bank_views, "take_up_order", fail)
    assert client.get(f"/orders/{order.code}/return/").status_code == HTTPStatus.FOUND


def test_a_token_is_confirmed_by_the_providers_script_on_a_page_of_ours(client: Client, provider: Provider) -> None:
    order = make_waiting_order(make_token(provider, "pm_card_authenticationRequired"))

    page = go(client, order)

    secret = page.text.partition('data-secret="')[2].partition('"')[0]
    assert secret.startswith("pi_")
    assert f'data-return="/orders/{order.code}/return/"' in page.text
    assert "js.stripe.com" in page["Content-Security-Policy"]
    assert "no-store" in page["Cache-Control"]


@pytest.mark.parametrize("fault", ["down", "trickle"])
def test_a_provider_that_does_not_answer_leads_back_to_the_order_with_a_sentence(
    client: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("payments.stripe.NEXT_ACTION_TIMEOUT", 0.5)
    order = make_waiting_order()
    before = everything()
    provider.control(fault=fault)

    answer = go(client, order)

    provider.control()
    assert (answer.status_code, answer["Location"]) == (HTTPStatus.FOUND, f"/orders/{order.code}/")
    assert "Try again in a minute" in client.get(answer["Location"]).text
    assert everything() == before


def test_while_the_provider_is_asked_no_connection_to_the_database_is_held(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_waiting_order()
    held: list[bool] = []

    def answer(*_: object) -> NextAction:
        held.append(connection.connection is not None)
        return NextAction(url="https://bank.example.com/1")

    monkeypatch.setattr(StripeGateway, "next_action", answer)
    assert go(client, order)["Location"] == "https://bank.example.com/1"
    assert held == [False]


def test_customers_of_a_provider_that_hangs_leave_threads_for_everybody_else(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_waiting_order()
    taken = [actions._customers.acquire(blocking=False) for _ in range(actions.CUSTOMERS)]
    try:
        assert all(taken)
        with pytest.raises(GatewayUnavailable):
            actions.find_next_action(reference=order.code)
        assert go(client, order)["Location"] == f"/orders/{order.code}/"
    finally:
        for _ in taken:
            actions._customers.release()
    assert actions.find_next_action(reference=order.code)


@pytest.mark.parametrize("status", [status for status in Payment.Status if status != Payment.Status.ACTION_REQUIRED])
def test_where_there_is_nothing_to_do_the_provider_is_not_asked(
    client: Client, provider: Provider, status: Payment.Status
) -> None:
    order = make_order()
    answer_payment(order, status)
    provider.control(fault="down")
    assert go(client, order)["Location"] == f"/orders/{order.code}/return/"


def test_an_action_that_is_over_by_now_leads_to_what_came_of_it(client: Client, provider: Provider) -> None:
    order = make_waiting_order()
    provider.act(go(client, order)["Location"], "approve")
    assert go(client, order)["Location"] == f"/orders/{order.code}/return/"


def test_without_the_providers_script_a_token_leads_back_with_a_sentence(
    client: Client, provider: Provider, settings: LazySettings
) -> None:
    order = make_waiting_order(make_token(provider, "pm_card_authenticationRequired"))
    settings.STRIPE_PUBLISHABLE_KEY = ""
    assert get_gateway().payment_form() is None
    assert go(client, order)["Location"] == f"/orders/{order.code}/"


def test_past_the_deadline_or_after_a_cancel_nobody_is_sent_to_the_bank() -> None:
    order = make_order()
    answer_payment(order, Payment.Status.ACTION_REQUIRED)
    for change in ({"cancel_reason": "customer"}, {"cancel_reason": "", "expires_at": timezone.now()}):
        Order.objects.update(**change)
        status = describe_order(Order.objects.select_related("payment").get(pk=order.pk))
        assert (status.title, status.may_act) == ("Stopping the payment", False)
        Order.objects.update(expires_at=timezone.now() + timedelta(minutes=1))


def test_the_page_of_the_script_is_korean_for_who_reads_korean(client: Client, provider: Provider) -> None:
    order = make_waiting_order(make_token(provider, "pm_card_authenticationRequired"))
    page = client.get(f"/orders/{order.code}/action/", headers={"Accept-Language": "ko"}).text
    assert find_english(page, order.code) == []
