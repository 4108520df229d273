"""What the tests are made of, built through the same functions that the shop uses."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from django.db import connection

from catalog.models import Product, Stock, StockMovement
from catalog.services import receive_stock
from events_out.endpoints import create_endpoint
from events_out.event_types import TYPES
from events_out.models import Delivery, DeliveryTry, Endpoint, EndpointMail
from orders.checkout import Checkout, place_order
from orders.dispute_models import DisputeMail
from orders.models import Order, OrderEvent, OrderLine, OrderMail
from orders.pricing import CheckoutLine
from orders.refund_models import RefundLine
from orders.refunds import Returned, refund_order
from orders.services import finalize_order
from orders.transfers import Recorded, record_transfer
from payments.dispute_models import Dispute
from payments.models import Payment, Transfer, TransferAnswer, TransferRefund
from payments.refund_models import Refund
from payments.services import charge_payment

# Whose triggers refuse some changes.
GUARDED = (
    "catalog_stockmovement",
    "orders_order",
    "orders_orderevent",
    "orders_orderline",
    "orders_refundline",
    "payments_payment",
    "payments_refund",
    "payments_transfer",
    "payments_transferanswer",
    "payments_transferrefund",
)
STOCK = (Product, Stock, StockMovement)
MONEY = (Payment, Refund, Dispute, Transfer, TransferAnswer, TransferRefund)
TOLD = (Endpoint, Delivery, DeliveryTry, EndpointMail)
EVERYTHING = (*STOCK, *MONEY, *TOLD, Order, OrderLine, OrderEvent, OrderMail, RefundLine, DisputeMail)


def make_product(sku: str = "MUG", *, price: int | None = 500, stock: int = 10, **fields: Any) -> Product:
    product = Product.objects.create(sku=sku, price=price, **{"name": f"The {sku}", "currency": "GBP", **fields})
    Stock.objects.create(product=product)
    if stock:
        receive_stock(reference="delivery", quantities={product.pk: stock})
    return product


def make_checkout(quantities: Mapping[str, int] | None = None, **fields: Any) -> Checkout:
    """A checkout of one MUG, or of these quantities by SKU, under a new key."""
    lines = [CheckoutLine(sku, quantity) for sku, quantity in (quantities or {"MUG": 1}).items()]
    asked = {"key": uuid4().hex, "email": "ann@example.com", "payment_method": "pm_card_visa", **fields}
    return Checkout(lines=lines, **asked)


def make_order(quantities: Mapping[str, int] | None = None, *, limited: bool = False, **fields: Any) -> Order:
    """A PENDING order of one MUG, or of these quantities by SKU. A product that is missing is made."""
    checkout = make_checkout(quantities, **fields)
    for sku in checkout.quantities:
        if not Product.objects.filter(sku=sku).exists():
            make_product(sku)
    order, _ = place_order(checkout, limited=limited)
    return order


def make_confirmed(quantity: int = 3, method: str = "pm_card_visa") -> Order:
    """A confirmed order of some MUGs of ten, at 500 each, charged at the provider."""
    order = make_order({"MUG": quantity}, payment_method=method)
    charge_payment(reference=order.code)
    return finalize_order(code=order.code)


def request_refund(order: Order, number: int = 1, *, units: int = 0, restock: bool = True, **fields: Any) -> Refund:
    """A REQUESTED refund of so many units of the order's only line, or of an amount."""
    lines = [Returned(order.lines.get().pk, units, restock)] if units else []
    return refund_order(code=order.code, number=number, lines=lines, **fields)[0]


def make_transfer(order: Order, amount: int | None = None, *, bank_id: str = "", **fields: Any) -> Recorded:
    """What staff record of a transfer of the order's total, or of that amount."""
    amount = order.total if amount is None else amount
    asked = {"provider_id": bank_id or uuid4().hex, "arrived_on": datetime.now(UTC).date(), **fields}
    return record_transfer(code=order.code, amount=amount, **asked)


def make_endpoint(url: str = "https://example.com/hook", *types: str, name: str = "Warehouse") -> Endpoint:
    """An endpoint that is told of these types of events from now on, or of all of them."""
    return create_endpoint(name=name, url=url, types=types or tuple(TYPES))


def answer_payment(order: Order, status: Payment.Status, **fields: Any) -> None:
    """Write the payment's row as it stands once the provider has given that answer."""
    answer: dict[str, Any] = {"status": status, "sent_at": order.created_at}
    if status == Payment.Status.ACTION_REQUIRED:
        answer["action_required_at"] = order.created_at
    if status == Payment.Status.SUCCEEDED:
        answer["provider_id"] = f"pi_{order.code}"
    if status == Payment.Status.DECLINED:
        answer["decline_code"] = "generic_decline"
    if status == Payment.Status.PENDING:
        answer["sent_at"] = None
    Payment.objects.filter(pk=order.payment_id).update(**answer | fields)


def tamper(sql: str, *parameters: int | str | datetime) -> None:
    """Change rows by hand, past the triggers that refuse it: they are off for this statement."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks still to be made can't be altered
        for table in GUARDED:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(sql, parameters or None)
        for table in GUARDED:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def everything() -> dict[str, list[Any]]:
    """Every row of the shop: equal before and after what must change nothing."""
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in EVERYTHING}


def stock_of(sku: str) -> tuple[int, int]:
    """(on_hand, reserved)"""
    stock = Stock.objects.get(product__sku=sku)
    return stock.on_hand, stock.reserved


def poison(order: Order) -> None:
    """Make its cancellation fail: the ledger says that its stock was deducted."""
    line = order.lines.get()
    StockMovement.objects.create(
        stock=line.product.stock, kind=StockMovement.Kind.DEDUCTED, quantity=line.quantity, reference=order.code
    )
