import json
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.test import Client

from accounts.models import User
from orders.checkout import CheckoutKeyReused
from orders.limits import TooManyCheckouts, TooManyDeclines, limit_checkout, limit_payment
from orders.models import Order
from orders.paying import WrongPaymentNumber, pay_again
from orders.pricing import PriceChanged
from payments.models import Payment
from rate_limit import read_turns
from tests.builders import answer_payment, everything, make_order, make_product, stock_of
from tests.redis_windows import move_back
from tests.shop.customer import fill_cart, open_checkout

pytestmark = pytest.mark.django_db
HOUR = 3600
NO_REDIS = "redis://127.0.0.1:9/0"  # nobody listens there
NO_LIMITS = {"session": 0, "account": 0, "ip": 0}


@pytest.fixture(autouse=True)
def _limits(settings: LazySettings) -> None:
    settings.LIMIT_WINDOW = HOUR
    settings.CHECKOUT_LIMITS = {"session": 2, "account": 3, "ip": 4}
    settings.DECLINE_LIMITS = {"session": 5, "account": 5, "ip": 10}
    settings.SHOP_MAX_UNPAID = 2


@pytest.fixture
def ip() -> str:
    """An address that nobody has used yet."""
    return make_ip()


def make_ip() -> str:
    return f"10.{'.'.join(str(byte) for byte in uuid4().bytes[:3])}"


@pytest.fixture
def no_redis(settings: LazySettings) -> None:
    stop_redis(settings)


def stop_redis(settings: LazySettings) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": NO_REDIS}}


def make_visitor(**known: Any) -> dict[str, Any]:
    """Somebody who comes for the first time, but for what is known of them."""
    user = User.objects.create_user(f"{uuid4().hex}@example.com", "secret")
    return {
        "ip": make_ip(),
        "session_key": uuid4().hex,
        "user": user,
        **known,
    }


def check_out(ip: str, *, answer: Payment.Status = Payment.Status.SUCCEEDED, hold: int = 0, **visitor: Any) -> Order:
    """Place an order as a view does, and let its payment be answered."""
    key = uuid4().hex
    with limit_checkout(checkout_key=key, ip=ip, **visitor):
        order = make_order(key=key, hold_on_decline=hold)
    answer_payment(order, answer)
    return order


def count_turns(name: str, kind: str = "ip") -> int:
    subject = f"checkout:{kind}:{name}"
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
            make_order(key=order.checkout_key)

    assert count_turns(ip) == Order.objects.count() == 4


def test_a_placed_order_is_not_refused_although_redis_forgot_it_and_the_window_is_full(ip: str) -> None:
    order = make_order()
    for _ in range(4):
        check_out(ip)

    with limit_checkout(checkout_key=order.checkout_key, ip=ip):
        make_order(key=order.checkout_key)

    assert count_turns(ip) == 4


@pytest.mark.usefixtures("no_redis")
def test_the_shop_sells_without_redis(ip: str) -> None:
    for _ in range(6):
        check_out(ip, session_key="same")

    assert Order.objects.count() == 6


# --- declined cards


@pytest.mark.parametrize(("kind", "field"), [("session", "session_key"), ("account", "user"), ("ip", "ip")])
def test_the_declined_cards_of_a_session_an_account_and_an_address_are_limited(
    settings: LazySettings, kind: str, field: str
) -> None:
    settings.CHECKOUT_LIMITS = NO_LIMITS
    settings.DECLINE_LIMITS = {**NO_LIMITS, kind: 2}
    known = {field: make_visitor()[field]}
    for _ in range(2):
        check_out(**make_visitor(**known), answer=Payment.Status.DECLINED)
    before = everything()

    with pytest.raises(TooManyDeclines) as refused:
        check_out(**make_visitor(**known))

    assert HOUR - 60 < refused.value.retry_after <= HOUR + 1
    assert everything() == before
    check_out(**make_visitor())


