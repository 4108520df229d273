import json
import re
from html import unescape
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from config.security import write_policy
from orders.models import Order
from orders.services import finalize_order
from payments.models import Payment
from tests.builders import answer_payment, make_order
from tests.shop.customer import assert_sent_to, fill_cart, open_checkout

pytestmark = pytest.mark.django_db

OTHERS = ["/", "/cart/", "/account/log-in/", "/admin/login/", "/orders/261128-ABCDE-FGHJK/"]
NO_METHODS = "Orders can't be paid here at the moment"


@pytest.fixture(autouse=True)
def _provider(settings: LazySettings) -> None:
    settings.STRIPE_JS_URL = "http://127.0.0.1:8420/stripe.js"


def test_the_page_with_the_form_allows_its_sources_and_no_other_page_does(client: Client) -> None:
    fill_cart(client, MUG=1)

    policy = client.get("/checkout/")["Content-Security-Policy"]

    assert "script-src 'self' http://127.0.0.1:8420;" in policy
    assert policy.endswith("frame-src http://127.0.0.1:8420")
    assert "default-src 'none'" in policy
    for path in OTHERS:
        assert client.get(path)["Content-Security-Policy"] == write_policy({})


def test_without_a_form_the_checkouts_policy_is_as_strict_as_any(client: Client, settings: LazySettings) -> None:
    settings.STRIPE_PUBLISHABLE_KEY = ""
    fill_cart(client, MUG=1)

    page = client.get("/checkout/")

    assert page["Content-Security-Policy"] == write_policy({})
    assert "card-form" not in page.text


def test_a_refused_checkout_has_the_form_and_its_sources_again(client: Client) -> None:
    fill_cart(client, MUG=1)

    answer = client.post("/checkout/", open_checkout(client, fingerprint="old", payment_method="ctoken_1"))

    assert answer.status_code == 409
    assert "http://127.0.0.1:8420" in answer["Content-Security-Policy"]
    assert "Your card was not charged." in answer.text
    assert "ctoken_1" not in answer.text  # a frame that is loaded anew has no card in it
    assert not Order.objects.exists()


@pytest.mark.parametrize("methods", [[], [("pm_card_visa", "Test card: pays")]])
def test_a_token_of_the_form_is_what_the_payment_is_asked_with(
    client: Client, settings: LazySettings, methods: list[tuple[str, str]]
) -> None:
    settings.SHOP_PAYMENT_METHODS = methods
    fill_cart(client, MUG=1)

    client.post("/checkout/", open_checkout(client, payment_method="ctoken_1Nabc"))

    assert Payment.objects.get().payment_method == "ctoken_1Nabc"


@pytest.mark.parametrize("method", ["", "4242 4242", "ctoken_", "ctoken_" + "x" * 58, "pm_unknown", "ctoken_1\n"])
def test_what_is_no_token_is_refused_in_words(client: Client, method: str) -> None:
    fill_cart(client, MUG=1)

    answer = client.post("/checkout/", open_checkout(client, payment_method=method))

    assert answer.status_code == 400
    assert "Nothing was ordered" in answer.text
    assert not Order.objects.exists()


def test_a_token_is_refused_where_no_form_makes_any(client: Client, settings: LazySettings) -> None:
    settings.STRIPE_PUBLISHABLE_KEY = ""
    fill_cart(client, MUG=1)

    for method in ("ctoken_1Nabc", ""):
        answer = client.post("/checkout/", open_checkout(client, payment_method=method))
        assert (answer.status_code, "Choose how to pay" in answer.text) == (400, True)
    assert not Order.objects.exists()


def test_a_shop_that_can_take_no_money_says_so(client: Client, settings: LazySettings) -> None:
    settings.STRIPE_PUBLISHABLE_KEY, settings.SHOP_PAYMENT_METHODS = "", []
    fill_cart(client, MUG=1)

    page = client.get("/checkout/").text

    assert NO_METHODS in page
    assert "Order and pay" not in page


def test_the_form_is_told_what_is_to_be_paid(client: Client) -> None:
    fill_cart(client, MUG=2)

    page = client.get("/checkout/").text

    assert 'data-amount="1000"' in page
    assert 'data-currency="gbp"' in page
    assert "sk_test_sandbox" not in page


def test_the_numbers_of_test_cards_are_on_the_page_of_a_local_shop_alone(
    client: Client, settings: LazySettings
) -> None:
    fill_cart(client, MUG=1)
    assert "4242 4242 4242 4242" in client.get("/checkout/").text

    settings.LOCAL = False
    assert "4242" not in client.get("/checkout/").text


def hold_order() -> Order:
    return decline(make_order({"MUG": 2}, hold_on_decline=600))


def pay_again(client: Client, order: Order, payment_method: str = "ctoken_1Nabc") -> None:
    form = {"number": 2, "payment_method": payment_method}
    assert_sent_to(client.post(f"/orders/{order.code}/pay/", form), order)
    order.refresh_from_db()


def decline(order: Order) -> Order:
    answer_payment(order, Payment.Status.DECLINED)
    return finalize_order(code=order.code)


