"""Moves stock: locks its rows in product id order, then writes the ledger and the stock in one statement."""

from collections.abc import Iterable, Mapping
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

# Each LIMIT below has the length of its array, so it drops no row. It is there for the planner: without it PostgreSQL
# expects ten elements, and plans the statement anew each time because there are fewer. With it the plan is kept.

# They stand in the model's order: Model.from_db relies on it.
PRODUCT_COLUMNS = ["id", "sku", "name", "price", "currency", "max_quantity", "active"]
READ_PRODUCTS = f"""
SELECT {", ".join(PRODUCT_COLUMNS)}, COALESCE(on_hand - reserved, 0)
FROM (SELECT unnest(%(skus)s::text[]) AS sku LIMIT cardinality(%(skus)s::text[])) AS asked
JOIN catalog_product USING (sku) LEFT JOIN catalog_stock ON product_id = id
ORDER BY id
"""  # noqa: S608 - names of our own

# Locks rows in product id order, so that buyers of the same products can't deadlock. In LOCK, GIVEN and RESERVED,
# `condition` lets a larger statement leave them alone.
LOCK = """
SELECT product_id, on_hand - reserved AS units FROM catalog_stock JOIN (
    SELECT unnest(%(products)s::bigint[]) AS product_id LIMIT cardinality(%(products)s::bigint[])
) AS asked USING (product_id) WHERE {condition} ORDER BY product_id FOR UPDATE OF catalog_stock
"""

# What MOVE can move: the `products` and `quantities` of describe_move. The caller locks the stock first. A larger
# statement gives a `condition`, such as EXISTS, so that nothing moves unless its other parts wrote something.
GIVEN = """
SELECT * FROM unnest(%(products)s::bigint[], %(quantities)s::bigint[]) AS given (stock_id, quantity) WHERE {condition}
LIMIT cardinality(%(products)s::bigint[])
"""
# The other thing that MOVE can move: what the ledger has reserved for the `reference`. It locks the stock by itself, in
# the order of LOCK, so the caller needs to know no product.
RESERVED = """
SELECT stock_id, quantity FROM catalog_stockmovement JOIN catalog_stock ON product_id = stock_id
WHERE reference = %(reference)s AND kind = 'RESERVED' AND {condition}
ORDER BY product_id FOR UPDATE OF catalog_stock
"""
# Two parts for a WITH, which write the movements of `wanted` (GIVEN or RESERVED) and the stock. A movement that the
# ledger already has is skipped, and the stock changes only by the new ones: so a repeat changes nothing. describe_move
# makes the parameters.
MOVE = """
wanted AS MATERIALIZED ({wanted}), moved AS (
    INSERT INTO catalog_stockmovement (stock_id, quantity, kind, reference, reason, actor_id)
    SELECT stock_id, quantity, %(kind)s, %(reference)s, %(reason)s, %(actor)s::bigint FROM wanted
    ON CONFLICT (stock_id, reference, kind) DO NOTHING
    RETURNING stock_id, quantity
), stock AS (
    UPDATE catalog_stock SET on_hand = on_hand + quantity * %(on_hand)s, reserved = reserved + quantity * %(reserved)s
    FROM moved WHERE catalog_stock.product_id = moved.stock_id
)
"""
LOCK_ALL = LOCK.format(condition="TRUE")
MOVE_GIVEN = f"WITH {MOVE.format(wanted=GIVEN.format(condition='TRUE'))} SELECT FROM moved"


class AdjustmentRefused(Exception):
    """The adjustment has no reason, or would leave less on hand than is reserved. Its text is for staff."""


class AdjustmentReused(AdjustmentRefused):
    """The reference has adjusted the product by another quantity, or for another reason."""


def read_products(skus: Iterable[str]) -> list[tuple[Product, int]]:
    """Return the products of these SKUs, each with its available units, in product id order.

    Only what a checkout needs is read of them, in one statement that PostgreSQL has planned before.
    """
    with connection.cursor() as cursor:
        cursor.execute(READ_PRODUCTS, {"skus": list(skus)})
        rows = cursor.fetchall()
    return [(Product.from_db(cursor.db.alias, PRODUCT_COLUMNS, row[:-1]), row[-1]) for row in rows]


def receive_stock(*, reference: str, quantities: Mapping[int, int], actor: User | None = None) -> int:
    """Add delivered units, by product id. Return the number of products moved: 0 for a repeat of the reference."""
    with transaction.atomic():
        lock_stock(quantities)
        return _move_stock(kind=Kind.RECEIVED, reference=reference, quantities=quantities, actor=actor)


def adjust_stock(*, reference: str, product_id: int, quantity: int, reason: str, actor: User | None = None) -> None:
    """Correct the stock of a product by some units, more or fewer, after a count. A repeat changes nothing.

    Raises AdjustmentRefused if there is no reason, or if less would be left on hand than is reserved, and
    AdjustmentReused if the reference was used for another adjustment of the product.
    """
    with transaction.atomic():
        available = lock_stock([product_id])
        if made := _find_adjustment(reference=reference, product_id=product_id):
            if made != (quantity, reason):
                raise AdjustmentReused(_("Another adjustment was made under this reference"))
            return
        if not reason:
            raise AdjustmentRefused(_("An adjustment needs a reason"))
        if available.get(product_id, 0) + quantity < 0:
            refusal = _("%(quantity)s would leave less on hand than is reserved") % {"quantity": f"{quantity:+}"}
            raise AdjustmentRefused(refusal)
        _move_stock(
            kind=Kind.ADJUSTED, reference=reference, quantities={product_id: quantity}, reason=reason, actor=actor
        )


def return_stock(*, reference: str, quantities: Mapping[int, int]) -> int:
    """Put units that were sold back on hand, by product id. Return the number of products moved: 0 for a repeat."""
    with transaction.atomic():
        lock_stock(quantities)
        return _move_stock(kind=Kind.RETURNED, reference=reference, quantities=quantities)


def describe_move(
    *,
    kind: StockMovement.Kind,
    reference: str,
    quantities: Mapping[int, int] | None = None,
    reason: str = "",
    actor: User | None = None,
) -> dict[str, Any]:
    """Return the parameters of MOVE. With quantities, by product id, they are those of LOCK and GIVEN as well."""
    on_hand, reserved = EFFECTS[kind]
    return {
        "kind": kind.value,
        "on_hand": on_hand,
        "reserved": reserved,
        "reference": reference,
        "reason": reason,
        "actor": actor.pk if actor else None,
        "products": list(quantities or ()),
        "quantities": list((quantities or {}).values()),
    }


def _find_adjustment(*, reference: str, product_id: int) -> tuple[int, str] | None:
    adjusted = StockMovement.objects.filter(reference=reference, kind=Kind.ADJUSTED, stock=product_id)
    return adjusted.values_list("quantity", "reason").first()


def lock_stock(products: Iterable[int]) -> dict[int, int]:
    """Return the available units by product id. Nobody else can move them until the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_ALL, {"products": list(products)})
        return dict(cursor.fetchall())


def _move_stock(**move: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(MOVE_GIVEN, describe_move(**move))
        return int(cursor.rowcount)