def test_declined_cards_are_counted_by_what_became_of_the_orders(ip: str, settings: LazySettings) -> None:
    settings.CHECKOUT_LIMITS = NO_LIMITS
    settings.DECLINE_LIMITS = {"session": 1, "account": 2, "ip": 3}
    session = uuid4().hex
    check_out(ip, session_key=session)
    order = make_order()
    check_out(ip, session_key=session, answer=Payment.Status.DECLINED)
    before = count_turns(ip)

    with pytest.raises(TooManyDeclines):
        check_out(ip, session_key=session)

    assert count_turns(ip) == before
    check_out(ip, session_key=uuid4().hex)  # the address may have three
    assert order.status == Order.Status.PENDING


def test_a_decline_limit_lowered_below_what_was_declined_waits_until_enough_has_left(
    ip: str, settings: LazySettings
) -> None:
    for ago in (3000, 2000, 1000):
        order = check_out(ip, answer=Payment.Status.DECLINED)
        move_back(f"checkout:ip:{ip}", order.checkout_key, seconds=ago)
    settings.DECLINE_LIMITS = {**NO_LIMITS, "ip": 1}

    with pytest.raises(TooManyDeclines) as refused:
        check_out(ip)

    assert HOUR - 1000 - 60 < refused.value.retry_after <= HOUR - 1000 + 1


# --- cards that have no answer yet


@pytest.fixture
def two_declines(settings: LazySettings) -> None:
    settings.CHECKOUT_LIMITS = NO_LIMITS
    settings.DECLINE_LIMITS = {**NO_LIMITS, "ip": 2}


@pytest.mark.usefixtures("two_declines")
@pytest.mark.parametrize("status", Payment.UNANSWERED)
def test_a_card_without_an_answer_counts_until_it_has_one(ip: str, status: Payment.Status) -> None:
    check_out(ip, answer=Payment.Status.DECLINED)
    waiting = check_out(ip, answer=status)
    before, turns = everything(), count_turns(ip)

    with pytest.raises(TooManyCheckouts) as refused:
        check_out(ip)

    assert 0 < refused.value.retry_after < 60
    assert (everything(), count_turns(ip)) == (before, turns)
    answer_payment(waiting, Payment.Status.SUCCEEDED)
    check_out(ip, answer=Payment.Status.DECLINED)
    with pytest.raises(TooManyDeclines):
        check_out(ip)


@pytest.mark.usefixtures("two_declines")
@pytest.mark.parametrize("status", [Payment.Status.SUCCEEDED, Payment.Status.CANCELLED])
def test_cards_that_were_not_declined_refuse_nobody(ip: str, status: Payment.Status) -> None:
    for _ in range(4):
        check_out(ip, answer=status)

    assert count_turns(ip) == 4


def try_card(order: Order, number: int, ip: str, answer: Payment.Status = Payment.Status.DECLINED) -> None:
    with limit_payment(code=order.code, number=number, ip=ip):
        pay_again(code=order.code, number=number, payment_method="pm_card_visa")
    order.refresh_from_db()
    answer_payment(order, answer)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("two_declines")
def test_the_cards_of_one_order_count_against_the_limit_on_declines(ip: str) -> None:
    order = check_out(ip, answer=Payment.Status.DECLINED, hold=600)
    try_card(order, 2, ip)
    before = everything()

    with pytest.raises(TooManyDeclines):
        try_card(order, 3, ip)
    with pytest.raises(TooManyDeclines):
        check_out(ip)

    assert everything() == before
    assert count_turns(ip) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("two_declines")
@pytest.mark.parametrize("unanswered", Payment.ASKED)
def test_a_second_card_without_an_answer_counts_and_one_that_pays_does_not(ip: str, unanswered: Payment.Status) -> None:
    order = check_out(ip, answer=Payment.Status.DECLINED, hold=600)
    try_card(order, 2, ip, unanswered)
    with pytest.raises(TooManyCheckouts):
        check_out(ip)

    answer_payment(order, Payment.Status.SUCCEEDED)

    assert check_out(ip)


