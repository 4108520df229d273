"""Moves stock: locks the rows in product id order, then writes the ledger and the stock in one statement."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import User
from catalog.models import Product, StockMovement

Kind = StockMovement.Kind

# By how much a movement of one unit changes on_hand and reserved.
EFFECTS = {
    Kind.RECEIVED: (1, 0),
    Kind.ADJUSTED: (1, 0),
    Kind.RESERVED: (0, 1),
    Kind.RELEASED: (0, -1),
    Kind.DEDUCTED: (-1, -1),
    Kind.RETURNED: (1, 0),
}

# Each LIMIT below takes nothing away. PostgreSQL expects an array that it does not know to have ten elements, and so
# plans a statement anew each time, for fewer. Of a limit that it does not know it expects one row, and keeps the plan.

# The columns stand in the model's order: Model.from_db relies on it.
READ_PRODUCTS = """
SELECT id, sku, name, price, currency, max_quantity, active, COALESCE(on_hand - reserved, 0)
FROM (SELECT unnest(%(skus)s::text[]) AS sku LIMIT cardinality(%(skus)s::text[])) AS asked
JOIN catalog_product USING (sku) LEFT JOIN catalog_stock ON product_id = id
ORDER BY id
"""

# Locks rows in product id order, so that buyers of the same products can't deadlock.
LOCK = """
SELECT product_id, on_hand - reserved FROM catalog_stock JOIN (
    SELECT unnest(%(products)s::bigint[]) AS product_id LIMIT cardinality(%(products)s::bigint[])
) AS asked USING (product_id) ORDER BY product_id FOR UPDATE OF catalog_stock
"""

# The ledger decides: ON CONFLICT skips the movements that it has, and the stock changes only by the new ones.
MOVE = """
WITH wanted AS MATERIALIZED ({wanted}), moved AS (
    INSERT INTO catalog_stockmovement (stock_id, quantity, kind, reference, reason, actor_id)
    SELECT stock_id, quantity, %(kind)s, %(reference)s, %(reason)s, %(actor)s::bigint FROM wanted
    ON CONFLICT (stock_id, reference, kind) DO NOTHING
    RETURNING stock_id, quantity
)
UPDATE catalog_stock SET on_hand = on_hand + quantity * %(on_hand)s, reserved = reserved + quantity * %(reserved)s
FROM moved WHERE catalog_stock.product_id = moved.stock_id
"""
GIVEN = """
    SELECT * FROM unnest(%(products)s::bigint[], %(quantities)s::bigint[]) AS given (stock_id, quantity)
    LIMIT cardinality(%(products)s::bigint[])
"""
# Found and locked in one step, in the order of LOCK.
RESERVED = """
    SELECT stock_id, quantity FROM catalog_stockmovement JOIN catalog_stock ON product_id = stock_id
    WHERE reference = %(reference)s AND kind = 'RESERVED'
    ORDER BY product_id FOR UPDATE OF catalog_stock