def end_hold() -> None:
    Order.objects.update(held_until=timezone.now())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("methods", [[], [("pm_card_visa", "Test card: pays")]])
def test_the_page_of_a_held_order_offers_what_the_checkout_does(
    client: Client, settings: LazySettings, methods: list[tuple[str, str]]
) -> None:
    settings.SHOP_PAYMENT_METHODS = methods
    order = hold_order()

    page = client.get(f"/orders/{order.code}/").text

    assert 'data-amount="1000"' in page
    assert 'data-currency="gbp"' in page
    assert "A card can be entered only with JavaScript" in page
    assert ("Test card: pays" in page) == bool(methods)
    assert "Nothing was paid." in page
    assert "Nothing was ordered" not in page
    assert "Your cart" not in page
    pay_again(client, order)
    assert Payment.objects.latest("number").payment_method == "ctoken_1Nabc"


@pytest.mark.django_db(transaction=True)
def test_the_page_of_an_order_allows_the_forms_sources_only_while_the_order_is_held(client: Client) -> None:
    order = make_order(hold_on_decline=600)

    def policy() -> str:
        return client.get(f"/orders/{order.code}/")["Content-Security-Policy"]

    assert policy() == write_policy({})
    decline(order)
    assert "script-src 'self' http://127.0.0.1:8420;" in policy()
    assert policy().endswith("frame-src http://127.0.0.1:8420")

    pay_again(client, order)
    assert policy() == write_policy({})
    decline(order)
    assert "http://127.0.0.1:8420" in policy()
    end_hold()
    assert policy() == write_policy({})


def poll(client: Client, page: str) -> Any:
    """Ask what the page asks, as htmx does."""
    (path,) = re.findall(r'hx-get="([^"]+)"', page)
    (headers,) = re.findall(r'hx-headers="([^"]+)"', page)
    answer = client.get(unescape(path), headers=json.loads(unescape(headers)))
    assert answer["Content-Security-Policy"] == write_policy({})
    return answer


@pytest.mark.django_db(transaction=True)
def test_a_page_is_loaded_anew_once_when_its_order_becomes_held_and_once_when_that_ends(client: Client) -> None:
    order = make_order(hold_on_decline=600)
    url = f"/orders/{order.code}/"
    before = client.get(url).text
    assert "HX-Refresh" not in poll(client, before)

    decline(order)
    answer = poll(client, before)
    assert (answer["HX-Refresh"], answer.content) == ("true", b"")
    assert "card-form" not in before
    held = client.get(url).text
    assert "card-form" in held
    assert (poll(client, held).status_code, "HX-Refresh" in poll(client, held)) == (304, False)

    end_hold()
    assert poll(client, held)["HX-Refresh"] == "true"
    after = client.get(url).text
    assert "card-form" not in after
    assert "HX-Refresh" not in poll(client, after)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_swapped_while_a_card_may_be_half_typed(client: Client) -> None:
    held = client.get(f"/orders/{hold_order().code}/").text
    (path,) = re.findall(r'hx-get="([^"]+)"', held)

    answers = [
        client.get(path),  # a proxy took the ETag away
        client.get(path, headers={"If-None-Match": '"old"', "Accept-Language": "ko"}),  # another tab changed it
    ]

    for answer in answers:
        assert (answer.status_code, answer.content, "HX-Refresh" in answer) == (204, b"", False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", ["pk_test_sandbox", ""])
def test_the_form_of_a_card_that_another_tab_has_tried_is_replaced(
    client: Client, settings: LazySettings, key: str
) -> None:
    settings.STRIPE_PUBLISHABLE_KEY = key
    order = hold_order()
    held = client.get(f"/orders/{order.code}/").text
    pay_again(client, order, payment_method="pm_card_visa")
    decline(order)

    answer = poll(client, held)

    if key:
        assert answer["HX-Refresh"] == "true"
    else:  # nothing that a policy forbids: it is swapped
        assert 'name="number" value="3"' in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_without_a_form_of_the_providers_the_page_of_a_held_order_is_as_strict_as_any(
    client: Client, settings: LazySettings
) -> None:
    settings.STRIPE_PUBLISHABLE_KEY = ""
    order = hold_order()
    page = client.get(f"/orders/{order.code}/")
    assert page["Content-Security-Policy"] == write_policy({})
    assert "Test card: pays" in page.text
    assert poll(client, page.text).status_code == 304

    settings.SHOP_PAYMENT_METHODS = []
    page = client.get(f"/orders/{order.code}/")
    assert NO_METHODS in page.text
    assert 'type="submit" data-busy' not in page.text


@pytest.mark.django_db(transaction=True)
def test_a_page_without_javascript_does_not_reload_by_itself_while_a_payment_method_is_chosen(client: Client) -> None:
    reloads = 'http-equiv="refresh"'
    order = hold_order()
    assert reloads not in client.get(f"/orders/{order.code}/").text
    end_hold()
    assert reloads in client.get(f"/orders/{order.code}/").text
