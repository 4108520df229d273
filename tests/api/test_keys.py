"""A call with an Idempotency-Key is done once, and its repeats get its answer, word by word."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken
from api.keys import LOCKED_KEYS
from api.models import AnsweredCall
from api.tasks import delete_old_calls
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from tests.api.clients import make_token, send
from tests.api.test_api import assert_refused
from tests.builders import answer_payment, everything, make_order, tamper

pytestmark = pytest.mark.django_db
POUND = {"number": 1, "amount": 100}


@pytest.fixture
def order() -> Order:
    """A confirmed order of two MUGs at 500 each."""
    order = make_order({"MUG": 2})
    answer_payment(order, Payment.Status.SUCCEEDED)
    return finalize_order(code=order.code)


@pytest.fixture
def token() -> str:
    return make_token("refunds")


def test_a_repeat_gets_the_first_answer_even_if_it_would_be_another_by_now(
    client: Client, order: Order, token: str
) -> None:
    path = f"orders/{order.code}/refunds"
    first = send(client, path, POUND, token=token, key="k1")
    Order.objects.filter(pk=order.pk).update(refunded=100)
    before = everything()

    again = send(client, path, POUND, token=token, key="k1")

    assert (again.status_code, again.content, again["Idempotent-Replayed"]) == (201, first.content, "true")
    assert "Idempotent-Replayed" not in first
    assert everything() == before


def test_a_cancel_is_answered_again_though_its_order_has_ended(client: Client) -> None:
    path = f"orders/{make_order().code}/cancel"

    answers = [send(client, path, {}, key="k1") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert_refused(send(client, path, {}, key="k2"), 409, "order_has_ended")


def test_a_key_belongs_to_one_client_and_one_address(client: Client, order: Order, token: str) -> None:
    other, path = make_order({"MUG": 1}), f"orders/{order.code}/refunds"
    send(client, path, POUND, token=token, key="k1")

    assert send(client, f"orders/{other.code}/cancel", {}, key="k1").status_code == 200
    answer = send(client, path, {"number": 2, "amount": 50}, token=make_token("refunds", "orders"), key="k1")
    assert answer.status_code == 201


def test_a_refused_call_keeps_nothing_so_its_key_may_be_sent_again(client: Client, token: str) -> None:
    order = make_order({"MUG": 2})
    path = f"orders/{order.code}/refunds"
    assert_refused(send(client, path, POUND, token=token, key="k1"), 409, "order_is_not_refundable")
    assert not AnsweredCall.objects.exists()

    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)

    assert send(client, path, POUND, token=token, key="k1").status_code == 201


def test_a_call_that_changes_nothing_is_not_kept_however_many_keys_a_guest_makes_up(
    client: Client, order: Order
) -> None:
    before, first = everything(), {"number": 1, "payment_method": order.payment.payment_method}

    answers = [send(client, f"orders/{order.code}/payments", first, key=f"k{number}") for number in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert (everything(), AnsweredCall.objects.count()) == (before, 0)


def test_a_call_whose_answer_can_not_be_kept_is_not_done(client: Client, order: Order, token: str) -> None:
    before = everything()
    tamper("ALTER TABLE api_answeredcall ADD CONSTRAINT no_room CHECK (FALSE)")

    with pytest.raises(IntegrityError, match="no_room"):
        send(client, f"orders/{order.code}/refunds", POUND, token=token, key="k1")

    assert everything() == before


@pytest.fixture
def other_call(settings: LazySettings) -> Iterator[psycopg.Connection]:
    """The session of a call that is under way."""
    database = connection.get_connection_params()
    with psycopg.connect(
        **{name: database[name] for name in ("host", "port", "user", "password", "dbname") if name in database}
    ) as session:
        yield session


def test_while_a_call_is_under_way_another_with_its_key_is_refused(
    client: Client, order: Order, token: str, other_call: psycopg.Connection
) -> None:
    path = f"/api/v1/orders/{order.code}/cancel"
    held = f'["", "{path}", "k1"]'
    other_call.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKED_KEYS, held])
    before = everything()

    answer = send(client, f"orders/{order.code}/cancel", {}, key="k1")

    assert_refused(answer, 409, "call_under_way")
    assert answer["Retry-After"] == "1"
    assert everything() == before
    other_call.rollback()
    assert_refused(send(client, f"orders/{order.code}/cancel", {}, key="k1"), 409, "order_has_ended")


def test_old_answers_are_deleted(client: Client) -> None:
    for number in range(2):
        send(client, f"orders/{make_order().code}/cancel", {}, key=f"k{number}")
    AnsweredCall.objects.filter(key="k0").update(created_at=timezone.now() - timedelta(days=2, minutes=1))

    delete_old_calls()

    assert [call.key for call in AnsweredCall.objects.all()] == ["k1"]


# --- the same rules for every call that changes something


@pytest.fixture
def calls(order: Order) -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """The address of each, a body that is right, and another one."""
    held = make_order({"CUP": 1}, hold_on_decline=600)
    answer_payment(held, Payment.Status.DECLINED)
    finalize_order(code=held.code)
    payment, less = {"number": 2, "payment_method": "pm_card_visa"}, {"quantity": -1, "reason": "Broken"}
    return {
        "payment": (f"orders/{held.code}/payments", payment, payment | {"payment_method": "pm_card_mastercard"}),
        "cancel": (f"orders/{make_order().code}/cancel", {}, {"why": "changed my mind"}),
        "refund": (f"orders/{order.code}/refunds", POUND, POUND | {"amount": 50}),
        "adjustment": ("stock/MUG/adjustments", less, less | {"quantity": -2}),
    }


CALLS = ("payment", "cancel", "refund", "adjustment")


@pytest.fixture
def all_scopes() -> str:
    return make_token("refunds", "stock")


@pytest.mark.parametrize("name", CALLS)
def test_every_call_is_answered_once_for_its_key(client: Client, calls: Any, all_scopes: str, name: str) -> None:
    path, body, other = calls[name]
    first = send(client, path, body, token=all_scopes, key="k1")
    before = everything()

    again = send(client, path, body, token=all_scopes, key="k1")
    changed = send(client, path, other, token=all_scopes, key="k1")

    assert first.status_code in (200, 201)
    assert "Idempotent-Replayed" not in first
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again["Idempotent-Replayed"] == "true"
    assert_refused(changed, 422, "idempotency_key_reused")
    assert everything() == before


@pytest.mark.parametrize("name", CALLS)
def test_no_call_waits_for_another_one_with_its_key(
    client: Client, calls: Any, all_scopes: str, name: str, other_call: psycopg.Connection
) -> None:
    path, body, _other = calls[name]
    token = ApiToken.objects.get()
    held = json.dumps([f"token {token.pk}", f"/api/v1/{path}", "k1"])
    other_call.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKED_KEYS, held])
    before = everything()

    answer = send(client, path, body, token=all_scopes, key="k1")

    assert_refused(answer, 409, "call_under_way")
    assert answer["Retry-After"] == "1"
    assert everything() == before


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("key", ["x" * 256, "caf\u00e9", "a\tb", "\x7f"])
def test_every_call_reads_a_key_alike(client: Client, calls: Any, all_scopes: str, name: str, key: str) -> None:
    path, body, _other = calls[name]
    before = everything()

    assert_refused(send(client, path, body, token=all_scopes, key=key), 400, "bad_idempotency_key")
    assert everything() == before


@pytest.mark.parametrize("name", CALLS)
def test_only_an_adjustment_needs_a_key(client: Client, calls: Any, all_scopes: str, name: str) -> None:
    """A payment and a refund have their number, and an order ends once."""
    path, body, _other = calls[name]
    before = everything()

    answers = [send(client, path, body, token=all_scopes, **header) for header in ({"Idempotency-Key": ""}, {})]

    if name == "adjustment":
        for answer in answers:
            assert_refused(answer, 400, "bad_idempotency_key")
    else:
        assert answers[0].status_code in (200, 201)
    assert (everything() == before) is (name == "adjustment")
    assert not AnsweredCall.objects.exists()