"""
MOVE_GIVEN, END_RESERVATION = MOVE.format(wanted=GIVEN), MOVE.format(wanted=RESERVED)


class InsufficientStock(Exception):
    """Fewer units are available than were asked for. `available` says how many, by SKU, if there are too few."""

    def __init__(self, available: dict[str, int]) -> None:
        super().__init__(available)
        self.available = available


class AdjustmentRefused(Exception):
    """The adjustment has no reason, or would leave less on hand than is reserved. Its text is for staff."""


def read_products(skus: Iterable[str]) -> list[tuple[Product, int]]:
    """Return the products of these SKUs, each with its available units, in product id order.

    Only what a checkout needs is read of them, in one statement that PostgreSQL has planned before.
    """
    with connection.cursor() as cursor:
        cursor.execute(READ_PRODUCTS, {"skus": list(skus)})
        fields = [column.name for column in cursor.description[:-1]]
        return [(Product.from_db(connection.alias, fields, row[:-1]), row[-1]) for row in cursor.fetchall()]


def reserve_stock(*, reference: str, quantities: Mapping[int, int]) -> None:
    """Reserve units, by product id, for a reference. Raises InsufficientStock and reserves none if any are missing.

    A repeat changes nothing. The rows stay locked until the caller's transaction ends, so call this last in it.
    """
    with _transaction():
        available = lock_stock(quantities)
        short = {product for product, units in quantities.items() if units > available.get(product, 0)}
        if short:  # a repeat has its units already, also when no others are left
            short -= _find_quantities(reference=reference, kind=Kind.RESERVED).keys()
        if short:
            skus = Product.objects.filter(pk__in=short).values_list("pk", "sku")
            raise InsufficientStock({sku: available.get(product, 0) for product, sku in skus})
        _move_stock(kind=Kind.RESERVED, reference=reference, quantities=quantities)


def deduct_stock(*, reference: str) -> None:
    """Take what was reserved for the reference out of stock. A repeat moves nothing.

    Raises IntegrityError if any of it was released.
    """
    _end_reservation(kind=Kind.DEDUCTED, reference=reference)


def release_stock(*, reference: str) -> None:
    """Give back what was reserved for the reference. A repeat moves nothing.

    Raises IntegrityError if any of it was deducted.
    """
    _end_reservation(kind=Kind.RELEASED, reference=reference)


def receive_stock(*, reference: str, quantities: Mapping[int, int], actor: User | None = None) -> int:
    """Add delivered units, by product id. Return the number of products moved: 0 for a repeat of the reference."""
    with transaction.atomic():
        lock_stock(quantities)
        return _move_stock(kind=Kind.RECEIVED, reference=reference, quantities=quantities, actor=actor)


def adjust_stock(*, reference: str, product_id: int, quantity: int, reason: str, actor: User | None = None) -> None:
    """Correct the stock of a product by some units, more or fewer, after a count. A repeat changes nothing.

    Raises AdjustmentRefused if there is no reason, or if less would be left on hand than is reserved.
    """
    with transaction.atomic():
        available = lock_stock([product_id])
        if product_id in _find_quantities(reference=reference, kind=Kind.ADJUSTED):
            return
        if not reason:
            raise AdjustmentRefused(_("An adjustment needs a reason"))
        if available.get(product_id, 0) + quantity < 0:
            refusal = _("%(quantity)s would leave less on hand than is reserved") % {"quantity": f"{quantity:+}"}
            raise AdjustmentRefused(refusal)
        _move_stock(
            kind=Kind.ADJUSTED, reference=reference, quantities={product_id: quantity}, reason=reason, actor=actor
        )


def _end_reservation(*, kind: StockMovement.Kind, reference: str) -> None:
    _execute_move(END_RESERVATION, kind, {"reference": reference, "reason": "", "actor": None})


def _transaction() -> AbstractContextManager[object]:
    """The caller's transaction, or a new one. No savepoint: a refusal comes before anything is written."""
    return nullcontext() if connection.in_atomic_block else transaction.atomic()


def _find_quantities(*, reference: str, kind: StockMovement.Kind) -> dict[int, int]:
    return dict(StockMovement.objects.filter(reference=reference, kind=kind).values_list("stock_id", "quantity"))


def lock_stock(products: Iterable[int]) -> dict[int, int]:
    """Return the available units by product id. Nobody else can move them until the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, {"products": list(products)})
        return dict(cursor.fetchall())


def _move_stock(
    *,
    kind: StockMovement.Kind,
    reference: str,
    quantities: Mapping[int, int],
    reason: str = "",
    actor: User | None = None,
) -> int:
    given = {"products": list(quantities.keys()), "quantities": list(quantities.values())}
    movement = {"reference": reference, "reason": reason, "actor": actor.pk if actor else None}
    return _execute_move(MOVE_GIVEN, kind, movement | given)


def _execute_move(statement: str, kind: StockMovement.Kind, movement: Mapping[str, Any]) -> int:
    on_hand, reserved = EFFECTS[kind]
    with connection.cursor() as cursor:
        cursor.execute(statement, {**movement, "kind": kind.value, "on_hand": on_hand, "reserved": reserved})
        return int(cursor.rowcount)
