"""What must always hold, A1 to A8: each a set-based query for the codes (or SKUs) where it does not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """An invariant, and what it means that the query finds something; `ledger`: it reads the provider's ledger too."""

    invariant: str
    detail: str
    sql: str
    ledger: bool = False


CHECKS = [
    Check(
        "A1",
        "on_hand or reserved is not the sum of the movements",
        """
        SELECT product.sku FROM catalog_stock stock
        JOIN catalog_product product ON product.id = stock.product_id
        LEFT JOIN (
            SELECT stock_id,
                SUM(CASE WHEN kind IN ('RECEIVED', 'ADJUSTED', 'RETURNED') THEN quantity
                         WHEN kind = 'DEDUCTED' THEN -quantity ELSE 0 END) AS on_hand,
                SUM(CASE WHEN kind = 'RESERVED' THEN quantity
                         WHEN kind IN ('RELEASED', 'DEDUCTED') THEN -quantity ELSE 0 END) AS reserved
            FROM catalog_stockmovement GROUP BY stock_id
        ) moved ON moved.stock_id = stock.product_id
        WHERE (stock.on_hand, stock.reserved) IS DISTINCT FROM (COALESCE(moved.on_hand, 0), COALESCE(moved.reserved, 0))
            OR NOT stock.reserved BETWEEN 0 AND stock.on_hand
        """,
    ),
    Check(
        "A2",
        "the total is not that of the lines and of the payment",
        """
        SELECT o.code FROM orders_order o
        JOIN payments_payment payment ON payment.id = o.payment_id
        LEFT JOIN (SELECT order_id, SUM(total) AS total FROM orders_orderline GROUP BY order_id) line
            ON line.order_id = o.id
        WHERE (line.total, payment.amount, payment.currency, payment.reference)
            IS DISTINCT FROM (o.total, o.total, o.currency, o.code)
        """,
    ),
    Check(
        "A3",
        "confirmed, but the provider does not show exactly one charge of the total, kept",
        """
        SELECT o.code FROM orders_order o
        LEFT JOIN (
            SELECT reference, COUNT(*) AS charges, SUM(amount - refunded) AS kept, MIN(currency) AS currency
            FROM audit_charge GROUP BY reference
        ) charge ON charge.reference = o.code
        WHERE o.status = 'CONFIRMED' AND o.finalized_at < %(started)s AND o.created_at >= %(since)s
            AND (charge.charges, charge.kept, charge.currency) IS DISTINCT FROM (1, o.total, o.currency)
        """,
        ledger=True,
    ),
    Check(
        "A3",
        "confirmed, but not every line was deducted once; or deducted, but not confirmed",
        """
        SELECT DISTINCT COALESCE(wanted.code, moved.reference) FROM (
            SELECT o.code, line.product_id, line.quantity FROM orders_order o
            JOIN orders_orderline line ON line.order_id = o.id WHERE o.status = 'CONFIRMED'
        ) wanted
        FULL JOIN (SELECT * FROM catalog_stockmovement WHERE kind = 'DEDUCTED') moved
            ON moved.reference = wanted.code AND moved.stock_id = wanted.product_id
        WHERE wanted.quantity IS DISTINCT FROM moved.quantity
        """,
    ),
    Check(
        "A4",
        "cancelled, but the provider keeps money",
        """
        SELECT o.code FROM orders_order o JOIN audit_charge charge ON charge.reference = o.code
        WHERE o.status = 'CANCELLED' AND o.finalized_at < %(started)s
        GROUP BY o.code HAVING SUM(charge.amount - charge.refunded) <> 0
        """,
        ledger=True,
    ),
    Check(
        "A4",
        "cancelled, but not every line was released once; or released, but not cancelled",
        """
        SELECT DISTINCT COALESCE(wanted.code, moved.reference) FROM (
            SELECT o.code, line.product_id, line.quantity FROM orders_order o
            JOIN orders_orderline line ON line.order_id = o.id WHERE o.status = 'CANCELLED'
        ) wanted
        FULL JOIN (SELECT * FROM catalog_stockmovement WHERE kind = 'RELEASED') moved
            ON moved.reference = wanted.code AND moved.stock_id = wanted.product_id
        WHERE wanted.quantity IS DISTINCT FROM moved.quantity
        """,
    ),
    Check(
        "A5",
        "pending past its deadline, and its next sweep is overdue",
        """
        SELECT code FROM orders_order
        WHERE status = 'PENDING' AND NOT needs_review
            AND GREATEST(expires_at, sweep_after) < now() - make_interval(secs => %(grace)s)
        """,
    ),
    Check(
        "A6",
        "money at the provider without its order",
        """
        SELECT COALESCE(NULLIF(charge.reference, ''), charge.provider_id) FROM audit_charge charge
        LEFT JOIN orders_order o ON o.code = charge.reference WHERE o.id IS NULL
        """,
        ledger=True,
    ),
    Check(
        "A7",
        "the events are no legal path to the status",
        """
        SELECT o.code FROM orders_order o
        LEFT JOIN (
            SELECT order_id, array_agg(kind::text ORDER BY id) AS kinds FROM orders_orderevent GROUP BY order_id
        ) event ON event.order_id = o.id
        WHERE NOT COALESCE(
            kinds[1] = 'placed' AND NOT 'placed' = ANY (kinds[2:]) AND CASE o.status
                WHEN 'PENDING' THEN NOT kinds && ARRAY['confirmed', 'cancelled']
                ELSE kinds[cardinality(kinds)] = lower(o.status)
                    AND NOT kinds[:cardinality(kinds) - 1] && ARRAY['confirmed', 'cancelled']
            END, FALSE)
        """,
    ),
    Check(
        "A8",
        "more was sold than ever received",
        """
        SELECT product.sku FROM catalog_stockmovement movement
        JOIN catalog_product product ON product.id = movement.stock_id
        GROUP BY product.sku
        HAVING SUM(CASE WHEN kind IN ('RECEIVED', 'ADJUSTED', 'RETURNED') THEN quantity
                        WHEN kind = 'DEDUCTED' THEN -quantity ELSE 0 END) < 0
        """,
    ),
]
