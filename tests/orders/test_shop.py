import re
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog.models import Product
from catalog.services import adjust_stock
from orders.checkout import place_order
from orders.models import Order
from orders.services import finalize_order
from orders.status import describe_order
from payments.models import Payment
from tests.builders import answer_payment, everything, make_order, make_product, stock_of
from tests.concurrency.race import race

pytestmark = pytest.mark.django_db


def fill_cart(client: Client, **basket: int) -> None:
    for sku, quantity in basket.items():
        if not Product.objects.filter(sku=sku).exists():
            make_product(sku)
        client.post("/cart/add/", {"sku": sku, "quantity": quantity})


def open_checkout(client: Client, **changes: str) -> dict[str, str]:
    """What the form of the checkout page sends."""
    context = client.get("/checkout/").context
    return {
        "checkout_key": context["checkout_key"],
        "fingerprint": context["cart"].fingerprint,
        "email": "ann@example.com",
        "payment_method": "pm_card_visa",
        **changes,
    }


def cart_of(client: Client) -> dict[str, int]:
    return {line.sku: line.quantity for line in client.get("/cart/").context["cart"].lines}


def assert_sent_to(response: Any, order: Order) -> None:
    assert (response.status_code, response["Location"]) == (HTTPStatus.SEE_OTHER, f"/orders/{order.code}/")


def end_order(order: Order, status: Payment.Status) -> Order:
    answer_payment(order, status)
    return finalize_order(code=order.code)


# --- checkout


def test_checkout_places_what_the_page_showed_and_empties_the_cart(client: Client) -> None:
    fill_cart(client, MUG=2, CUP=1)

    answer = client.post("/checkout/", open_checkout(client, email="Ann@Example.com"))

    order = Order.objects.get()
    assert_sent_to(answer, order)
    assert (order.email, order.total, order.user) == ("ann@example.com", 1500, None)
    assert {line.sku: line.quantity for line in order.lines.all()} == {"MUG": 2, "CUP": 1}
    assert stock_of("MUG") == (10, 2)
    assert cart_of(client) == {}


def test_checkout_of_a_user_uses_the_accounts_address(client: Client) -> None:
    user = User.objects.create_user("bob@example.com", "secret")
    client.force_login(user)
    fill_cart(client, MUG=1)

    client.post("/checkout/", open_checkout(client, email="somebody@example.com"))

    order = Order.objects.get()
    assert (order.email, order.user) == ("bob@example.com", user)


