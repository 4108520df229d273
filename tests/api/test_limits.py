"""A client that has limits is told what is left of them."""

import re

import pytest
from django.conf import LazySettings
from django.test import Client

from orders.services import finalize_order
from payments.models import Payment
from tests.api.clients import make_token, send
from tests.api.test_api import BODY, assert_refused
from tests.builders import answer_payment, make_order, make_product
from tests.orders.test_limits import make_ip

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    """Somebody at an address that nobody has used yet."""
    return Client(REMOTE_ADDR=make_ip())


@pytest.fixture(autouse=True)
def _limits(settings: LazySettings) -> None:
    settings.CHECKOUT_LIMITS = {"session": 0, "account": 0, "ip": 2}
    settings.DECLINE_LIMITS = {"session": 0, "account": 0, "ip": 0}


def test_what_is_left_goes_down_to_nothing_and_then_orders_are_refused(client: Client) -> None:
    make_product("MUG")
    answers = [send(client, "orders", BODY, key=f"k{number}") for number in range(2)]

    assert [answer["RateLimit-Policy"] for answer in answers] == ['"ip";q=2;w=3600'] * 2
    assert [re.sub(r"t=3[56]\d\d$", "t=...", answer["RateLimit"]) for answer in answers] == [
        '"ip";r=1;t=...',
        '"ip";r=0;t=...',
    ]
    refused = send(client, "orders", BODY, key="k3")
    assert_refused(refused, 429, "too_many_checkouts")
    assert refused["Retry-After"]
    assert refused["RateLimit"].startswith('"ip";r=0;t=')


def test_a_payment_counts_as_an_order_does_and_its_client_is_told(client: Client) -> None:
    order = make_order(hold_on_decline=600)
    answer_payment(order, Payment.Status.DECLINED)
    finalize_order(code=order.code)

    answer = send(client, f"orders/{order.code}/payments", {"number": 2, "payment_method": "pm_card_visa"}, key="k1")

    assert answer.status_code == 201
    assert answer["RateLimit"].startswith('"ip";r=1;t=')
    again = send(client, f"orders/{order.code}/payments", {"number": 2, "payment_method": "pm_card_visa"}, key="k1")
    assert (again["Idempotent-Replayed"], again["RateLimit"].partition(";t=")[0]) == ("true", '"ip";r=1')


def test_a_client_without_limits_is_told_of_none(client: Client) -> None:
    make_product("MUG")

    answer = send(client, "orders", BODY, token=make_token("unlimited"), key="k1")

    assert answer.status_code == 201
    assert "RateLimit" not in answer
