"""What a checkout costs today, or why it is refused."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import structlog
from django.conf import settings

from catalog.models import Product
from catalog.services import read_products
from money.currencies import LARGEST_AMOUNT, get_smallest, get_step
from orders.models import OrderLine

logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class CheckoutLine:
    """One product as a customer asks for it."""

    sku: str
    quantity: int


class CheckoutRefused(Exception):
    """Nothing was placed. `code` is stable; `lines` says what is wrong with which line.

    `retry_after` is the seconds after which the same checkout may succeed; 0 where nobody knows.
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


class TotalTooSmall(CheckoutRefused):
    """The total is less than can be charged: the provider's fee would be higher."""

    code = "total_too_small"


class TotalTooLarge(CheckoutRefused):
    """The total is more than can be charged at once."""

    code = "total_too_large"


class OutOfStock(CheckoutRefused):
    """Fewer units are available than were asked for; `lines` says how many, where it is too few."""

    code = "insufficient_stock"

    def __init__(self, available: Mapping[str, int]) -> None:
        short = [{"sku": sku, "available": units} for sku, units in available.items()]
        super().__init__("Fewer units are available than were asked for.", short)


def price_lines(
    quantities: Mapping[str, int],
    *,
    expected_total: int | None = None,
    expected_currency: str | None = None,
    limited: bool = False,
) -> list[OrderLine]:
    """Return unsaved order lines at today's prices, in product id order, for these quantities by SKU.

    `limited` refuses more products, or more units of one, than an order may have. Raises a CheckoutRefused; also
    OutOfStock, without a lock, so that a product that is sold out costs next to nothing.
    """
    if limited and len(quantities) > settings.SHOP_MAX_LINES:
        raise TooManyLines(f"One order may have {settings.SHOP_MAX_LINES} products.")
    products, available = _read_products(quantities)
    if limited:
        _check_quantities(products, quantities)
    lines = [
        # _read_products has refused every product without a price.
        OrderLine(product=product, sku=sku, name=product.name, price=cast(int, product.price), quantity=quantities[sku])
        for sku, product in products.items()
    ]
    total, currency = sum(line.price * line.quantity for line in lines), lines[0].product.currency
    if expected_total not in (None, total) or expected_currency not in (None, currency):
        prices = [{"sku": line.sku, "price": line.price, "quantity": line.quantity} for line in lines]
        expected = f"{expected_total or total} {expected_currency or currency}"
        raise PriceChanged(f"The total is {total} {currency}, not {expected}.", prices)
    _check_amounts(lines, total, currency)
    if short := {sku: units for sku, units in available.items() if units < quantities[sku]}:
        raise OutOfStock(short)
    return lines


def _read_products(quantities: Mapping[str, int]) -> tuple[dict[str, Product], dict[str, int]]:
    """The products and their available units, by SKU, in id order. Raises UnknownProduct and NotForSale."""
    found = read_products(quantities)
    products = {product.sku: product for product, _available in found}
    if unknown := [{"sku": sku} for sku in quantities if sku not in products]:
        raise UnknownProduct("There is no such product.", unknown)
    currency = next(iter(products.values())).currency
    if unsold := [
        {"sku": p.sku} for p in products.values() if not p.active or p.price is None or p.currency != currency
    ]:
        raise NotForSale("Not for sale now, or not in this currency.", unsold)
    return products, {product.sku: available for product, available in found}


def _check_quantities(products: Mapping[str, Product], quantities: Mapping[str, int]) -> None:
    """Raises TooManyUnits."""
    if excessive := [
        {"sku": sku, "max_quantity": product.max_per_order}
        for sku, product in products.items()
        if quantities[sku] > product.max_per_order
    ]:
        raise TooManyUnits("More units than one order may have.", excessive)


def _check_amounts(lines: Iterable[OrderLine], total: int, currency: str) -> None:
    """Raises PriceNotChargeable, TotalTooSmall and TotalTooLarge."""
    # Each price is checked, not the total: five units of a price that can't be charged may add up to one that can.
    if odd := [{"sku": line.sku, "price": line.price} for line in lines if line.price % get_step(currency)]:
        logger.error("prices can't be charged", currency=currency, skus=odd)  # staff gave the price, or a file
        raise PriceNotChargeable(f"{currency} is charged in multiples of {get_step(currency)} minor units.", odd)
    least = get_smallest(currency)
    if total < least:
        raise TotalTooSmall(
            f"The total is {total}; the least that can be charged is {least} minor units of {currency}."
        )
    if total > LARGEST_AMOUNT:
        raise TotalTooLarge(f"The total is {total}; the most that can be charged is {LARGEST_AMOUNT} minor units.")
