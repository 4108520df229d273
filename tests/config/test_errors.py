"""What is answered while the database is away, read-only or locked: 503 with words, whoever asks for whatever."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from accounts.models import User
from orders.models import Order
from tests.builders import everything, make_order, make_product
from tests.locks import end_our_session, holding, make_our_session_read_only
from tests.shop.customer import assert_sent_to, fill_cart, open_checkout

pytestmark = pytest.mark.django_db(transaction=True)
BODY = {"email": "ann@example.com", "lines": [{"sku": "MUG", "quantity": 2}], "payment_method": "pm_card_visa"}
PAGES = [
    "/",
    "/products/-/MUG/",
    "/cart/",
    "/checkout/",
    "/orders/",
    "/orders/{code}/",
    "/orders/{code}/status/",
    "/account/sign-up/",
    "/account/password/",
    "/nothing/here/",
    "/admin/",
    "/admin/orders/order/",
    "/admin/orders/order/dashboard/",
    "/metrics",
]
WORDS = "nothing is charged twice"


@pytest.fixture(autouse=True)
def _next_session(transactional_db: None) -> Iterator[None]:
    yield
    connection.close()


@pytest.fixture
def order() -> Order:
    return make_order()


@pytest.fixture
def staff(order: Order) -> Client:
    """Logged in, with a cart; an error is answered, not raised."""
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("boss@example.com", "secret"))
    fill_cart(client, MUG=1)
    return client


def assert_try_again(response: Any) -> None:
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert WORDS in response.text


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_to_try_again_when_the_connection_is_lost(
    staff: Client, order: Order, page: str, caplog: pytest.LogCaptureFixture
) -> None:
    end_our_session()

    response = staff.get(page.format(code=order.code))

    assert_try_again(response)
    assert "item" not in response.text  # nobody knows what is in the cart
    assert [record.exc_info for record in caplog.records] == [None]


def test_it_says_so_in_the_readers_language(staff: Client) -> None:
    end_our_session()

    response = staff.get("/", headers={"Accept-Language": "ko"})

    assert response.status_code == 503
    assert "두 번" in response.text


def test_the_api_answers_try_again(order: Order) -> None:
    end_our_session()

    response = Client().get(f"/api/orders/{order.code}")

    assert (response.status_code, response.json()["error"], response.headers["Retry-After"]) == (503, "try_again", "5")


def test_an_unknown_address_of_the_api_needs_no_database(order: Order) -> None:
    end_our_session()

    assert Client().get("/api/nothing").status_code == 404


def test_the_api_answers_try_again_when_the_database_is_read_only() -> None:
    make_product("MUG")
    before = everything()
    make_our_session_read_only()

    response = Client().post("/api/orders", BODY, "application/json", headers={"Idempotency-Key": "k1"})

    assert (response.status_code, response.json()["error"]) == (503, "try_again")
    assert everything() == before


@pytest.mark.parametrize("path", ["/cart/add/", "/cart/change/"])
def test_a_cart_that_can_not_be_saved_is_no_error_of_the_client(
    staff: Client, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Django answers 400: it takes any session that can't be saved for one that was deleted."""
    before = list(Session.objects.values())
    make_our_session_read_only()

    assert_try_again(staff.post(path, {"sku": "MUG", "quantity": 2}))
    assert "in a read-only transaction" in caplog.text
    assert list(Session.objects.values()) == before


