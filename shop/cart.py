"""The cart: what a customer means to buy. The session has SKUs and quantities; everything else is read at each look."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import uuid4

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db.models import QuerySet
from django.http import HttpRequest

from catalog.models import Product
from orders.models import Order

CART = "cart"  # quantities by SKU
PRICES = "cart_prices"  # by SKU, as they were when the customer last added to it
KEY = "checkout_key"
EMAIL = "email"  # of the last order: a guest need not type it again
LAST_ORDER = "last_order"  # its code: the way back for who never saw the answer
AGAIN = "ordered_again"  # by the code of a cancelled order: the key under which what it asked for is placed again
KEY_FORM = re.compile(r"cart-[0-9a-f]{32}")  # nothing that a client of the API would choose, and nobody could guess


class SoldOut(Exception):
    """No unit of the product can be bought."""


class CartFull(Exception):
    """There are as many products in the cart as it holds."""


@dataclass(frozen=True, kw_only=True)
class CartLine:
    """One product of the cart, as it is now and as it was when it was put in."""

    sku: str
    quantity: int
    product: Product | None  # None: not for sale any more
    old_price: int | None  # None: as it is now

    @property
    def available(self) -> int:
        return self.product.stock.available if self.product else 0

    @property
    def most(self) -> int:
        return most_units(self.product) if self.product else 0

    @property
    def is_buyable(self) -> bool:
        return self.quantity <= self.most

    @property
    def is_over_limit(self) -> bool:
        """What stands against it is the limit of one order, not the stock."""
        return self.most < min(self.quantity, self.available)

    @property
    def price(self) -> int:
        return (self.product and self.product.price) or 0

    @property
    def total(self) -> int:
        return self.price * self.quantity


@dataclass(frozen=True)
class Cart:
    lines: list[CartLine]

    @property
    def total(self) -> int:
        return sum(line.total for line in self.lines)

    @property
    def currency(self) -> str:
        return next((line.product.currency for line in self.lines if line.product), settings.SHOP_CURRENCY)

    @property
    def is_buyable(self) -> bool:
        return bool(self.lines) and not self.is_mixed and all(line.is_buyable for line in self.lines)

    @property
    def is_mixed(self) -> bool:
        """More than one currency: they can't be paid together."""
        return len({line.product.currency for line in self.lines if line.product}) > 1

    @property
    def fingerprint(self) -> str:
        """The same as long as the products, the quantities, the prices and their currency are."""
        asked = [self.currency, *((line.sku, line.quantity, line.price) for line in self.lines)]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def read_cart(session: SessionBase) -> Cart:
    """The cart at today's prices and stock, in one query."""
    quantities, prices = session.get(CART, {}), session.get(PRICES, {})
    products = {product.sku: product for product in _find_products(quantities)}
    return Cart([_make_line(sku, quantity, products.get(sku), prices.get(sku)) for sku, quantity in quantities.items()])


def add_to_cart(session: SessionBase, *, sku: str, quantity: int) -> int:
    """Add units of a product, as far as they can be bought; return how many are in the cart now.

    Raises Product.DoesNotExist, SoldOut and CartFull, having changed nothing.
    """
    product = _find_products([sku]).get()
    quantity = min(session.get(CART, {}).get(sku, 0) + quantity, most_units(product))
    if quantity <= 0:
        raise SoldOut
    quantities = session.setdefault(CART, {})
    if sku not in quantities and len(quantities) >= settings.SHOP_MAX_LINES:
        raise CartFull
    quantities[sku] = quantity
    session.setdefault(PRICES, {})[sku] = product.price
    get_checkout_key(session)
    session.modified = True
    return quantity


def set_quantities(session: SessionBase, quantities: Mapping[str, int]) -> bool:
    """Have that many units of each product in the cart, whether they can be bought or not: the cart then says so.

    What is not in the cart any more is not put back: another tab has taken it out, or ordered it. Returns whether
    there was any. The prices seen stay as they were.
    """
    in_cart = session.get(CART, {})
    changed = {sku: quantity for sku, quantity in quantities.items() if in_cart.get(sku, quantity) != quantity}
    if changed:  # or nothing is written: a late write could undo another tab's
        in_cart.update(changed)
        get_checkout_key(session)
        session.modified = True
    return not quantities.keys() <= in_cart.keys()


