import json
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.test import Client

from accounts.models import User
from catalog.models import Product
from orders.basket import BasketLine, TooManyUnits
from orders.checkout import TooManyUnpaid, place_order
from orders.limits import TooManyCheckouts, TooManyDeclines, limit_checkout
from orders.models import Order
from orders.services import cancel_order
from payments.models import Payment
from rate_limit import read_turns
from tests.builders import answer_payment, everything, make_order, make_product, stock_of
from tests.orders.customer import fill_cart, open_checkout

pytestmark = pytest.mark.django_db
HOUR = 3600
NO_REDIS = "redis://127.0.0.1:9/0"  # nobody listens there


@pytest.fixture(autouse=True)
def _limits(settings: LazySettings) -> None:
    settings.LIMIT_WINDOW = HOUR
    settings.CHECKOUT_LIMITS = {"session": 2, "account": 3, "ip": 4}
    settings.DECLINE_LIMITS = {"session": 1, "account": 2, "ip": 3}
    settings.SHOP_MAX_UNPAID = 2


@pytest.fixture
def ip() -> str:
    """An address that nobody has used yet."""
    return f"10.{'.'.join(str(byte) for byte in uuid4().bytes[:3])}"


@pytest.fixture
def no_redis(settings: LazySettings) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": NO_REDIS}}


def check_out(ip: str, *, answer: Payment.Status = Payment.Status.SUCCEEDED, **visitor: Any) -> Order:
    """Place an order as a view does, and let its payment be answered."""
    key = uuid4().hex
    with limit_checkout(checkout_key=key, ip=ip, **visitor):
        order = make_order(checkout_key=key)
    answer_payment(order, answer)
    return order


def place_limited(quantity: int = 1, *, key: str | None = None, email: str = "ann@example.com", **fields: Any) -> Order:
    order, _ = place_order(
        checkout_key=key or uuid4().hex,
        email=email,
        lines=[BasketLine("MUG", quantity)],
        payment_method="pm_card_visa",
        limited=True,
        **fields,
    )
    return order


def count_turns(ip: str) -> int:
    subject = f"checkout:ip:{ip}"
    return len(read_turns([subject], seconds=HOUR)[subject])


# --- orders and declines within the window


def test_a_session_an_account_and_an_address_each_have_a_limit_of_their_own(ip: str) -> None:
    ann = User.objects.create_user("ann@example.com", "secret")
    session = uuid4().hex
    check_out(ip, session_key=session)
    check_out(ip, session_key=session)
    with pytest.raises(TooManyCheckouts):
        check_out(ip, session_key=session)

    check_out(ip, session_key=uuid4().hex, user=ann)
    check_out(ip)

    with pytest.raises(TooManyCheckouts) as refused:
        check_out(ip, session_key=uuid4().hex)
    assert 0 < refused.value.retry_after <= HOUR
    assert count_turns(ip) == Order.objects.count() == 4


def test_an_account_is_limited_from_wherever_it_comes() -> None:
    ann = User.objects.create_user("ann@example.com", "secret")
    for number in range(3):
        check_out(f"192.0.2.{number}", session_key=uuid4().hex, user=ann)

    with pytest.raises(TooManyCheckouts):
        check_out("192.0.2.9", session_key=uuid4().hex, user=ann)


def test_a_repeat_of_a_checkout_is_counted_once_and_never_refused(ip: str) -> None:
    orders = [check_out(ip) for _ in range(4)]
    with pytest.raises(TooManyCheckouts):
        check_out(ip)

    for order in orders:
        with limit_checkout(checkout_key=order.checkout_key, ip=ip):
            make_order(checkout_key=order.checkout_key)

    assert count_turns(ip) == Order.objects.count() == 4


def test_a_placed_order_is_not_refused_although_redis_forgot_it_and_the_window_is_full(ip: str) -> None:
    order = make_order()
    for _ in range(4):
        check_out(ip)

    with limit_checkout(checkout_key=order.checkout_key, ip=ip):
        make_order(checkout_key=order.checkout_key)

    assert count_turns(ip) == 4


def test_declined_cards_are_counted_by_what_became_of_the_orders(ip: str) -> None:
    session = uuid4().hex
    check_out(ip, session_key=session, answer=Payment.Status.DECLINED)
    before = count_turns(ip)

    with pytest.raises(TooManyDeclines) as refused:
        check_out(ip, session_key=session)

    assert HOUR - 60 < refused.value.retry_after <= HOUR + 1
    assert count_turns(ip) == before
    check_out(ip, session_key=uuid4().hex)  # the address may have three


def test_zero_is_no_limit(ip: str, settings: LazySettings) -> None:
    settings.CHECKOUT_LIMITS = settings.DECLINE_LIMITS = {"session": 0, "account": 0, "ip": 0}

    for _ in range(6):
        check_out(ip, session_key="same")


@pytest.mark.usefixtures("no_redis")
def test_the_shop_sells_without_redis(ip: str) -> None:
    for _ in range(6):
        check_out(ip, session_key="same")

    assert Order.objects.count() == 6


# --- unpaid orders and units


def test_a_customer_has_so_many_unpaid_orders_at_a_time() -> None:
    make_product("MUG")
    first, _ = place_limited(), place_limited()
    before = everything()

    with pytest.raises(TooManyUnpaid):
        place_limited()

    assert everything() == before
    place_limited(email="bob@example.com")
    cancel_order(code=first.code, reason=Order.CancelReason.CUSTOMER)
    place_limited()


