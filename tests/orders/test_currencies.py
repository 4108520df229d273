"""An order in each kind of currency, from the price that staff typed to the money at the provider."""

import csv
from io import StringIO

import pytest
from django.http import StreamingHttpResponse
from django.test import Client

from audit.services import audit_orders
from catalog.models import Product
from orders.models import Order
from orders.services import finalize_order
from payments.services import charge_payment
from payments.stripe import StripeGateway
from tests.builders import make_order, stock_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("empty_ledger")
@pytest.mark.parametrize(
    ("currency", "price", "quantity", "total", "shown", "exported"),
    [
        ("GBP", "2.55", 2, 510, "£5.10", "5.10"),
        ("JPY", "255", 2, 510, "¥510", "510"),
        ("KRW", "12000", 2, 24_000, "₩24,000", "24000"),
        ("ISK", "5", 2, 1_000, "ISK\xa010", "10"),
        ("UGX", "1250", 2, 250_000, "UGX\xa02,500", "2500"),
        ("BHD", "2.55", 2, 5_100, "BHD\xa05.100", "5.100"),
        ("KWD", "0.01", 3, 30, "KWD\xa00.030", "0.030"),
        ("KRW", "1500000000", 2, 3_000_000_000, "₩3,000,000,000", "3000000000"),
        ("GBP", "9999999999.99", 1, 999_999_999_999, "£9,999,999,999.99", "9999999999.99"),
    ],
)
def test_an_order_is_priced_charged_shown_and_exported_in_its_currency(
    admin_client: Client,
    gateway: StripeGateway,
    currency: str,
    price: str,
    quantity: int,
    total: int,
    shown: str,
    exported: str,
) -> None:
    add_product(admin_client, price=price, currency=currency)
    order = make_order({"MUG": quantity}, expected_total=total, expected_currency=currency)

    charge_payment(reference=order.code)
    finalize_order(code=order.code)

    order.refresh_from_db()
    assert (order.status, order.total) == (Order.Status.CONFIRMED, total)
    [charge] = gateway.list_charges()
    assert (charge.amount, charge.currency) == (total, currency)
    assert audit_orders()["violations"] == []
    assert shown in Client().get(f"/orders/{order.code}/").text
    assert shown in admin_client.get("/admin/orders/order/").text
    assert read_export(admin_client, order)["total"] == exported


def add_product(admin_client: Client, *, price: str, currency: str) -> None:
    form = {"sku": "MUG", "name": "Mug", "price": price, "currency": currency, "active": "on"}
    assert admin_client.post("/admin/catalog/product/add/", form).status_code == 302
    page = f"/admin/catalog/stock/{Product.objects.get().pk}/receive/"
    admin_client.post(page, {"quantity": "10", "token": "0b8ab24c-d1d5-4df1-9b1f-bd5e3bb3bb1a"})


def read_export(admin_client: Client, order: Order) -> dict[str, str]:
    answer = admin_client.post("/admin/orders/order/", {"action": "export_orders", "_selected_action": order.pk})
    assert isinstance(answer, StreamingHttpResponse)
    [row] = csv.DictReader(StringIO(answer.getvalue().decode("utf-8-sig")))
    return row


def test_a_card_that_takes_less_than_others_declines_and_the_stock_comes_back(
    admin_client: Client, gateway: StripeGateway
) -> None:
    add_product(admin_client, price="10000000", currency="USD")
    order = make_order({"MUG": 1}, payment_method="pm_card_amex")

    charge_payment(reference=order.code)
    finalize_order(code=order.code)

    order.refresh_from_db()
    assert (order.status, order.payment.decline_code) == (Order.Status.CANCELLED, "amount_too_large")
    assert stock_of("MUG") == (10, 0)
