from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import User
from catalog.models import Product
from orders import checkout
from orders.checkout import CheckoutKeyReused, TooManyUnpaid, place_order
from orders.codes import CROCKFORD, make_code
from orders.models import Order, OrderEvent
from orders.pricing import (
    CheckoutLine,
    CheckoutRefused,
    NotForSale,
    OutOfStock,
    PriceChanged,
    PriceNotChargeable,
    TotalTooLarge,
    TotalTooSmall,
    UnknownProduct,
)
from orders.services import cancel_order
from payments.models import Payment
from tests.builders import answer_payment, everything, make_checkout, make_order, make_product, stock_of

pytestmark = pytest.mark.django_db


def test_place_order_writes_a_pending_order_with_lines_payment_and_reserved_stock() -> None:
    make_product("MUG", price=500, stock=10)
    make_product("CUP", price=250, stock=3)

    order = make_order({"MUG": 2, "CUP": 3})

    assert (order.status, order.total, order.currency) == ("PENDING", 1750, "GBP")
    assert [(line.sku, line.price, line.quantity) for line in order.lines.order_by("sku")] == [
        ("CUP", 250, 3),
        ("MUG", 500, 2),
    ]
    assert (order.payment.status, order.payment.amount, order.payment.reference) == ("PENDING", 1750, order.code)
    assert [event.kind for event in order.events.all()] == ["placed"]
    assert (stock_of("MUG"), stock_of("CUP")) == ((10, 2), (3, 3))


def test_place_order_merges_the_same_sku() -> None:
    make_product("MUG", stock=5)
    lines = [CheckoutLine("MUG", 2), CheckoutLine("MUG", 3)]

    order, _ = place_order(replace(make_checkout(), lines=lines))

    assert [line.quantity for line in order.lines.all()] == [5]
    assert stock_of("MUG") == (5, 5)


def test_place_order_keeps_the_name_and_price_as_sold() -> None:
    order = make_order({"MUG": 1})
    Product.objects.update(name="Another", price=999)

    line = order.lines.get()
    assert (line.name, line.price, line.total) == ("The MUG", 500, 500)


def test_place_order_with_the_same_key_returns_the_first_order_and_changes_nothing() -> None:
    first = make_order({"MUG": 2}, key="once")
    Product.objects.update(price=999, active=False)  # what has changed since has no say
    before = everything()

    again, created = place_order(make_checkout({"MUG": 2}, key="once"))

    assert (again.pk, created) == (first.pk, False)
    assert everything() == before


@pytest.mark.parametrize(
    "other",
    [
        {"quantities": {"MUG": 3}},
        {"email": "bob@example.com"},
        {"payment_method": "pm_card_mastercard"},
        {"expected_total": 500},
        {"expected_currency": "GBP"},
    ],
)
def test_place_order_refuses_the_same_key_with_another_body(other: dict[str, Any]) -> None:
    make_order(key="once")
    before = everything()

    with pytest.raises(CheckoutKeyReused):
        make_order(key="once", **other)

    assert everything() == before


def test_place_order_leaves_nothing_behind_when_stock_is_short() -> None:
    make_product("MUG", stock=10)
    make_product("CUP", stock=1)
    before = everything()

    with pytest.raises(OutOfStock) as refusal:
        make_order({"MUG": 1, "CUP": 2})

    assert refusal.value.lines == [{"sku": "CUP", "available": 1}]
    assert everything() == before


@pytest.mark.parametrize(
    ("refusal", "quantities", "asked"),
    [
        (UnknownProduct, {"MUG": 1, "GHOST": 1}, {}),
        (NotForSale, {"MUG": 1, "GONE": 1}, {}),
        (NotForSale, {"FREE": 1}, {}),
        (NotForSale, {"MUG": 1, "EURO": 1}, {}),
        (PriceChanged, {"MUG": 2}, {"expected_total": 999}),
        (PriceChanged, {"MUG": 2}, {"expected_currency": "KWD"}),
        (PriceChanged, {"MUG": 2}, {"expected_total": 1000, "expected_currency": "KWD"}),
        (TotalTooLarge, {"YACHT": 2}, {}),
        (TotalTooSmall, {"PIN": 2}, {}),  # 28 pence
        (TotalTooSmall, {"GUM": 1}, {}),
        (PriceNotChargeable, {"DATES": 1}, {}),
        (PriceNotChargeable, {"DATES": 5}, {}),  # 25.620, which could be charged
        (PriceNotChargeable, {"SKYR": 1}, {}),
    ],
)
def test_place_order_refuses_and_leaves_nothing_behind(
    refusal: type[CheckoutRefused], quantities: dict[str, int], asked: dict[str, Any]
) -> None:
    make_product("MUG", price=500)
    make_product("GONE", active=False)
    make_product("FREE", price=None, active=False)
    make_product("EURO", currency="EUR")
    make_product("YACHT", price=999_999_999_999)
    make_product("PIN", price=14)
    make_product("GUM", price=49, currency="JPY")
    make_product("DATES", price=5_124, currency="KWD")
    make_product("SKYR", price=550, currency="ISK")
    before = everything()

    with pytest.raises(refusal):
        place_order(make_checkout(quantities, **asked))

    assert everything() == before


