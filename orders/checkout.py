"""How an order begins: one transaction writes it down and reserves its stock; then a message, which may be lost."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from accounts.models import User
from catalog.models import Product
from catalog.services import reserve_stock
from orders.models import Order, OrderEvent, OrderLine, make_code
from orders.tasks import process_order
from payments.services import create_payment

logger = logging.getLogger(__name__)

MAX_TOTAL = 99_999_999  # minor units; https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts


@dataclass(frozen=True)
class BasketLine:
    sku: str
    quantity: int


class CheckoutRefused(Exception):
    """Nothing was placed. `code` is stable; `lines` says what is wrong with which line."""

    code = "refused"

    def __init__(self, detail: str, lines: Sequence[Mapping[str, object]] = ()) -> None:
        super().__init__(detail)
        self.detail, self.lines = detail, lines


class UnknownProduct(CheckoutRefused):
    """There is no product with that SKU."""

    code = "unknown_product"


class NotForSale(CheckoutRefused):
    """The product isn't sold, or not now, or not together with the others."""

    code = "not_for_sale"


class PriceChanged(CheckoutRefused):
    """The total is not what the customer was told."""

    code = "price_changed"


class TotalTooLarge(CheckoutRefused):
    """The total is more than can be charged at once."""

    code = "total_too_large"


class CheckoutKeyReused(CheckoutRefused):
    """Another order was asked for under the same checkout key."""

    code = "idempotency_key_reused"


class _KeyTaken(Exception):
    """Another transaction placed the order of this checkout key first."""


def place_order(
    *,
    checkout_key: str,
    email: str,
    lines: Iterable[BasketLine],
    payment_method: str,
    expected_total: int | None = None,
    user: User | None = None,
) -> tuple[Order, bool]:
    """Write down a PENDING order and its payment and reserve its stock, or nothing; return it and whether it is new.

    The same key again returns the first order, whatever has changed since; also for any number of requests at once.
    Prices are the catalogue's, in minor units; `expected_total` is what the customer was told. The payment is charged
    after the commit. Raises a CheckoutRefused or InsufficientStock.
    """
    basket = merge_lines(lines)
    checkout_hash = _hash_checkout(email, basket, payment_method, expected_total)
    try:
        return _find_order(checkout_key, checkout_hash), False
    except Order.DoesNotExist:
        pass
    try:
        with transaction.atomic(durable=True):
            order_lines = price_basket(basket, expected_total=expected_total)
            order = _insert_order(
                checkout_key=checkout_key,
                checkout_hash=checkout_hash,
                email=email,
                user=user,
                payment_method=payment_method,
                lines=order_lines,
            )
            # The contended rows come last: other buyers of these products wait from here to the commit only.
            reserve_stock(reference=order.code, quantities={line.product_id: line.quantity for line in order_lines})
            _process_on_commit(order.code)
    except _KeyTaken:
        return _find_order(checkout_key, checkout_hash), False
    return order, True


def merge_lines(lines: Iterable[BasketLine]) -> dict[str, int]:
    """Quantities by SKU, in SKU order; the same SKU twice is one line."""
    basket: Counter[str] = Counter()
    for line in lines:
        basket[line.sku] += line.quantity
    return dict(sorted(basket.items()))


def price_basket(basket: Mapping[str, int], *, expected_total: int | None = None) -> list[OrderLine]:
    """Unsaved order lines at today's prices, in product id order. Raises CheckoutRefused."""
    products = {product.sku: product for product in Product.objects.filter(sku__in=basket).order_by("pk")}
    if unknown := [{"sku": sku} for sku in basket if sku not in products]:
        raise UnknownProduct("There is no such product.", unknown)
    currency = next(iter(products.values())).currency
    if unsold := [
        {"sku": p.sku} for p in products.values() if not p.active or p.price is None or p.currency != currency
    ]:
        raise NotForSale("Not for sale now, or not in this currency.", unsold)
    lines = [
        OrderLine(product=product, sku=sku, name=product.name, price=product.price, quantity=basket[sku])
        for sku, product in products.items()
        if product.price
    ]
    total = sum(line.price * line.quantity for line in lines)
    if expected_total not in (None, total):
        prices = [{"sku": line.sku, "price": line.price, "quantity": line.quantity} for line in lines]
        raise PriceChanged(f"The total is {total}, not {expected_total}.", prices)
    if total > MAX_TOTAL:
        raise TotalTooLarge(f"The total is {total}; at most {MAX_TOTAL} can be charged at once.")
    return lines


def _find_order(checkout_key: str, checkout_hash: str) -> Order:
    order = Order.objects.get(checkout_key=checkout_key)
    if order.checkout_hash != checkout_hash:
        raise CheckoutKeyReused("Another order was placed under this key.")
    return order


def _hash_checkout(*asked: object) -> str:
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _insert_order(*, checkout_key: str, payment_method: str, lines: list[OrderLine], **fields: object) -> Order:
    total = sum(line.price * line.quantity for line in lines)
    currency = lines[0].product.currency
    for _ in range(3):
        code = make_code()
        try:
            with transaction.atomic():
                order = Order.objects.create(
                    code=code,
                    checkout_key=checkout_key,
                    currency=currency,
                    total=total,
                    payment=create_payment(
                        reference=code, amount=total, currency=currency, payment_method=payment_method
                    ),
                    expires_at=Now() + timedelta(seconds=settings.ORDER_EXPIRES_AFTER),
                    sweep_after=Now() + timedelta(seconds=settings.SWEEP_AFTER),
                    **fields,
                )
                break
        except IntegrityError as error:
            # The insert waited for the transaction that took the key: its order can be read now.
            if Order.objects.filter(checkout_key=checkout_key).exists():
                raise _KeyTaken from error
    else:
        raise RuntimeError("three new order codes in a row were taken")
    order.refresh_from_db(fields=["created_at", "expires_at", "sweep_after"])
    for line in lines:
        line.order = order
    OrderLine.objects.bulk_create(lines)
    OrderEvent.objects.create(order=order, kind=OrderEvent.Kind.PLACED, data={"total": total})
    return order


def _process_on_commit(code: str) -> None:
    def publish() -> None:
        try:
            process_order(code)
        except OperationalError as error:
            logger.warning("%s is left to the sweep: %s", code, error)

    # Robust: the order stands, so nothing that goes wrong from here on is the customer's error.
    transaction.on_commit(publish, robust=True)