def test_the_same_form_again_ends_in_the_same_order(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    first = client.post("/checkout/", form)
    before = everything()

    again = client.post("/checkout/", form)

    assert again["Location"] == first["Location"]
    assert everything() == before
    assert "You had placed this order already" in client.get(again["Location"]).text


def test_who_never_saw_the_answer_finds_the_order_from_the_empty_checkout_and_cart(client: Client) -> None:
    fill_cart(client, MUG=1)
    placed = client.post("/checkout/", open_checkout(client))

    assert client.get("/checkout/")["Location"] == placed["Location"]
    assert f'href="{placed["Location"]}"' in client.get("/cart/").text


def test_back_button_and_another_card_end_in_the_order_that_stands(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    client.post("/checkout/", form)
    fill_cart(client, CUP=1)
    before = everything()

    again = client.post("/checkout/", {**form, "payment_method": "pm_sandbox_slow"})

    assert_sent_to(again, Order.objects.get())
    assert everything() == before
    assert cart_of(client) == {"CUP": 1}


def test_a_lost_answer_and_a_lost_session_end_in_the_order_that_stands(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    session = dict(client.session.items())
    client.post("/checkout/", form)
    stale = client.session
    stale.update(session)
    stale.save()  # as it was: the web worker died between the commit and the save
    fill_cart(client, CUP=1)

    answer = client.get("/checkout/")

    assert_sent_to(answer, Order.objects.get())
    assert cart_of(client) == {"CUP": 1}
    assert open_checkout(client)["checkout_key"] != form["checkout_key"]


def test_two_tabs_place_one_order(client: Client) -> None:
    fill_cart(client, MUG=1)
    tab, other_tab = open_checkout(client), open_checkout(client, payment_method="pm_sandbox_slow")

    client.post("/checkout/", tab)
    answer = client.post("/checkout/", other_tab)

    assert_sent_to(answer, Order.objects.get())
    assert Payment.objects.get().payment_method == "pm_card_visa"


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_the_same_time_place_one_order() -> None:
    client = Client()
    fill_cart(client, MUG=1)
    form = open_checkout(client)

    def click(payment_method: str) -> Any:
        browser = Client()
        browser.cookies.load(client.cookies.output(header="", sep=";"))
        return browser.post("/checkout/", {**form, "payment_method": payment_method})

    answers = race([partial(click, method) for method in ["pm_card_visa", "pm_sandbox_slow"] * 4])

    order = Order.objects.get()
    for answer in answers:
        assert_sent_to(answer, order)
    assert stock_of("MUG") == (10, 1)
    assert cart_of(client) == {}


def test_a_cart_changed_in_another_tab_is_shown_before_it_is_paid(client: Client) -> None:
    make_product("CUP", price=500)
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    client.post("/cart/change/", {"sku": "MUG", "remove": "1"})
    client.post("/cart/add/", {"sku": "CUP", "quantity": 1})  # the total is what it was
    before = everything()

    answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert "Something changed" in answer.text
    assert "The CUP" in answer.text
    assert everything() == before


def test_a_key_that_is_not_this_carts_places_nothing(client: Client) -> None:
    fill_cart(client, MUG=1)
    before = everything()

    for key in ("", "cart-" + "0" * 32, "\0", "k1"):
        assert client.post("/checkout/", open_checkout(client, checkout_key=key)).status_code == 409
    assert everything() == before


def test_a_key_of_the_api_leads_to_nobodys_order(client: Client) -> None:
    order = make_order(checkout_key="536365")  # as guessable as an invoice number
    fill_cart(client, CUP=1)

    answer = client.post("/checkout/", open_checkout(client, checkout_key="536365"))

    assert answer.status_code == 409
    assert order.code not in answer.text


def test_a_changed_price_is_shown_line_by_line_and_confirmed_before_it_is_paid(client: Client) -> None:
    fill_cart(client, MUG=2)
    form = open_checkout(client)
    Product.objects.update(price=600)
    before = everything()

    answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert "The price has changed from £5.00 to £6.00." in answer.text
    assert "Order and pay £12.00" in answer.text
    assert everything() == before
    assert cart_of(client) == {"MUG": 2}

    client.post("/checkout/", open_checkout(client))
    assert Order.objects.get().total == 1200


def test_a_price_that_changes_while_the_order_is_placed_places_nothing(client: Client) -> None:
    fill_cart(client, MUG=2)
    form = open_checkout(client)

    def change_price_first(**asked: Any) -> tuple[Order, bool]:
        Product.objects.update(price=600)
        return place_order(**asked)

    with patch("orders.checkout_views.place_order", change_price_first):
        answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert "from £5.00 to £6.00" in answer.text
    assert not Order.objects.exists()


def test_sold_out_while_in_the_cart_marks_the_line_and_places_nothing(client: Client) -> None:
    fill_cart(client, MUG=2, CUP=1)
    form = open_checkout(client)
    mug = Product.objects.get(sku="MUG")
    adjust_stock(reference="sold", product_id=mug.pk, quantity=-9, reason="sold elsewhere")
    before = everything()

    answer = client.post("/checkout/", form)

    assert answer.status_code == 409
    assert "Only 1 left; you have 2 in your cart." in answer.text
    assert "Order and pay" not in answer.text
    assert everything() == before

    client.post("/cart/fit/")
    assert cart_of(client) == {"MUG": 1, "CUP": 1}
    client.post("/checkout/", open_checkout(client))
    assert Order.objects.get().total == 1000


def test_what_is_no_longer_sold_says_so(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)
    Product.objects.update(active=False)

    assert "No longer sold" in client.get("/cart/").text
    assert client.post("/checkout/", form).status_code == 409
    assert not Order.objects.exists()


def test_a_shop_that_is_busy_keeps_the_cart_and_the_key(client: Client) -> None:
    fill_cart(client, MUG=1)
    form = open_checkout(client)

    with patch("orders.checkout_views.place_order", side_effect=OperationalError("lock timeout")):
        answer = client.post("/checkout/", form)

    assert answer.status_code == 503
    assert open_checkout(client) == form
    assert not Order.objects.exists()


@pytest.mark.parametrize("change", [{"email": "nobody"}, {"email": ""}, {"payment_method": "pm_unknown"}])
def test_a_form_with_an_error_places_nothing_and_keeps_what_was_typed(client: Client, change: dict[str, str]) -> None:
    fill_cart(client, MUG=1)

    answer = client.post("/checkout/", open_checkout(client, **change))

    assert answer.status_code == 400
    assert "errorlist" in answer.text
    assert not Order.objects.exists()


def test_without_a_list_of_methods_the_token_of_the_providers_own_form_is_taken(
    client: Client, settings: LazySettings
) -> None:
    settings.SHOP_PAYMENT_METHODS = []
    fill_cart(client, MUG=1)

    assert client.post("/checkout/", open_checkout(client, payment_method="4242 4242")).status_code == 400
    client.post("/checkout/", open_checkout(client, payment_method="pm_1Nabc"))

    assert Payment.objects.get().payment_method == "pm_1Nabc"


def test_an_empty_cart_has_no_checkout(client: Client) -> None:
    assert client.get("/checkout/")["Location"] == "/cart/"
    assert client.post("/checkout/", {"checkout_key": "cart-" + "0" * 32})["Location"] == "/cart/"


def test_what_changes_anything_needs_the_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    order = make_order()
    before = everything()

    for path in ("/cart/add/", "/cart/change/", "/cart/fit/", "/checkout/", f"/orders/{order.code}/cancel/"):
        answer = client.post(path, {"sku": "MUG", "quantity": 1})
        assert answer.status_code == 403
        assert "Please send that again" in answer.text
    assert everything() == before


def test_add_answers_htmx_with_a_line_and_the_count(client: Client) -> None:
    make_product("MUG", stock=3)
    htmx = {"HX-Request": "true"}

    added = client.post("/cart/add/", {"sku": "MUG", "quantity": 2}, headers=htmx)
    most = client.post("/cart/add/", {"sku": "MUG", "quantity": 2}, headers=htmx)
    refused = client.post("/cart/add/", {"sku": "GHOST", "quantity": 1}, headers=htmx)

    assert "Added 2 to your cart." in added.text
    assert "2 items" in added.text
    assert "Your cart has 3 of these now" in most.text
    assert refused.status_code == 409
    assert cart_of(client) == {"MUG": 3}


@pytest.mark.parametrize("quantity", ["0", "-1", "", "x", "1e3", "99999999999"])
def test_a_quantity_that_is_none_changes_nothing(client: Client, quantity: str) -> None:
    fill_cart(client, MUG=2)

    client.post("/cart/change/", {"sku": "MUG", "quantity": quantity})
    client.post("/cart/add/", {"sku": "MUG", "quantity": quantity})

    assert cart_of(client) == {"MUG": 2}


# --- the order's page


def test_a_declined_card_keeps_the_cart_and_offers_another(client: Client) -> None:
    fill_cart(client, MUG=2, CUP=1)
    form = open_checkout(client, payment_method="pm_card_visa_chargeDeclined")
    client.post("/checkout/", form)
    declined = end_order(Order.objects.get(), Payment.Status.DECLINED)

    page = client.get(f"/orders/{declined.code}/").text
    again = client.post(f"/orders/{declined.code}/again/")
    client.post(f"/orders/{declined.code}/again/")

    assert "Your card was declined. No money was taken." in page
    assert "Try another payment method" in page
    assert again["Location"] == "/checkout/"
    assert cart_of(client) == {"MUG": 2, "CUP": 1}
    client.post("/checkout/", open_checkout(client))
    assert Order.objects.exclude(pk=declined.pk).get().total == declined.total
    assert Order.objects.count() == 2


@pytest.mark.parametrize("status", [None, Payment.Status.SUCCEEDED])
def test_an_order_that_is_not_cancelled_is_not_ordered_again(client: Client, status: Payment.Status | None) -> None:
    order = make_order()
    if status:
        end_order(order, status)

    assert_sent_to(client.post(f"/orders/{order.code}/again/"), order)
    assert cart_of(client) == {}


def test_status_is_polled_until_it_is_final(client: Client) -> None:
    order = make_order()
    page = f"/orders/{order.code}/status/"

    first = client.get(page)
    again = client.get(page, headers={"If-None-Match": first["ETag"]})
    weak = client.get(page, headers={"If-None-Match": f"W/{first['ETag']}"})
    end_order(order, Payment.Status.SUCCEEDED)
    last = client.get(page, headers={"If-None-Match": first["ETag"]})

    assert 'hx-trigger="every 1s"' in first.text
    assert (again.status_code, again.content, weak.status_code) == (304, b"", 304)
    assert last.status_code == 200
    assert "Confirmed" in last.text
    assert "hx-get" not in last.text


def test_poll_slows_down() -> None:
    order = make_order()
    for age, seconds in [(0, 1), (60, 3), (600, 10)]:
        order.created_at = timezone.now() - timedelta(seconds=age)
        assert describe_order(order).poll == seconds


def told(order: Order, **payment: Any) -> str:
    Payment.objects.filter(pk=order.payment_id).update(**payment)
    status = describe_order(Order.objects.select_related("payment").get(pk=order.pk))
    return f"{status.title}: {status.text}"


def test_the_page_says_what_the_rows_say_at_each_step() -> None:
    order = make_order()
    assert told(order).startswith("Reserved")
    assert told(order, status="SENT", sent_at=timezone.now(), attempts=1).startswith("Paying: We are asking your bank")
    assert "Do not pay again" in told(order, last_error="timeout")
    assert "Do not pay again" in told(order, last_error="", attempts=2)
    assert "Do not pay again" in told(order, attempts=1, sent_at=timezone.now() - timedelta(minutes=1))
    Order.objects.update(needs_review=True)
    assert "A person is looking at it" in told(order)
    assert "Do not pay again" in told(order)
    Order.objects.update(needs_review=False, cancel_reason="customer")
    assert "Do not pay again" in told(order)


@pytest.mark.parametrize(
    ("reason", "status"),
    [("card_declined", "DECLINED"), ("expired", "CANCELLED"), ("customer", "CANCELLED"), ("staff", "CANCELLED")],
)
def test_a_cancelled_order_says_why_and_that_no_money_was_taken(reason: str, status: str) -> None:
    order = make_order()
    code = "expired_card" if status == "DECLINED" else ""
    Payment.objects.update(status=status, sent_at=timezone.now(), decline_code=code)
    Order.objects.update(status="CANCELLED", cancel_reason=reason, finalized_at=timezone.now())

    assert "No money was taken." in told(order)
    assert describe_order(Order.objects.get()).may_retry


def test_a_payment_not_known_to_be_untaken_is_never_said_to_be() -> None:
    order = make_order()
    for status in ("PENDING", "SENT"):
        for cancel_reason in ("", "customer", "expired"):
            for age in (0, 3600):
                Order.objects.update(
                    cancel_reason=cancel_reason, expires_at=timezone.now() + timedelta(seconds=1800 - age)
                )
                assert "No money was taken" not in told(order, status=status, sent_at=timezone.now())


def test_customer_cancels_while_nothing_was_sent(client: Client) -> None:
    order = make_order()

    answer = client.post(f"/orders/{order.code}/cancel/")

    order.refresh_from_db()
    assert_sent_to(answer, order)
    assert (order.status, order.cancel_reason) == ("CANCELLED", "customer")
    assert "You cancelled this order. No money was taken." in client.get(f"/orders/{order.code}/").text


def test_a_cancelled_order_whose_money_was_taken_offers_no_second_payment() -> None:
    order = make_order()
    Order.objects.update(status="CANCELLED", cancel_reason="staff", finalized_at=timezone.now())

    text = told(order, status="SUCCEEDED", sent_at=timezone.now(), provider_id="pi_1")

    assert "Your money is to be returned. Do not pay again" in text
    assert not describe_order(Order.objects.get()).may_retry


def test_cancel_of_an_order_that_ended_says_it_was_too_late(client: Client) -> None:
    order = end_order(make_order(), Payment.Status.SUCCEEDED)
    before = everything()

    client.post(f"/orders/{order.code}/cancel/")

    assert "too late" in client.get(f"/orders/{order.code}/").text
    assert everything() == before


def test_an_orders_page_is_private_and_found_by_its_whole_code_only(client: Client) -> None:
    order = make_order()

    answer = client.get(f"/orders/{order.code}/")

    assert "private" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["X-Robots-Tag"] == "noindex"
    assert "ann@example.com" not in answer.text
    for code in (order.pk, order.code[:-1], order.code.lower(), "%00", "261124-00000-00000"):
        assert client.get(f"/orders/{code}/").status_code == 404


def test_the_page_asks_again_without_javascript_while_it_has_to(client: Client) -> None:
    order = make_order()
    refresh = re.compile(r'<noscript><meta http-equiv="refresh"')

    assert refresh.search(client.get(f"/orders/{order.code}/").text)
    end_order(order, Payment.Status.SUCCEEDED)
    assert not refresh.search(client.get(f"/orders/{order.code}/").text)


# --- order history


def test_history_has_ones_own_orders_newest_first(client: Client) -> None:
    ann = User.objects.create_user("ann@example.com", "secret")
    bob = User.objects.create_user("bob@example.com", "secret")
    orders = [make_order({"MUG": 1}, user=user) for user in (ann, bob, None, ann)]
    client.force_login(ann)

    answer = client.get("/orders/")

    assert [order for order, _ in answer.context["rows"]] == [orders[3], orders[0]]
    assert orders[1].code not in answer.text
    assert orders[2].code not in answer.text


def test_history_is_paged_in_a_bounded_number_of_queries(client: Client, django_assert_num_queries: Any) -> None:
    ann = User.objects.create_user("ann@example.com", "secret")
    make_product("MUG", stock=100)
    for _ in range(25):
        make_order({"MUG": 1}, user=ann)
    client.force_login(ann)
    client.get("/orders/")

    with django_assert_num_queries(3):  # the user, the count, the orders with their payments
        first = client.get("/orders/")
    second = client.get("/orders/?page=2")

    assert (len(first.context["rows"]), len(second.context["rows"])) == (20, 5)


def test_history_asks_a_stranger_to_log_in(client: Client) -> None:
    assert client.get("/orders/")["Location"] == "/account/log-in/?next=/orders/"
