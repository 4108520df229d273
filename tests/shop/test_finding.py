"""How a customer comes back to an order, and what is asked before one is cancelled."""

import pytest
from django.test import Client

from accounts.models import User
from orders.models import Order
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order, make_product
from tests.shop.customer import assert_sent_to, fill_cart, open_checkout

pytestmark = pytest.mark.django_db


def test_an_order_is_found_by_its_code_however_it_is_typed(client: Client) -> None:
    order = make_order()

    for typed in (
        order.code,
        f" {order.code.lower()} ",
        order.code.replace("-", " - "),
        order.code.replace("-", " "),
        order.code.replace("-", "").replace("0", "o"),
        order.code.replace("1", "l"),
    ):
        assert_sent_to(client.get("/orders/find/", {"code": typed}), order)


@pytest.mark.parametrize("typed", ["261124-7K3QM-9XZ2F", "x", "\0" * 18, "9" * 5000, "<b>"])
def test_a_code_of_no_order_finds_none(client: Client, typed: str) -> None:
    page = client.get("/orders/find/", {"code": typed})

    assert page.status_code == 200
    assert "There is no order with this code." in page.text
    assert "<b>" not in page.text


def test_a_browser_finds_its_last_order_again(client: Client) -> None:
    fill_cart(client, MUG=1)
    client.post("/checkout/", open_checkout(client))
    order = Order.objects.get()

    assert f'<a class="code" href="/orders/{order.code}/">' in client.get("/orders/find/").text
    assert order.code not in Client().get("/orders/find/").text


def test_an_order_is_cancelled_only_after_it_was_asked(client: Client) -> None:
    order = make_order()
    before = everything()
    assert f'href="/orders/{order.code}/cancel/"' in client.get(f"/orders/{order.code}/").text

    page = client.get(f"/orders/{order.code}/cancel/").text

    assert "Yes, cancel it" in page
    assert everything() == before
    assert_sent_to(client.post(f"/orders/{order.code}/cancel/"), order)
    order.refresh_from_db()
    assert (order.status, order.cancel_reason) == ("CANCELLED", "customer")
    assert_sent_to(client.get(f"/orders/{order.code}/cancel/"), order)  # there is nothing to ask any more


@pytest.mark.parametrize("address", ["/cart/add/", "/cart/change/", "/orders/{code}/pay/", "/orders/{code}/again/"])
def test_the_address_of_a_form_has_a_page_for_whoever_opens_it(client: Client, address: str) -> None:
    order = make_order()
    before = everything()

    answer = client.get(address.format(code=order.code))

    assert answer.status_code == 405
    assert "There is no page here" in answer.text
    assert answer["Content-Length"] == str(len(answer.content))  # or a server sends less of it
    assert everything() == before


def test_the_history_says_what_was_bought(client: Client) -> None:
    user = User.objects.create_user("ann@example.com")
    for sku in ("MUG", "CUP", "PAN", "POT"):
        make_product(sku)
    make_order({"MUG": 2, "CUP": 1, "PAN": 1, "POT": 1}, user=user)
    client.force_login(user)

    assert "2 \u00d7 The MUG, 1 \u00d7 The CUP, 1 \u00d7 The PAN \u2026" in client.get("/orders/").text


def test_while_a_bank_is_asked_the_page_says_until_when_and_that_a_mail_comes(client: Client) -> None:
    order = make_order()
    answer_payment(order, Payment.Status.SENT, requests=2)

    page = client.get(f"/orders/{order.code}/").text

    assert "We are checking with your bank" in page
    assert "We go on asking until <time datetime=" in page
    assert "You may close this page: a mail tells you how it ends." in page


def test_a_page_that_is_gone_leads_staff_back_to_the_back_office(client: Client, admin_client: Client) -> None:
    assert 'href="/admin/"' in admin_client.get("/admin/nothing/").text
    assert 'href="/admin/"' not in client.get("/nothing/").text
