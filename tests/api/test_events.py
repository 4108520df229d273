"""A client with the scope follows what happens to all orders."""

import pytest
from django.test import Client

from events_out.feed import move_horizon
from orders.services import finalize_order
from payments.models import Payment
from tests.api.clients import make_token, send
from tests.api.test_api import assert_refused
from tests.builders import answer_payment, make_order

pytestmark = pytest.mark.django_db


@pytest.fixture
def token() -> str:
    return make_token("events")


def test_a_client_goes_on_where_it_was(client: Client, token: str) -> None:
    order = make_order(metadata={"to": "Ann"})
    move_horizon()
    first = send(client, "events", token=token).json()
    nothing = send(client, f"events?after={first['next']}", token=token).json()
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)
    move_horizon()
    second = send(client, f"events?after={nothing['next']}", token=token).json()

    assert [event["type"] for event in first["data"] + second["data"]] == ["order.placed", "order.confirmed"]
    assert nothing == {"data": [], "next": first["next"]}
    assert first["data"][0]["data"]["order"]["metadata"] == {"to": "Ann"}


def test_a_client_may_ask_for_one_type(client: Client, token: str) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)
    move_horizon()

    events = send(client, "events?type=order.confirmed", token=token).json()["data"]

    assert [(event["type"], event["data"]["order"]["code"]) for event in events] == [("order.confirmed", order.code)]


@pytest.mark.parametrize(
    "query", ["after=1", "after=evt_", "after=evt_9999999999999999999", "type=order.lost", "type=order-placed"]
)
def test_a_query_that_makes_no_sense_is_refused(client: Client, token: str, query: str) -> None:
    assert_refused(send(client, f"events?{query}", token=token), 400, "bad_field")


def test_nobody_else_reads_the_feed(client: Client) -> None:
    assert_refused(send(client, "events"), 401, "bad_token")
    assert_refused(send(client, "events", token=make_token("orders", "stock")), 403, "missing_scope")
