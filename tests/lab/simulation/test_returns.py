"""What customers brought back is matched with what they had bought and refunded once, or told by its reason."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from pytest_django.live_server_helper import LiveServer

from lab.simulation.returns import Bought, Return, Sales
from orders.models import Order
from orders.refund_answers import record_refund
from payments.refund_models import Refund
from payments.refund_requests import record_answer
from tests.builders import everything, make_product
from tests.lab.simulation.test_replay import line, pay_all, replay, sale, write_file

FIVE, SIX = Decimal("5.00"), Decimal("6.00")


@pytest.fixture
def sales() -> Sales:
    """Ann bought 2 MUGs, then 3 more, at 5; and one at 6."""
    sales = Sales()
    for number, quantity, price in [("1", 2, FIVE), ("2", 3, FIVE), ("3", 1, SIX)]:
        sales.add(customer="ann", sale=number, bought=Bought("MUG", quantity, price))
    return sales


def match(sales: Sales, quantity: int, **fields: Any) -> list[Return]:
    asked = {"sku": "MUG", "price": FIVE, "customer": "ann", **fields}
    line = Bought(asked["sku"], quantity, asked["price"])
    return sales.match(customer=asked["customer"], lines=[line])


def test_the_latest_sale_at_that_price_comes_back_first(sales: Sales) -> None:
    assert match(sales, 1) == [Return("2", 1, {"MUG": 1})]
    assert match(sales, 1, price=SIX) == [Return("3", 1, {"MUG": 1})]
    assert match(sales, 4) == [Return("2", 2, {"MUG": 2}), Return("1", 1, {"MUG": 2})]
    assert sales.unmatched == {}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"customer": None}, "no_customer"),
        ({"customer": "bob"}, "no_sale"),
        ({"sku": "CUP"}, "no_sale"),
        ({"price": Decimal("4.99")}, "other_price"),
        ({"quantity": 6}, "more_than_sold"),
    ],
)
def test_what_matches_no_sale_is_counted_by_its_reason_and_takes_nothing(
    sales: Sales, fields: dict[str, Any], reason: str
) -> None:
    assert match(sales, **{"quantity": 1, **fields}) == []
    assert sales.unmatched == {reason: 1}
    assert len(match(sales, 5)) == 2


def test_a_price_is_a_number_however_it_is_written(sales: Sales) -> None:
    assert match(sales, 1, price=Decimal("5.0")) == [Return("2", 1, {"MUG": 1})]


@pytest.fixture
def paid(live_server: LiveServer, tmp_path: Path, settings: LazySettings) -> Path:
    """A file of two sales, which are placed and paid, and of cancellations."""
    settings.API_REFUND_TOKENS = ["refunds"]
    make_product("MUG", price=500)
    file = write_file(
        tmp_path / "invoices.jsonl",
        sale("1", line("MUG", 3)),
        sale("2", line("MUG", 1), customer="13047"),
        sale("C3", line("MUG", -2), kind="cancel"),
        sale("C4", line("MUG", -1), line("TEA", -1), "odd", kind="cancel"),
        sale("C5", line("MUG", -1), kind="cancel", customer=None),
    )
    replay(live_server, file)
    pay_all()
    return file


def answer_refunds() -> None:
    for refund in Refund.objects.open():
        record_answer(refund, status=Refund.Status.SUCCEEDED, provider_id=f"re_{refund.key}")
        record_refund(key=refund.key)


def test_a_replay_refunds_what_came_back_and_once_only(live_server: LiveServer, paid: Path) -> None:
    report = replay(live_server, paid)

    assert (report["cancellations"], report["unmatched"]) == (3, {"no_customer": 1, "no_sale": 1})
    assert (report["skipped"], report["unreturned"]) == ({"malformed_line": 1}, {})
    asked = Refund.objects.order_by("number").values_list("payment__reference", "number", "amount")
    code = Order.objects.get(checkout_key="1").code
    assert list(asked) == [(code, 1, 1000), (code, 2, 500)]
    assert report["refunds"] == 0
    answer_refunds()
    before = everything()

    report = replay(live_server, paid)

    assert (report["refunds"], report["returned_units"], report["refunded_minor"]) == (2, 3, 1500)
    assert everything() == before


def test_what_the_shop_does_not_refund_is_told(live_server: LiveServer, paid: Path, settings: LazySettings) -> None:
    settings.API_TOKENS, settings.API_REFUND_TOKENS = ["orders"], []
    before = everything()
    assert replay(live_server, paid)["unreturned"] == {"may_not_refund": 2}
    assert everything() == before