@pytest.mark.django_db(transaction=True)
def test_a_payment_that_is_refused_or_repeated_is_not_counted(ip: str) -> None:
    order = check_out(ip, answer=Payment.Status.DECLINED, hold=600)
    with pytest.raises(WrongPaymentNumber):
        try_card(order, 3, ip)
    assert count_turns(ip) == 1
    try_card(order, 2, ip)

    try_card(order, 2, ip)

    assert count_turns(ip) == 2


@pytest.mark.usefixtures("two_declines")
def test_a_checkout_that_never_placed_its_order_counts_for_a_minute_only(ip: str) -> None:
    def lose_database() -> None:
        raise OperationalError

    for key in ("first", "second"):
        with pytest.raises(OperationalError), limit_checkout(checkout_key=key, ip=ip):
            lose_database()
    with pytest.raises(TooManyCheckouts):
        check_out(ip)

    for key in ("first", "second"):
        move_back(f"checkout:ip:{ip}", key, seconds=61)

    check_out(ip)


@pytest.mark.usefixtures("two_declines")
def test_a_repeat_of_a_checkout_that_waits_is_not_refused(ip: str) -> None:
    orders = [check_out(ip, answer=Payment.Status.SENT) for _ in range(2)]

    for order in orders:
        with limit_checkout(checkout_key=order.checkout_key, ip=ip):
            make_order(key=order.checkout_key)

    assert count_turns(ip) == Order.objects.count() == 2


# --- checkouts that were refused


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"sku": "GHOST"}, "unknown_product"),
        ({"quantity": 11}, "insufficient_stock"),
        ({"expected_total": 1}, "price_changed"),
    ],
)
def test_refused_checkouts_are_not_counted(client: Client, ip: str, asked: dict[str, Any], error: str) -> None:
    make_product("MUG", stock=10)
    before = everything()

    for _ in range(5):
        assert post(client, ip, **asked).json()["error"] == error

    assert count_turns(ip) == 0
    assert everything() == before
    assert post(client, ip).status_code == 201


def test_a_checkout_that_finds_another_order_under_its_key_stays_counted(ip: str) -> None:
    key = uuid4().hex

    def find_another() -> None:
        make_order(key=key)  # by another request, at the same time
        make_order(key=key, email="bob@example.com")

    with pytest.raises(CheckoutKeyReused), limit_checkout(checkout_key=key, ip=ip):
        find_another()

    assert count_turns(ip) == 1


def refuse(key: str, ip: str) -> None:
    """Send a checkout whose price has changed."""
    with pytest.raises(PriceChanged), limit_checkout(checkout_key=key, ip=ip):
        make_order(key=key, expected_total=1)


def test_a_refusal_leaves_the_order_counted_that_is_placed_at_the_same_time(ip: str) -> None:
    make_product("MUG", stock=50)

    for number in range(4):
        key = f"{ip} {number}"
        refuse(key, ip)
        with limit_checkout(checkout_key=key, ip=ip):
            refuse(key, ip)
            make_order(key=key)

    assert count_turns(ip) == Order.objects.count() == 4
    before = everything()
    with pytest.raises(TooManyCheckouts):
        check_out(ip)
    assert everything() == before


def test_a_refusal_that_began_before_the_order_leaves_it_counted(ip: str) -> None:
    make_product("MUG")

    def place_another_and_refuse() -> None:
        with limit_checkout(checkout_key=ip, ip=ip):
            order = make_order(key=f"{ip} placed")
        assert order.status == Order.Status.PENDING
        make_order(key=ip, expected_total=1)

    with pytest.raises(PriceChanged), limit_checkout(checkout_key=ip, ip=ip):
        place_another_and_refuse()

    assert count_turns(ip) == 1


def test_a_refusal_that_redis_did_not_count_gives_nobody_elses_turn_back(ip: str, settings: LazySettings) -> None:
    make_product("MUG")
    caches = settings.CACHES

    def come_back_and_refuse() -> None:
        settings.CACHES = caches
        make_order(key=ip, expected_total=1)

    with limit_checkout(checkout_key=ip, ip=ip):
        stop_redis(settings)
        with pytest.raises(PriceChanged), limit_checkout(checkout_key=ip, ip=ip):
            come_back_and_refuse()

    assert count_turns(ip) == 1


