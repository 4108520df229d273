"""What is asked for at a checkout, and what it costs today; or why it can't be had."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings

from catalog.models import Product
from money import LARGEST_AMOUNT, get_step
from orders.models import OrderLine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BasketLine:
    sku: str
    quantity: int


class CheckoutRefused(Exception):
    """Nothing was placed. `code` is stable; `lines` says what is wrong with which line.

    `retry_after` is the seconds until it may be asked for again, where that is known.
    """

    code = "refused"

    def __init__(self, detail: str, lines: Sequence[Mapping[str, object]] = (), *, retry_after: int = 0) -> None:
        super().__init__(detail)
        self.detail, self.lines, self.retry_after = detail, lines, retry_after


class UnknownProduct(CheckoutRefused):
    """There is no product with that SKU."""

    code = "unknown_product"


class NotForSale(CheckoutRefused):
    """The product isn't sold, or not now, or not together with the others."""

    code = "not_for_sale"


class PriceChanged(CheckoutRefused):
    """The total, or its currency, is not what the customer was told."""

    code = "price_changed"


class TooManyLines(CheckoutRefused):
    """More products than one order may have."""

    code = "too_many_lines"


class TooManyUnits(CheckoutRefused):
    """More of a product than one order may have."""

    code = "too_many_units"


class PriceNotChargeable(CheckoutRefused):
    """The provider takes no such amount: the price was stored before the shop knew."""

    code = "price_not_chargeable"


class TotalTooLarge(CheckoutRefused):
    """The total is more than can be charged at once."""

    code = "total_too_large"


def merge_lines(lines: Iterable[BasketLine]) -> dict[str, int]:
    """Quantities by SKU, in SKU order; the same SKU twice is one line."""
    basket: Counter[str] = Counter()
    for line in lines:
        basket[line.sku] += line.quantity
    return dict(sorted(basket.items()))


def price_basket(
    basket: Mapping[str, int],
    *,
    expected_total: int | None = None,
    expected_currency: str | None = None,
    limited: bool = False,
) -> list[OrderLine]:
    """Unsaved order lines at today's prices, in product id order. Raises CheckoutRefused.

    limited: only as many products, and of each as many units, as one order may have.
    """
    if limited and len(basket) > settings.SHOP_MAX_LINES:
        raise TooManyLines(f"One order may have {settings.SHOP_MAX_LINES} products.")
    products = {product.sku: product for product in Product.objects.filter(sku__in=basket).order_by("pk")}
    if unknown := [{"sku": sku} for sku in basket if sku not in products]:
        raise UnknownProduct("There is no such product.", unknown)
    currency = next(iter(products.values())).currency
    if unsold := [
        {"sku": p.sku} for p in products.values() if not p.active or p.price is None or p.currency != currency
    ]:
        raise NotForSale("Not for sale now, or not in this currency.", unsold)
    if limited and (
        greedy := [
            {"sku": sku, "max_quantity": product.max_per_order}
            for sku, product in products.items()
            if basket[sku] > product.max_per_order
        ]
    ):
        raise TooManyUnits("More units than one order may have.", greedy)
    lines = [
        OrderLine(product=product, sku=sku, name=product.name, price=product.price, quantity=basket[sku])
        for sku, product in products.items()
        if product.price
    ]
    total = sum(line.price * line.quantity for line in lines)
    if expected_total not in (None, total) or expected_currency not in (None, currency):
        prices = [{"sku": line.sku, "price": line.price, "quantity": line.quantity} for line in lines]
        expected = f"{expected_total or total} {expected_currency or currency}"
        raise PriceChanged(f"The total is {total} {currency}, not {expected}.", prices)
    _check_amounts(lines, total, currency)
    return lines


def _check_amounts(lines: Iterable[OrderLine], total: int, currency: str) -> None:
    """Raises PriceNotChargeable and TotalTooLarge."""
    # By price, not by total: what can't be sold alone is not sold by the five either.
    if odd := [{"sku": line.sku, "price": line.price} for line in lines if line.price % get_step(currency)]:
        logger.error("%s can't be sold: %s", currency, odd)  # staff gave the price, or a file
        raise PriceNotChargeable(f"{currency} is charged in multiples of {get_step(currency)} minor units.", odd)
    if total > LARGEST_AMOUNT:
        raise TotalTooLarge(f"The total is {total}; at most {LARGEST_AMOUNT} can be charged at once.")