def remove_from_cart(session: SessionBase, *, sku: str) -> None:
    """Take the product out; nothing happens if it is not in. The key stays, as a late write can bring the cart back."""
    for name in (CART, PRICES):
        session.get(name, {}).pop(sku, None)
    session.modified = True


def fit_cart(session: SessionBase) -> None:
    """Lower each quantity to what can be bought, and take out what can't. The prices seen stay as they were."""
    for line in read_cart(session).lines:
        if line.most == 0:
            remove_from_cart(session, sku=line.sku)
        elif not line.is_buyable:
            session[CART][line.sku] = line.most
    session.modified = True


def get_checkout_key(session: SessionBase) -> str:
    """The key under which this cart is placed, made with its first product and kept until its order is placed.

    Whatever copy of the session a late write brings back, content and key are of one time: an ordered cart comes back
    with the key of its order.
    """
    key: str = session.setdefault(KEY, f"cart-{uuid4().hex}")
    return key


def find_placed(session: SessionBase, *, posted_key: str = "") -> Order | None:
    """The order that stands under the key that a checkout page had, or under this cart's own.

    The second is there when the answer got lost and the session with it.
    """
    key = posted_key or session.get(KEY, "")
    return Order.objects.filter(checkout_key=key).first() if KEY_FORM.fullmatch(key) else None


def drop_ordered(session: SessionBase) -> None:
    """Take out what is ordered already, where a late write has brought it back; one query for a cart that has a key."""
    while order := find_placed(session):
        finish_checkout(session, order=order)


def finish_checkout(session: SessionBase, *, order: Order) -> None:
    """Take out what was ordered, if it was this cart's key; what was put in since then stays, under the next key."""
    if session.get(KEY) != order.checkout_key:
        return
    session[KEY] = _next_key(order.checkout_key)
    session[LAST_ORDER], session[EMAIL] = order.code, order.email
    quantities = session.get(CART, {})
    for line in order.lines.all():
        quantities[line.sku] = quantities.get(line.sku, 0) - line.quantity
        if quantities[line.sku] <= 0:
            remove_from_cart(session, sku=line.sku)


def refill_cart(session: SessionBase, *, order: Order) -> None:
    """Have what the order asked for in the cart again, at the price that it had; a repeat changes nothing."""
    drop_ordered(session)
    session.setdefault(AGAIN, {})[order.code] = get_checkout_key(session)
    for line in order.lines.all():
        session.setdefault(CART, {})[line.sku] = line.quantity
        session.setdefault(PRICES, {})[line.sku] = line.price
    session.modified = True


def find_again(session: SessionBase, *, order: Order) -> Order | None:
    """The order that this visitor has placed instead of a cancelled one, if that is not cancelled too."""
    if order.status != Order.Status.CANCELLED:  # a page that is polled reads no session
        return None
    key = session.get(AGAIN, {}).get(order.code)
    return Order.objects.filter(checkout_key=key).exclude(status=Order.Status.CANCELLED).first() if key else None


def most_units(product: Product) -> int:
    """How many units of it one cart may hold now."""
    return min(product.stock.available, product.max_per_order)


def cart_count(request: HttpRequest) -> dict[str, object]:
    """For every template: how many units are in the cart."""
    return {"cart_count": sum(request.session.get(CART, {}).values())} if hasattr(request, "session") else {}


def _next_key(key: str) -> str:
    # Not random: if a cart comes back that two orders have gone through, its first key leads to the second.
    return f"cart-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _find_products(skus: Iterable[str]) -> QuerySet[Product]:
    sellable = Product.objects.filter(sku__in=list(skus), active=True, stock__isnull=False)
    return sellable.select_related("stock").defer("description")


def _make_line(sku: str, quantity: int, product: Product | None, seen: int | None) -> CartLine:
    changed = product is not None and seen not in (None, product.price)
    return CartLine(sku=sku, quantity=quantity, product=product, old_price=seen if changed else None)
