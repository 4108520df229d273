"""The cart in the session: SKUs, quantities, prices seen and a key. All else is read from the products each time."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from catalog.models import Product
from money.currencies import LARGEST_AMOUNT, get_smallest

CART = "cart"  # quantities by SKU
PRICES = "cart_prices"  # by SKU, as they were when the customer last added the product
REMOVED = "cart_removed"  # SKU, quantity and price seen of what the customer removed last
KEY = "checkout_key"


class SoldOut(Exception):
    """No unit of the product can be bought."""


class CartFull(Exception):
    """The cart holds as many products as it can."""


@dataclass(frozen=True, kw_only=True)
class CartLine:
    """One product of the cart, as it is now and as it was when the customer added it."""

    sku: str
    quantity: int
    product: Product | None  # None: no longer for sale
    seen_price: int | None

    @property
    def available(self) -> int:
        return self.product.stock.available if self.product else 0

    @property
    def buyable_units(self) -> int:
        return self.product.buyable_units if self.product else 0

    @property
    def is_buyable(self) -> bool:
        return self.quantity <= self.buyable_units

    @property
    def is_over_limit(self) -> bool:
        """The quantity is refused because of the limit of one order, not because of the stock."""
        return self.buyable_units < min(self.quantity, self.available)

    @property
    def price(self) -> int:
        return (self.product and self.product.price) or 0

    @property
    def old_price(self) -> int | None:
        """The price that the customer saw, if it is another one now."""
        return self.seen_price if self.product and self.seen_price != self.product.price else None

    @property
    def total(self) -> int:
        return self.price * self.quantity


@dataclass(frozen=True, kw_only=True)
class Cart:
    """`key` is the checkout key under which the cart is placed. It is empty before the first product is added."""

    lines: list[CartLine]
    key: str
    removed: CartLine | None = None  # what the customer removed last, and may put back

    @property
    def skus(self) -> list[str]:
        return [line.sku for line in self.lines]

    @property
    def total(self) -> int:
        return sum(line.total for line in self.lines)

    @property
    def currency(self) -> str:
        return next((line.product.currency for line in self.lines if line.product), settings.SHOP_CURRENCY)

    @property
    def is_buyable(self) -> bool:
        return self.is_available and not self.is_too_small and not self.is_too_large

    @property
    def is_available(self) -> bool:
        """All of it can be bought, if only the total can be paid at once."""
        return bool(self.lines) and not self.is_mixed and all(line.is_buyable for line in self.lines)

    @property
    def is_too_small(self) -> bool:
        return self.is_available and self.total < self.smallest_total

    @property
    def is_too_large(self) -> bool:
        return self.is_available and self.total > LARGEST_AMOUNT

    @property
    def smallest_total(self) -> int:
        """The least that can be paid at once, in minor units."""
        return get_smallest(self.currency)

    @property
    def is_mixed(self) -> bool:
        """The products have more than one currency, so they can't be paid together."""
        return len({line.product.currency for line in self.lines if line.product}) > 1

    @property
    def fingerprint(self) -> str:
        """A hash of the products, the quantities, the prices and the currency: it changes when one of these does."""
        content = [self.currency, *((line.sku, line.quantity, line.price) for line in self.lines)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def read_cart(session: SessionBase) -> Cart:
    """Read the cart at today's prices and stock, and what was removed from it last, in one query."""
    quantities, prices, removed = session.get(CART, {}), session.get(PRICES, {}), session.get(REMOVED)
    skus = [*quantities, *(removed or [])[:1]]
    found = Product.objects.for_sale().with_stock().filter(sku__in=skus).defer("description")
    products = {product.sku: product for product in found}

    def read_line(sku: str, quantity: int, seen_price: int | None) -> CartLine:
        return CartLine(sku=sku, quantity=quantity, product=products.get(sku), seen_price=seen_price)

    lines = [read_line(sku, quantity, prices.get(sku)) for sku, quantity in quantities.items()]
    key = ensure_key(session) if lines else session.get(KEY, "")
    return Cart(lines=lines, key=key, removed=read_line(*removed) if removed else None)


def ensure_key(session: SessionBase) -> str:
    """Return the cart's checkout key, which is made with its first product and kept until its order is placed.

    An old copy of the session, which a late write may bring back, has the content and the key of one time: so a cart
    that was ordered comes back with the key of its order.
    """
    key: str = session.setdefault(KEY, f"cart-{uuid4().hex}")
    return key


def add_to_cart(session: SessionBase, *, sku: str, quantity: int) -> int:
    """Add units of a product, but no more than can be bought; return how many are in the cart now.

    Raises Product.DoesNotExist, SoldOut or CartFull, and then changes nothing.
    """
    product = Product.objects.for_sale().with_stock().defer("description").get(sku=sku)
    in_cart = session.get(CART, {})
    quantity = min(in_cart.get(sku, 0) + quantity, product.buyable_units)
    if quantity <= 0:
        raise SoldOut
    if sku not in in_cart and len(in_cart) >= settings.SHOP_MAX_LINES:
        raise CartFull
    put_in_cart(session, sku=sku, quantity=quantity, price=product.price)
    return quantity


def put_in_cart(session: SessionBase, *, sku: str, quantity: int, price: int | None) -> None:
    """Set the quantity of a product, and the price at which the customer saw it, whether or not it can be bought."""
    session.pop(REMOVED, None)
    session.setdefault(CART, {})[sku] = quantity
    session.setdefault(PRICES, {})[sku] = price
    ensure_key(session)
    session.modified = True


def set_quantities(session: SessionBase, quantities: Mapping[str, int]) -> bool:
    """Set the quantities of products in the cart, whether or not so many can be bought: the cart's page says so then.

    A product that is no longer in the cart is not put back: another tab has removed or ordered it. Returns whether
    there was such a product. The prices seen stay as they were.
    """
    in_cart = session.get(CART, {})
    changed = {sku: quantity for sku, quantity in quantities.items() if in_cart.get(sku, quantity) != quantity}
    if changed:  # otherwise the session is not written: a late write could undo what another tab did
        in_cart.update(changed)
        session.modified = True
    return not quantities.keys() <= in_cart.keys()


def remove_from_cart(session: SessionBase, *, sku: str) -> None:
    """Remove the product, if it is in the cart. The key stays, since a late write can bring the cart back."""
    for name in (CART, PRICES):
        session.get(name, {}).pop(sku, None)
    session.modified = True


def set_aside(session: SessionBase, *, sku: str) -> None:
    """Remove the product as its customer wants: put_back brings it back, until something else is put in the cart."""
    if sku in session.get(CART, {}):
        session[REMOVED] = [sku, session[CART][sku], session.get(PRICES, {}).get(sku)]
    remove_from_cart(session, sku=sku)


def put_back(session: SessionBase) -> None:
    """Put back what was removed last, as it was. Raises CartFull. A repeat changes nothing."""
    if removed := session.get(REMOVED):
        sku, quantity, price = removed
        if len(session.get(CART, {})) >= settings.SHOP_MAX_LINES:
            raise CartFull
        put_in_cart(session, sku=sku, quantity=quantity, price=price)


def remove_units(session: SessionBase, quantities: Mapping[str, int]) -> None:
    """Remove that many units of each product; a product of which none is left is removed."""
    in_cart = session.get(CART, {})
    for sku, quantity in quantities.items():
        in_cart[sku] = in_cart.get(sku, 0) - quantity
        if in_cart[sku] <= 0:
            remove_from_cart(session, sku=sku)
    session.modified = True


def fit_cart(session: SessionBase) -> None:
    """Lower each quantity to what can be bought, and remove what can't be. The prices seen stay as they were."""
    for line in read_cart(session).lines:
        if line.buyable_units == 0:
            remove_from_cart(session, sku=line.sku)
        elif not line.is_buyable:
            session[CART][line.sku] = line.buyable_units
    session.modified = True


def cart_count(request: HttpRequest) -> dict[str, object]:
    """A context processor: every template knows how many units are in the cart."""
    return {"cart_count": sum(request.session.get(CART, {}).values())} if hasattr(request, "session") else {}
