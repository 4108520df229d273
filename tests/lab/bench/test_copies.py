"""A history is made of copies of orders: each has all that its original has, and the audit finds nothing."""

import os
from collections.abc import Callable

import pytest
from django.db import connection

from audit.services import audit_orders
from catalog.models import Stock
from lab.bench import copies
from lab.stack.servers import with_database
from orders.models import Order
from orders.services import finalize_order
from payments.services import charge_payment
from tests.builders import make_order, make_product
from tests.provider import Provider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway", "empty_ledger")]


def end_order(payment_method: str) -> str:
    order = make_order({"MUG": 2}, payment_method=payment_method)
    charge_payment(reference=order.code)
    finalize_order(code=order.code)
    return order.code


def copy_orders(provider: Provider, *, originals: list[str], orders: int, on_batch: Callable[[int], None]) -> None:
    shop = with_database(os.environ["DATABASE_URL"], connection.settings_dict["NAME"])
    copies.copy_orders(
        shop_url=shop, provider_url=provider.database_url, originals=originals, orders=orders, on_batch=on_batch
    )


def test_copies_of_orders_are_whole_and_the_audit_is_clean(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bench.copies.BATCH", 4)
    make_product("MUG", stock=100)
    originals = [end_order("pm_card_visa"), end_order("pm_card_visa_chargeDeclined")]
    shown: list[int] = []

    copy_orders(provider, originals=originals, orders=10, on_batch=shown.append)

    report = audit_orders()
    assert report["violations"] == []
    assert report["checked"] == {
        "orders": 12, "lines": 12, "stocks": 1, "movements": 25, "charges": 6, "needs_review": 0,
    }  # fmt: skip
    assert Order.objects.filter(status="CANCELLED").count() == 6
    assert Stock.objects.get().on_hand == 100 - 6 * 2
    assert shown == [0, 4, 8]
    another = make_order({"MUG": 1})  # the sequences went on
    assert another.pk not in Order.objects.exclude(pk=another.pk).values_list("pk", flat=True)
