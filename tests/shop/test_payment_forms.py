import pytest
from django.conf import LazySettings
from django.test import Client

from config.security import write_policy
from orders.models import Order
from payments.models import Payment
from tests.shop.customer import fill_cart, open_checkout

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
