"""What clients change beside orders' payments and refunds: they cancel, and correct stock."""

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from api.models import AnsweredCall
from catalog.models import StockMovement
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from tests.api.clients import make_token, send
from tests.api.test_api import BODY, assert_refused
from tests.builders import answer_payment, everything, make_order, make_product, stock_of

pytestmark = pytest.mark.django_db
LESS = {"quantity": -2, "reason": "Broken"}


def test_a_pending_order_is_cancelled_by_its_code(client: Client) -> None:
    code = make_order().code

    answer = send(client, f"orders/{code}/cancel", {})

    assert (answer.status_code, answer.json()["status"], answer.json()["reason"]) == (200, "CANCELLED", "customer")
    assert stock_of("MUG") == (10, 0)


def test_an_order_that_has_ended_is_not_cancelled(client: Client) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SUCCEEDED)
    finalize_order(code=order.code)
    before = everything()

    assert_refused(send(client, f"orders/{order.code}/cancel", {}), 409, "order_has_ended")
    assert_refused(send(client, "orders/261124-GH0ST-GH0ST/cancel", {}), 404, "not_found")
    assert everything() == before


def test_stock_is_read_and_adjusted_once_for_each_key(client: Client) -> None:
    make_order({"A/B": 1})
    token = make_token("stock")

    answers = [send(client, "stock/A/B/adjustments", LESS, token=token, key="k1") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[1]["Idempotent-Replayed"] == "true"
    assert send(client, "stock/A/B", token=token).json() == answers[1].json()
    assert answers[0].json() == {"sku": "A/B", "on_hand": 8, "reserved": 1, "available": 7}
    movement = StockMovement.objects.get(kind="ADJUSTED")
    assert (movement.quantity, movement.reason, movement.actor) == (-2, "Broken", None)


def test_a_key_whose_answer_is_kept_no_more_moves_no_stock_again(client: Client) -> None:
    make_product("MUG")
    path, token = "stock/MUG/adjustments", make_token("stock")
    send(client, path, LESS, token=token, key="k1")
    AnsweredCall.objects.all().delete()
    before = everything()

    again = send(client, path, LESS, token=token, key="k1")
    AnsweredCall.objects.all().delete()
    other = send(client, path, LESS | {"quantity": -1}, token=token, key="k1")

    assert (again.status_code, again.json()["on_hand"]) == (201, 8)
    assert_refused(other, 422, "idempotency_key_reused")
    assert everything() == before


def test_the_same_key_is_another_adjustment_of_another_client_or_product(client: Client) -> None:
    make_product("MUG")
    make_product("CUP")
    for sku, token in [("MUG", make_token("stock")), ("MUG", make_token("stock", "orders"))]:
        send(client, f"stock/{sku}/adjustments", LESS, token=token, key="k1")
    send(client, "stock/CUP/adjustments", LESS, token=token, key="k1")

    assert (stock_of("MUG"), stock_of("CUP")) == ((6, 0), (8, 0))


def test_refused_adjustments_move_nothing(client: Client) -> None:
    make_order({"MUG": 9})
    path, token = "stock/MUG/adjustments", make_token("stock")
    send(client, path, {"quantity": 1, "reason": "Found"}, token=token, key="k1")
    before = everything()

    assert_refused(
        send(client, path, {"quantity": -3, "reason": "Lost"}, token=token, key="k2"), 409, "adjustment_refused"
    )
    assert_refused(send(client, path, LESS, token=token, key="k1"), 422, "idempotency_key_reused")
    assert_refused(send(client, path, LESS, token=token), 400, "bad_idempotency_key")
    for wrong in ({"quantity": 0}, {"quantity": 1.0}, {"quantity": 10**7}, {"reason": ""}, {"reason": "x" * 201}):
        assert_refused(send(client, path, LESS | wrong, token=token, key="k3"), 400, "bad_field")
    assert_refused(send(client, "stock/GHOST/adjustments", LESS, token=token, key="k4"), 404, "not_found")
    assert everything() == before


def test_only_clients_with_the_scope_see_and_move_stock(client: Client, settings: LazySettings) -> None:
    make_product("MUG")
    settings.API_TOKENS, before = ["orders"], everything()

    for token, status, code in [("", 401, "bad_token"), ("orders", 403, "missing_scope")]:
        assert_refused(send(client, "stock/MUG", token=token), status, code)
        assert_refused(send(client, "stock/MUG/adjustments", LESS, token=token, key="k"), status, code)
    assert everything() == before


def test_staff_with_a_session_move_stock_if_they_send_the_csrf_token() -> None:
    make_product("MUG")
    staff = User.objects.create_user("staff@example.com", "secret", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="change_stock"))
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)

    assert send(client, "stock/MUG").json()["on_hand"] == 10
    assert_refused(send(client, "stock/MUG/adjustments", LESS, key="k1"), 401, "bad_token")
    assert stock_of("MUG") == (10, 0)
    client.get("/account/log-in/")
    csrf = client.cookies["csrftoken"].value
    assert send(client, "stock/MUG/adjustments", LESS, key="k1", **{"X-CSRFToken": csrf}).status_code == 201
    assert StockMovement.objects.get(kind="ADJUSTED").actor == staff


def test_a_form_of_a_browser_with_a_key_is_read_once() -> None:
    """Its CSRF token is looked for in the body, of which the key is kept with a hash."""
    order, client = make_order(), Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("ann@example.com", "secret"))
    client.get("/cart/")
    form = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}

    answer = client.post(f"/api/v1/orders/{order.code}/cancel", form, headers={"Idempotency-Key": "k1"})

    assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")


def test_a_customers_session_places_an_order_of_their_account_only_with_the_csrf_token() -> None:
    make_product("MUG")
    ann, client = User.objects.create_user("ann@example.com", "secret"), Client(enforce_csrf_checks=True)
    client.force_login(ann)
    client.get("/cart/")
    csrf = client.cookies["csrftoken"].value

    send(client, "orders", BODY, key="k1")
    send(client, "orders", BODY, key="k2", **{"X-CSRFToken": csrf})

    assert [order.user for order in Order.objects.order_by("pk")] == [None, ann]


def test_a_revoked_or_narrow_token_refunds_nothing(client: Client) -> None:
    order, refund = make_order(), {"number": 1, "amount": 100}
    before = everything()

    assert_refused(
        send(client, f"orders/{order.code}/refunds", refund, token=make_token("stock")), 403, "may_not_refund"
    )
    assert_refused(send(client, f"orders/{order.code}/refunds", refund, token="orderly_gone"), 401, "bad_token")
    assert everything() == before