def test_a_refusal_is_told_also_where_redis_goes_away_meanwhile(ip: str, settings: LazySettings) -> None:
    make_product("MUG")
    caches, before = settings.CACHES, everything()

    def refuse() -> None:
        stop_redis(settings)
        make_order({"MUG": 1}, expected_total=1)

    with pytest.raises(PriceChanged), limit_checkout(checkout_key="k", ip=ip):
        refuse()

    settings.CACHES = caches
    assert count_turns(ip) == 1
    assert everything() == before


def test_where_nothing_is_limited_nobody_is_counted(ip: str, settings: LazySettings) -> None:
    settings.CHECKOUT_LIMITS = settings.DECLINE_LIMITS = NO_LIMITS
    session = uuid4().hex

    for _ in range(6):
        check_out(ip, session_key=session)

    assert (count_turns(ip), count_turns(session, "session")) == (0, 0)


def test_who_has_a_limit_of_declines_alone_is_counted(ip: str, settings: LazySettings) -> None:
    settings.CHECKOUT_LIMITS = NO_LIMITS

    for _ in range(6):
        check_out(ip)

    assert count_turns(ip) == 6


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


def test_the_checkout_limits_an_account_over_its_sessions_and_addresses(settings: LazySettings) -> None:
    settings.SHOP_MAX_UNPAID = 0
    ann = User.objects.create_user("ann@example.com", "secret")
    statuses = []

    for _ in range(4):
        browser, ip = Client(), make_ip()
        browser.force_login(ann)
        fill_cart(browser, MUG=1)
        form, before = open_checkout(browser), everything()
        statuses.append(browser.post("/checkout/", form, REMOTE_ADDR=ip).status_code)

    assert statuses == [303, 303, 303, 429]
    assert everything() == before


def post(
    client: Client,
    ip: str,
    *,
    sku: str = "MUG",
    quantity: int = 1,
    email: str = "",
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> Any:
    """Ask the API for an order; of a new customer, where no email is given."""
    body = {
        "email": email or f"{uuid4().hex}@example.com",
        "lines": [{"sku": sku, "quantity": quantity}],
        "payment_method": "pm_x",
        **fields,
    }
    headers = {"Idempotency-Key": uuid4().hex, **(headers or {})}
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

    for token in ["old", "new"] * 4:
        answer = post(client, ip, email="ann@example.com", quantity=2, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 201

    assert stock_of("MUG") == (50, 16)
    assert count_turns(ip) == 0


def test_the_api_limits_units_and_unpaid_orders_of_who_shows_no_token(client: Client, ip: str) -> None:
    make_product("MUG", max_quantity=1)
    before = everything()

    units = post(client, ip, quantity=2)

    assert (units.status_code, units.json()["error"]) == (409, "too_many_units")
    assert units.json()["lines"] == [{"sku": "MUG", "max_quantity": 1}]
    assert everything() == before
    for _ in range(2):
        assert post(client, ip, email="ann@example.com").status_code == 201
    before = everything()

    unpaid = post(client, ip, email="ann@example.com")

    assert (unpaid.status_code, unpaid.json()["error"], unpaid.json()["lines"]) == (409, "too_many_unpaid", [])
    assert everything() == before


def test_the_api_refuses_a_token_that_is_none_of_its_own(client: Client, ip: str, settings: LazySettings) -> None:
    make_product("MUG")
    settings.API_TOKENS = ["secret"]
    before = everything()

    for wrong in ["Bearer Secret", "secret", "Bearer ", ""]:
        response = post(client, ip, headers={"Authorization": wrong})
        assert (response.status_code, response.json()["error"]) == (401, "bad_token")

    assert everything() == before
    assert stock_of("MUG") == (10, 0)