def test_price_changed_tells_the_price_of_each_line() -> None:
    make_product("MUG", price=600)

    with pytest.raises(PriceChanged) as refusal:
        make_order({"MUG": 2}, expected_total=1000)

    assert refusal.value.lines == [{"sku": "MUG", "price": 600, "quantity": 2}]


def test_place_order_takes_another_code_when_the_first_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = make_order().code
    codes = iter([taken, "261124-00000-00001"])
    monkeypatch.setattr(checkout, "make_code", lambda: next(codes))

    assert make_order().code == "261124-00000-00001"


def test_order_codes_are_the_day_and_fifty_random_bits() -> None:
    codes = {make_code() for _ in range(10_000)}

    assert len(codes) == 10_000
    day, *random = codes.pop().split("-")
    assert day == f"{timezone.now():%y%m%d}"
    assert [len(part) for part in random] == [5, 5]
    assert set("".join(random)) <= set(CROCKFORD)


def test_orders_and_lines_with_impossible_figures_are_refused_by_the_database() -> None:
    order = make_order()
    for broken in (
        "UPDATE orders_order SET status = 'PAID'",
        "UPDATE orders_order SET status = 'CONFIRMED'",  # without finalized_at
        "UPDATE orders_order SET finalized_at = now()",  # while PENDING
        "UPDATE orders_order SET status = 'CANCELLED', finalized_at = now()",  # without a reason
        "UPDATE orders_order SET total = 0",
        "UPDATE orders_orderline SET quantity = 0",
        "UPDATE orders_orderline SET price = 0",
        "UPDATE orders_orderevent SET kind = 'confirmed'",
        "DELETE FROM orders_orderevent",
    ):
        before = everything()
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(broken)
        assert everything() == before, broken
    assert Order.objects.get().pk == order.pk
    assert OrderEvent.objects.count() == 1


@pytest.fixture
def _two_unpaid(settings: LazySettings) -> None:
    settings.SHOP_MAX_UNPAID = 2


def place_limited(*, key: str | None = None, email: str = "ann@example.com", **fields: Any) -> Order:
    order, _ = place_order(make_checkout(key=key or uuid4().hex, email=email, **fields))
    return order


@pytest.mark.usefixtures("_two_unpaid")
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


@pytest.mark.usefixtures("_two_unpaid")
def test_paid_orders_and_those_of_a_trusted_client_are_not_refused() -> None:
    make_product("MUG")
    for _ in range(3):
        answer_payment(place_limited(), Payment.Status.SUCCEEDED)
    place_limited()
    place_limited()

    assert make_order().status == Order.Status.PENDING


@pytest.mark.usefixtures("_two_unpaid")
def test_orders_placed_as_a_guest_with_an_accounts_address_are_not_the_accounts() -> None:
    make_product("MUG")
    ann = User.objects.create_user("ann@example.com", "secret")
    place_limited(email=ann.email)
    place_limited(email=ann.email)

    place_limited(email=ann.email, user=ann)

    assert Order.objects.filter(user=ann).count() == 1


@pytest.mark.usefixtures("_two_unpaid")
def test_a_repeat_of_the_last_unpaid_order_is_the_same_order() -> None:
    make_product("MUG")
    place_limited()
    order = place_limited(key="again")
    before = everything()

    assert place_limited(key="again") == order
    assert everything() == before


@pytest.mark.usefixtures("_two_unpaid")
def test_an_accounts_orders_are_not_those_of_a_guest_with_its_address() -> None:
    make_product("MUG")
    ann = User.objects.create_user("ann@example.com", "secret")
    for _ in range(2):
        place_limited(email=ann.email, user=ann)

    assert place_limited(email=ann.email).user is None
