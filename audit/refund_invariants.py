"""What must always hold of refunds, as a part of A3, A4, A5 and A7."""

from audit.queries import ARCHIVED, Check

# A refund of the order's money by what our rows say. The ledger was read before the rows: what was answered after that
# may or may not be in it.
REFUNDS = """
        SELECT payment.reference, refund.amount, refund.sweep_after IS NOT NULL AS is_swept,
            refund.status = 'REQUESTED' AS is_open,
            refund.status = 'SUCCEEDED' AND refund.answered_at < %(started)s AS is_given,
            refund.status <> 'FAILED' OR refund.answered_at >= %(started)s AS may_be_given
        FROM payments_refund refund JOIN payments_payment payment ON payment.id = refund.payment_id"""

REFUND_CHECKS = [
    Check(
        "A3",
        "confirmed, and more or less was refunded at the provider than the refunds say",
        f"""
        SELECT o.code FROM orders_order o
        JOIN payments_payment payment ON payment.id = o.payment_id
        JOIN audit_charge charge ON (charge.gateway, charge.provider_id) = (payment.gateway, payment.provider_id)
        LEFT JOIN (
            SELECT reference, SUM(amount) FILTER (WHERE is_given) AS given,
                SUM(amount) FILTER (WHERE may_be_given) AS perhaps_given
            FROM ({REFUNDS}) known GROUP BY reference
        ) refund ON refund.reference = o.code
        WHERE o.status = 'CONFIRMED' AND o.finalized_at < %(started)s
            AND charge.refunded NOT BETWEEN COALESCE(refund.given, 0) AND COALESCE(refund.perhaps_given, 0)
        """,
        ledger=True,
    ),
    Check(
        "A3",
        "what an order has refunded is not what its recorded refunds say, or that is more than was charged",
        """
        SELECT o.code FROM orders_order o
        LEFT JOIN (
            SELECT payment_id, SUM(amount) FILTER (WHERE status = 'SUCCEEDED' AND recorded_at IS NOT NULL) AS refunded,
                SUM(amount) FILTER (WHERE status <> 'FAILED') AS asked
            FROM payments_refund GROUP BY payment_id
        ) refund ON refund.payment_id = o.payment_id
        WHERE COALESCE(refund.refunded, 0) <> o.refunded OR refund.asked > o.total
        """,
    ),
    Check(
        "A3",
        "units came back that no recorded refund returns, or the other way round",
        f"""
        SELECT COALESCE(wanted.code, moved.reference) FROM (
            SELECT o.code, refund.key, line.product_id, returned.quantity FROM orders_refundline returned
            JOIN payments_refund refund ON refund.id = returned.refund_id
            JOIN orders_orderline line ON line.id = returned.line_id JOIN orders_order o ON o.id = line.order_id
            WHERE returned.restock AND refund.status = 'SUCCEEDED' AND refund.recorded_at IS NOT NULL
        ) wanted
        FULL JOIN (
            SELECT * FROM catalog_stockmovement movement WHERE kind = 'RETURNED' AND NOT EXISTS (
                SELECT FROM payments_refund refund JOIN payments_payment payment ON payment.id = refund.payment_id
                WHERE refund.key = movement.reference AND (refund.status = 'FAILED' AND refund.provider_id IS NOT NULL
                    OR {ARCHIVED.format(code="payment.reference")}))
        ) moved ON moved.reference = wanted.key AND moved.stock_id = wanted.product_id
        WHERE wanted.quantity IS DISTINCT FROM moved.quantity
        """,
    ),
    Check(
        "A3",
        "more units of a line came back than were sold",
        """
        SELECT o.code FROM orders_order o JOIN orders_orderline line ON line.order_id = o.id
        JOIN orders_refundline returned ON returned.line_id = line.id
        JOIN payments_refund refund ON refund.id = returned.refund_id
        JOIN catalog_stockmovement movement ON movement.reference = refund.key
            AND movement.stock_id = line.product_id AND movement.kind = 'RETURNED'
        GROUP BY o.id, line.id HAVING SUM(movement.quantity) > line.quantity OR o.status <> 'CONFIRMED'
        """,
    ),
    Check(
        "A4",
        "cancelled, but the provider keeps money that no open refund gives back",
        f"""
        SELECT o.code FROM orders_order o
        JOIN (
            SELECT reference, SUM(amount - refunded - owed) AS kept FROM audit_charge GROUP BY reference
        ) charge ON charge.reference = o.code
        LEFT JOIN (
            SELECT reference, SUM(amount) FILTER (WHERE is_open AND is_swept OR NOT is_given AND may_be_given) AS coming
            FROM ({REFUNDS}) known GROUP BY reference
        ) refund ON refund.reference = o.code
        WHERE o.status = 'CANCELLED' AND o.finalized_at < %(started)s
            AND charge.kept NOT BETWEEN 0 AND COALESCE(refund.coming, 0)
        """,
        ledger=True,
    ),
    Check(
        "A5",
        "a refund that is not over, and its sweep is overdue",
        """
        SELECT payment.reference FROM payments_refund refund JOIN payments_payment payment ON payment.id = payment_id
        WHERE recorded_at IS NULL
            AND COALESCE(sweep_after < now() - make_interval(secs => %(sweep_grace)s), TRUE)
        """,
    ),
    Check(
        "A7",
        "the events and mails of refunds are not those of its refunds",
        """
        SELECT o.code FROM orders_order o
        LEFT JOIN (
            SELECT order_id, COUNT(*) FILTER (WHERE kind = 'refund_requested') AS requested,
                COUNT(*) FILTER (WHERE kind = 'refunded') AS given
            FROM orders_orderevent WHERE kind LIKE 'refund%%' GROUP BY order_id
        ) event ON event.order_id = o.id
        LEFT JOIN (
            SELECT order_id, COUNT(*) AS given FROM orders_ordermail WHERE kind = 'refunded' GROUP BY order_id
        ) mail ON mail.order_id = o.id
        LEFT JOIN (
            SELECT reference, COUNT(*) FILTER (WHERE NOT adopted) AS requested,
                COUNT(*) FILTER (WHERE recorded_at IS NOT NULL AND refund.status = 'SUCCEEDED') AS given
            FROM payments_refund refund JOIN payments_payment payment ON payment.id = payment_id GROUP BY reference
        ) refund ON refund.reference = o.code
        -- One that failed later was given first, so it has its event and mail as well.
        WHERE COALESCE(event.requested, 0) <> COALESCE(refund.requested, 0)
            OR COALESCE(event.given, 0) <> COALESCE(mail.given, 0)
            OR COALESCE(event.given, 0) < COALESCE(refund.given, 0)
        """,
    ),
]