def test_paid_orders_and_those_of_a_trusted_client_are_not_refused() -> None:
    make_product("MUG")
    for _ in range(3):
        answer_payment(place_limited(), Payment.Status.SUCCEEDED)
    place_limited()
    place_limited()

    assert make_order().status == Order.Status.PENDING


def test_orders_placed_as_a_guest_with_an_accounts_address_are_not_the_accounts() -> None:
    make_product("MUG")
    ann = User.objects.create_user("ann@example.com", "secret")
    place_limited(email=ann.email)
    place_limited(email=ann.email)

    place_limited(email=ann.email, user=ann)

    assert Order.objects.filter(user=ann).count() == 1


def test_a_repeat_of_the_last_unpaid_order_is_the_same_order() -> None:
    make_product("MUG")
    place_limited()
    order = place_limited(key="again")
    before = everything()

    assert place_limited(key="again") == order
    assert everything() == before


def test_an_order_has_so_many_units_of_a_product(settings: LazySettings) -> None:
    settings.SHOP_MAX_QUANTITY = 5
    make_product("MUG")
    before = everything()

    with pytest.raises(TooManyUnits) as refused:
        place_limited(6)

    assert refused.value.lines == [{"sku": "MUG", "max_quantity": 5}]
    assert everything() == before
    place_limited(5)


def test_a_product_has_a_limit_of_its_own() -> None:
    make_product("MUG", max_quantity=2)
    before = everything()

    with pytest.raises(TooManyUnits):
        place_limited(3)

    assert everything() == before
    assert make_order({"MUG": 3}).status == Order.Status.PENDING  # of a trusted client
    place_limited(2)


# --- what visitors and clients see


def fill_checkout(client: Client) -> dict[str, str]:
    fill_cart(client, MUG=1)
    return open_checkout(client, email=f"{uuid4().hex}@example.com")


def test_the_checkout_says_when_to_come_back_and_keeps_the_cart(client: Client, ip: str) -> None:
    make_product("MUG")
    for _ in range(2):
        client.post("/checkout/", fill_checkout(client), REMOTE_ADDR=ip)
    form, before = fill_checkout(client), everything()

    response = client.post("/checkout/", form, REMOTE_ADDR=ip)

    assert (response.status_code, int(response["Retry-After"]) > HOUR - 60) == (429, True)
    assert "try again in 60 minutes" in response.content.decode()
    assert client.get("/checkout/").context["cart"].lines[0].quantity == 1
    assert everything() == before


def test_the_checkout_says_that_orders_are_not_paid_yet(client: Client, ip: str) -> None:
    make_product("MUG")
    place_limited(email="ann@example.com")
    place_limited(email="ann@example.com")
    form, before = {**fill_checkout(client), "email": "ann@example.com"}, everything()

    response = client.post("/checkout/", form, REMOTE_ADDR=ip)

    assert response.status_code == 409
    assert "not paid yet" in response.content.decode()
    assert everything() == before


def test_a_cart_holds_as_many_of_a_product_as_one_order_may_have(client: Client) -> None:
    make_product("MUG", max_quantity=2)

    client.post("/cart/add/", {"sku": "MUG", "quantity": 5})

    assert client.get("/cart/").context["cart"].lines[0].quantity == 2
    assert 'max="2"' in client.get("/products/the-mug/MUG/").content.decode()


def test_a_cart_fuller_than_the_product_now_allows_can_be_fitted(client: Client) -> None:
    make_product("MUG")
    client.post("/cart/add/", {"sku": "MUG", "quantity": 5})
    Product.objects.update(max_quantity=2)

    assert not client.get("/cart/").context["cart"].is_buyable
    client.post("/cart/fit/")

    assert client.get("/cart/").context["cart"].lines[0].quantity == 2


def post(client: Client, ip: str, **headers: str) -> Any:
    body = {"email": f"{uuid4().hex}@example.com", "lines": [{"sku": "MUG", "quantity": 1}], "payment_method": "pm_x"}
    headers = {"Idempotency-Key": uuid4().hex, **headers}
    return client.post(
        "/api/orders", json.dumps(body), content_type="application/json", headers=headers, REMOTE_ADDR=ip
    )


def test_the_api_limits_an_address(client: Client, ip: str) -> None:
    make_product("MUG")
    for _ in range(4):
        assert post(client, ip).status_code == 201
    before = everything()

    response = post(client, ip)

    assert (response.status_code, response.json()["error"]) == (429, "too_many_checkouts")
    assert 0 < int(response["Retry-After"]) <= HOUR
    assert everything() == before


def test_the_api_does_not_limit_who_shows_its_token(client: Client, ip: str, settings: LazySettings) -> None:
    make_product("MUG", stock=50, max_quantity=1)
    settings.API_TOKENS = ["old", "new"]

    answers = [post(client, ip, Authorization=f"Bearer {token}").status_code for token in ["old", "new"] * 4]

    assert answers == [201] * 8


def test_the_api_refuses_a_token_that_is_none_of_its_own(client: Client, ip: str, settings: LazySettings) -> None:
    make_product("MUG")
    settings.API_TOKENS = ["secret"]
    before = everything()

    for wrong in ["Bearer Secret", "secret", "Bearer ", ""]:
        response = post(client, ip, Authorization=wrong)
        assert (response.status_code, response.json()["error"]) == (401, "bad_token")

    assert everything() == before
    assert stock_of("MUG") == (10, 0)
