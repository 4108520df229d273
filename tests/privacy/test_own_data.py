"""What customers are given of their own data, for their password."""

from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit.models import Difference
from events_out.models import Delivery, DeliveryTry
from orders.models import Order, OrderEvent
from payments.models import Refund, Transfer, WebhookEvent
from privacy.exporting import LEFT_OUT
from tests.builders import everything, make_endpoint, make_order, request_refund, tamper
from tests.privacy.aging import end_order

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateway", "empty_ledger")]
ANN, PASSWORD, NOTE = "ann@example.com", "correct horse battery", "Bob phoned"
URL = "/account/data/"


@pytest.fixture(autouse=True)
def _limits(settings: LazySettings) -> None:
    settings.LOG_IN_LIMITS = {"account": 2, "ip": 50}
    settings.REDIS_PREFIX = uuid4().hex  # nobody has tried anything yet


@pytest.fixture
def ann(client: Client) -> User:
    user = User.objects.create_user(ANN, PASSWORD, verified_email=ANN)
    client.force_login(user)
    return user


@pytest.fixture
def order(ann: User) -> Order:
    """Confirmed, and with a note of staff in each place that has one."""
    order = end_order(make_order(email=ANN, user=ann))
    order.add_event(OrderEvent.Kind.RECONCILED, note=NOTE, remedy="reviewed")
    now = timezone.now()
    Transfer.objects.create(
        provider_id="B-1", reference=order.code, amount=1, currency="GBP", arrived_on=now, note=NOTE
    )
    known = {"kind": "amount_differs", "gateway": "stripe", "provider_id": "pi_2", "reference": order.code}
    Difference.objects.create(**known, resolution="reviewed", resolved_at=now, occurred_at=now, note=NOTE)
    WebhookEvent.objects.create(provider="stripe", event_id="evt_1", type="x", reference=order.code, body="{}")
    return order


def ask(client: Client, password: str = PASSWORD) -> Any:
    return client.post(URL, {"password": password})


def is_file(answer: Any) -> bool:
    return "attachment" in answer.headers.get("Content-Disposition", "")


def test_a_customer_downloads_one_file_of_all_their_orders(client: Client, order: Order) -> None:
    make_order(email="bob@example.com")
    guest = end_order(make_order(email=ANN))
    client.get("/cart/")
    before = everything()

    answer = ask(client)

    assert (answer["Content-Type"], is_file(answer)) == ("application/json", True)
    assert "no-store" in answer["Cache-Control"]
    held = answer.json()
    assert (held["email"], held["account"]["email"]) == (ANN, ANN)
    assert [found["order"]["code"] for found in held["orders"]] == [order.code, guest.code]
    assert held["orders"][0]["payments"][0]["provider_id"] == order.payment.provider_id
    assert [event["event_id"] for event in held["webhook_events"]] == ["evt_1"]
    assert "bob@example.com" not in answer.text
    assert everything() == before


def test_what_staff_have_noted_is_left_out_and_said_to_be(client: Client, order: Order) -> None:
    answer = ask(client)

    assert NOTE not in answer.text
    held = answer.json()
    notes = [event["data"].get("note") for event in held["orders"][0]["events"]]
    notes += [row["note"] for row in (*held["orders"][0]["transfers"], *held["differences"])]
    assert [note for note in notes if note] == [LEFT_OUT] * 3


def test_what_the_servers_of_others_have_answered_is_left_out(client: Client, order: Order) -> None:
    told = Delivery.objects.create(
        endpoint=make_endpoint(), order=order, event=order.events.first(), answer="Bob's parcel", last_error="10.0.0.7"
    )
    DeliveryTry.objects.create(delivery=told, error="10.0.0.7: refused")

    answer = ask(client)

    assert "Bob" not in answer.text
    assert "10.0.0.7" not in answer.text
    held = answer.json()
    assert (held["deliveries"][0]["answer"], held["delivery_tries"][0]["error"]) == (LEFT_OUT, LEFT_OUT)


def test_what_the_provider_said_of_errors_is_left_out_and_the_code_of_a_decline_is_not(
    client: Client, order: Order
) -> None:
    words = "10.0.0.7: account acct_1 is restricted"
    request_refund(order, amount=1)
    tamper(
        """UPDATE payments_payment SET status = 'DECLINED', provider_id = NULL, decline_code = 'lost_card',
        last_error = %s, in_flight_by = %s""",
        words,
        words,
    )
    Refund.objects.update(last_error=words)
    Difference.objects.update(last_error=words)

    answer = ask(client)

    assert "10.0.0.7" not in answer.text
    held = answer.json()
    [payment], [refund] = held["orders"][0]["payments"], held["orders"][0]["refunds"]
    assert (payment["decline_code"], payment["in_flight_by"]) == ("lost_card", LEFT_OUT)
    assert {row["last_error"] for row in (payment, refund, *held["differences"])} == {LEFT_OUT}


def test_no_secret_of_the_account_or_its_session_is_in_the_file(client: Client, order: Order) -> None:
    answer = ask(client)

    assert "password" not in answer.json()["account"]
    assert "_auth_user_hash" not in answer.text


def test_a_wrong_password_gives_nothing(client: Client, order: Order) -> None:
    for password in ("wrong", ""):
        answer = ask(client, password)
        assert not is_file(answer)
        assert order.code not in answer.text
    assert "The password is wrong." in ask(client, "wrong").text


def test_after_so_many_tries_even_the_right_password_has_to_wait(client: Client, order: Order) -> None:
    ask(client, "wrong")
    assert is_file(ask(client))

    answer = ask(client)

    assert not is_file(answer)
    assert "Too many attempts. Try again in 60 minutes." in answer.text


def test_an_address_that_is_not_confirmed_is_not_known_to_be_the_customers(client: Client, order: Order) -> None:
    User.objects.update(verified_email="")

    answer = ask(client)

    assert not is_file(answer)
    assert "not confirmed yet" in answer.text
    assert order.code not in answer.text


def test_a_guest_is_sent_to_log_in(client: Client) -> None:
    answer = ask(client)

    assert (answer.status_code, answer["Location"]) == (302, f"/account/log-in/?next={URL}")


@pytest.mark.parametrize(
    ("contact", "words"), [("tea@example.com", "mailto:tea@example.com"), ("", "Write to the shop")]
)
def test_the_page_says_whom_to_ask_for_an_erasure(
    client: Client, ann: User, settings: LazySettings, contact: str, words: str
) -> None:
    settings.SHOP_CONTACT = contact

    assert words in client.get(URL).text
    assert URL in client.get("/orders/").text