def test_a_session_that_was_deleted_meanwhile_is(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = Session.objects.all().delete
    monkeypatch.setattr("shop.cart_views.messages.add_message", lambda *_: delete())

    assert staff.post("/cart/add/", {"sku": "MUG", "quantity": 2}).status_code == 400


def test_a_guest_whose_session_can_not_be_made_is_told_to_try_again() -> None:
    make_product("MUG")
    make_our_session_read_only()

    assert_try_again(Client(raise_request_exception=False).post("/cart/add/", {"sku": "MUG", "quantity": 2}))


def test_a_checkout_on_a_read_only_database_keeps_the_form_and_says_so(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    before = everything()
    make_our_session_read_only()

    response = client.post("/checkout/", form)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "Press the button again" in response.text
    assert everything() == before


def test_a_checkout_whose_session_is_locked_leads_to_its_order_all_the_same(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)

    with holding("SELECT FROM django_session FOR UPDATE"):
        response = client.post("/checkout/", form)

    assert_sent_to(response, Order.objects.get())


# --- a bug


def break_cart(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("shop.cart_views.remove_ordered", fail)


def test_the_page_of_a_bug_names_its_request_and_keeps_the_cart_and_the_languages(
    staff: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    break_cart(monkeypatch)

    response = staff.get("/cart/", headers={"Accept-Language": "en"})

    assert response.status_code == 500
    assert f"<code>{response.headers['X-Request-ID']}</code>" in response.text
    assert "Nobody is told of it by itself." in response.text
    assert "1 item" in response.text
    assert 'class="languages"' in response.text
    assert f"Internal Server Error: /cart/ request_id={response.headers['X-Request-ID']}" in caplog.text


def test_it_says_that_it_was_reported_only_where_it_was(
    staff: Client, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    break_cart(monkeypatch)
    settings.SENTRY_DSN = "https://key@sentry.example.com/1"

    response = staff.get("/cart/", headers={"Accept-Language": "en"})

    assert f"It was reported as <code>{response.headers['X-Request-ID']}</code>" in response.text


def test_the_page_needs_nothing_of_what_may_be_broken(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("django.contrib.sessions.backends.db.SessionStore.load", fail)

    response = staff.get("/cart/", headers={"Accept-Language": "en"})

    assert response.status_code == 500
    assert "It is our fault." in response.text
    assert "item" not in response.text


# --- locks


@pytest.mark.parametrize(
    ("table", "page"),
    [
        ("orders_order", "/orders/{code}/"),
        ("orders_orderline", "/orders/{code}/"),
        ("payments_payment", "/orders/{code}/status/"),
        ("catalog_product", "/"),
        ("catalog_stock", "/products/-/MUG/"),
        ("catalog_stock", "/cart/"),
        ("django_session", "/cart/"),
        ("accounts_user", "/orders/"),
    ],
)
def test_a_page_behind_a_locked_table_says_to_try_again(staff: Client, order: Order, table: str, page: str) -> None:
    with holding(f"LOCK TABLE {table}"):
        assert_try_again(staff.get(page.format(code=order.code)))


def test_a_statement_that_takes_too_long_says_to_try_again(staff: Client, order: Order) -> None:
    with holding("LOCK TABLE catalog_product", our_patience="0"):
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 200")
        assert_try_again(staff.get("/"))


@pytest.mark.parametrize("table", ["orders_order", "orders_orderline"])
def test_the_api_behind_a_locked_table_answers_try_again(order: Order, table: str) -> None:
    with holding(f"LOCK TABLE {table}"):
        response = Client().get(f"/api/orders/{order.code}")

    assert (response.status_code, response.json()["error"]) == (503, "try_again")


def test_a_customer_whose_order_is_locked_is_told_that_it_was_not_cancelled(client: Client, order: Order) -> None:
    before = everything()

    with holding("SELECT FROM orders_order FOR UPDATE"):
        response = client.post(f"/orders/{order.code}/cancel/", follow=True)

    assert "We could not cancel it just now." in response.text
    assert everything() == before


@pytest.mark.parametrize(
    ("action", "locked"),
    [
        ("cancel_orders", "orders_order"),
        ("cancel_orders", "payments_payment"),
        ("cancel_orders", "catalog_stock"),
        ("process_orders", "orders_order"),
        ("process_orders", "payments_payment"),
    ],
)
def test_staff_are_told_which_order_was_busy(
    staff: Client, order: Order, action: str, locked: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = everything()
    form = {"action": action, "_selected_action": str(order.pk), "confirmed": "yes", "note": "It hangs."}

    with holding(f"SELECT FROM {locked} FOR UPDATE"):
        response = staff.post("/admin/orders/order/", form, follow=True)

    assert f"Not changed, the database is busy: {order.code}. Try again in a minute." in response.text
    assert everything() == before
    assert [bool(record.exc_info) for record in caplog.records if record.name == "backoffice.order_actions"] == [False]


def test_an_export_that_can_not_begin_says_to_try_again(staff: Client, order: Order) -> None:
    form = {"action": "export_orders", "_selected_action": str(order.pk)}

    with holding("LOCK TABLE payments_payment"):
        assert_try_again(staff.post("/admin/orders/order/", form))


# --- commands


@pytest.mark.parametrize(
    ("table", "command", "words"),
    [
        ("catalog_product", ["load_catalog", "{file}"], "nothing loaded, run it again: canceling statement"),
        (
            "catalog_product",
            ["replay", "{file}", "--url=http://127.0.0.1:9"],
            "can't be asked now: canceling statement",
        ),
    ],
)
def test_a_command_that_meets_a_lock_says_so(table: str, command: list[str], words: str, tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    file.write_text("sku,name,price\nMUG,Mug,5.00\n")

    with holding(f"LOCK TABLE {table}"), pytest.raises(CommandError, match=words):
        call_command(*(word.format(file=file) for word in command), stdout=StringIO(), stderr=StringIO())


def test_an_audit_that_meets_a_lock_knows_nothing(gateway: object) -> None:
    with holding("LOCK TABLE orders_order"), pytest.raises(CommandError, match="Nothing is known: cancel") as unknown:
        call_command("audit", stdout=StringIO())

    assert unknown.value.returncode == 2
