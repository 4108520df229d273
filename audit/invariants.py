"""What must always hold, A1 to A10. Each check is one query: it finds the orders or products where it does not."""

from audit.dispute_invariants import DISPUTE_CHECKS
from audit.queries import ARCHIVED, Check
from audit.refund_invariants import REFUND_CHECKS


def match_movements(kind: str, orders: str) -> str:
    """The query for codes where the movements of that kind are not, one for one, the lines of those orders."""
    return f"""
        SELECT DISTINCT COALESCE(wanted.code, moved.reference) FROM (
            SELECT o.code, line.product_id, line.quantity FROM orders_order o
            JOIN orders_orderline line ON line.order_id = o.id WHERE {orders}
        ) wanted
        FULL JOIN (
            SELECT * FROM catalog_stockmovement WHERE kind = '{kind}' AND NOT {ARCHIVED.format(code="reference")}
        ) moved
            ON moved.reference = wanted.code AND moved.stock_id = wanted.product_id
        WHERE wanted.quantity IS DISTINCT FROM moved.quantity
        """


def check_stock(invariant: str, status: str, kind: str) -> Check:
    """Each line of an order that ended so was moved once, by a movement of that kind; no other order has one."""
    ended, moved = status.lower(), kind.lower()
    detail = f"{ended}, but not every line was {moved} once; or {moved}, but not {ended}"
    return Check(invariant, detail, match_movements(kind, f"o.status = '{status}'"))


def check_payment(invariant: str, status: str, payments: str, detail: str) -> Check:
    """The payment of an order that ended so has one of those statuses."""
    sql = f"""
        SELECT o.code FROM orders_order o JOIN payments_payment payment ON payment.id = o.payment_id
        WHERE o.status = '{status}' AND payment.status NOT IN ({payments})
        """
    return Check(invariant, detail, sql)


ON_HAND = """
                SUM(CASE WHEN kind IN ('RECEIVED', 'ADJUSTED', 'RETURNED') THEN quantity
                         WHEN kind = 'DEDUCTED' THEN -quantity ELSE 0 END)"""
RESERVED = """
                SUM(CASE WHEN kind = 'RESERVED' THEN quantity
                         WHEN kind IN ('RELEASED', 'DEDUCTED') THEN -quantity ELSE 0 END)"""

ORDER_CHECKS = [
    Check(
        "A1",
        "on_hand or reserved is not the sum of the movements",
        f"""
        SELECT product.sku FROM catalog_stock stock
        JOIN catalog_product product ON product.id = stock.product_id
        LEFT JOIN (
            SELECT stock_id, {ON_HAND} AS on_hand, {RESERVED} AS reserved
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
        "A2",
        "a payment without its order",
        f"""
        SELECT payment.reference FROM payments_payment payment
        LEFT JOIN orders_order o ON o.code = payment.reference
        WHERE o.id IS NULL AND NOT {ARCHIVED.format(code="payment.reference")}
        """,
    ),
    Check(
        "A2",
        "archived, and still here; or archived, and its payment is gone",
        """
        SELECT archived.code FROM orders_archivedorder archived
        LEFT JOIN orders_order o ON o.code = archived.code
        LEFT JOIN payments_payment payment ON payment.reference = archived.code
        WHERE o.id IS NOT NULL OR payment.id IS NULL
        """,
    ),
    Check(
        "A2",
        "of several payments the order's is not the last, or an earlier one is gone, not declined, or not of the total",
        """
        SELECT o.code FROM orders_order o
        JOIN payments_payment present ON present.id = o.payment_id
        JOIN payments_payment payment ON payment.reference = o.code
        WHERE o.code IN (SELECT reference FROM payments_payment WHERE number > 1)
        GROUP BY o.id, present.number
        HAVING (COUNT(*), MAX(payment.number)) IS DISTINCT FROM (present.number, present.number)
            OR BOOL_OR(payment.number < present.number AND (
                (payment.status, payment.amount, payment.currency) IS DISTINCT FROM ('DECLINED', o.total, o.currency)))
        """,
    ),
    Check(
        "A3",
        "confirmed, but the providers do not show one charge of the total, the payment's, or keep another one's money",
        """
        SELECT o.code FROM orders_order o
        JOIN payments_payment payment ON payment.id = o.payment_id
        LEFT JOIN audit_charge charge ON charge.reference = o.code
        WHERE o.status = 'CONFIRMED' AND o.finalized_at < %(started)s AND o.created_at >= %(since)s
        GROUP BY o.id, payment.id
        HAVING COUNT(*) FILTER (WHERE (charge.gateway, charge.provider_id, charge.amount, charge.currency)
                = (payment.gateway, payment.provider_id, o.total, o.currency)) <> 1
            OR SUM(charge.amount - charge.refunded - charge.owed) FILTER (WHERE (charge.gateway, charge.provider_id)
                IS DISTINCT FROM (payment.gateway, payment.provider_id)) > 0
        """,
        ledger=True,
    ),
    check_stock("A3", "CONFIRMED", "DEDUCTED"),
    check_payment("A3", "CONFIRMED", "'SUCCEEDED'", "confirmed, but its payment has not succeeded"),
    check_stock("A4", "CANCELLED", "RELEASED"),
    check_payment(
        "A4",
        "CANCELLED",
        "'DECLINED', 'CANCELLED'",
        "cancelled, but its payment is neither declined nor cancelled",
    ),
    # now() is read a moment before the snapshot: an order that a sweep claims in between only looks less overdue.
    Check(
        "A5",
        "pending, and its sweep is overdue, or it has none and no review",
        """
        SELECT code FROM orders_order
        WHERE status = 'PENDING' AND COALESCE(
            sweep_after < now() - make_interval(secs => %(sweep_grace)s), NOT needs_review)
        """,
    ),
    # A sweep_after ahead proves no progress: each claim moves it on. So count from created_at, which never changes.
    Check(
        "A5",
        "pending far beyond its deadline, whatever is planned next",
        """
        SELECT o.code FROM orders_order o JOIN payments_payment payment ON payment.id = o.payment_id
        WHERE o.status = 'PENDING' AND LEAST(o.expires_at, o.created_at + make_interval(
                secs => %(expires_after)s + COALESCE((%(times_to_pay)s::jsonb ->> payment.gateway)::float8, 0))) < now()
            - make_interval(secs => CASE WHEN needs_review THEN %(review_grace)s ELSE %(pending_grace)s END)
        """,
    ),
    Check(
        "A6",
        "money at the provider without its order",
        f"""
        SELECT COALESCE(NULLIF(charge.reference, ''), charge.provider_id) FROM audit_charge charge
        LEFT JOIN orders_order o ON o.code = charge.reference
        WHERE o.id IS NULL AND charge.amount > charge.refunded AND NOT {ARCHIVED.format(code="charge.reference")}
        """,
        ledger=True,
    ),
    Check(
        "A7",
        "the events are no legal path to the status",
        """
        SELECT o.code FROM orders_order o
        LEFT JOIN (
            SELECT order_id, MIN(id) AS first,
                COUNT(*) FILTER (WHERE kind = 'placed') AS placings,
                MIN(id) FILTER (WHERE kind = 'placed') AS placed,
                COUNT(*) FILTER (WHERE kind IN ('confirmed', 'cancelled')) AS ends,
                MAX(id) FILTER (WHERE kind IN ('confirmed', 'cancelled')) AS ended,
                MAX(kind) FILTER (WHERE kind IN ('confirmed', 'cancelled')) AS status,
                MIN(id) FILTER (WHERE kind LIKE 'refund%%') AS refund,
                MIN(id) FILTER (WHERE kind = 'dispute_opened') AS dispute,
                -- Money may come after the end, or go back, and people look at it, and write about it.
                MAX(id) FILTER (WHERE NOT (kind LIKE 'refund%%' OR kind LIKE 'dispute%%' OR kind IN (
                    'transfer', 'reconciled', 'review_needed', 'reviewed', 'noted'))) AS last,
                MAX(id) FILTER (WHERE kind IN ('review_needed', 'reviewed')) AS reviewed
            FROM orders_orderevent GROUP BY order_id
        ) event ON event.order_id = o.id
        WHERE (event.placings, event.placed) IS DISTINCT FROM (1, event.first)
            OR (event.ends, event.ended, event.status) IS DISTINCT FROM (
                CASE o.status WHEN 'PENDING' THEN 0 ELSE 1 END,
                CASE WHEN o.status <> 'PENDING' THEN event.last END,
                NULLIF(lower(o.status), 'pending'))
            -- After its end an order is refunded, disputed or reconciled, and what went wrong with that is reviewed.
            OR event.refund < COALESCE(event.ended, event.refund + 1)
            OR event.reviewed > event.ended AND event.reviewed > LEAST(event.refund, event.dispute) IS NOT TRUE
        """,
    ),
    # The ledger checks leave out orders that ended after the ledger was read, or were placed before it begins. An order
    # with wrong times could hide there. Its events tell the truth: they are append-only, and written at the same time.
    Check(
        "A7",
        "placed or finalized at another time than its events, or in the future",
        """
        SELECT o.code FROM orders_order o JOIN orders_orderevent event ON event.order_id = o.id
        WHERE event.kind IN ('placed', 'confirmed', 'cancelled') AND (
            CASE event.kind WHEN 'placed' THEN o.created_at ELSE o.finalized_at END
                NOT BETWEEN event.created_at - interval '5 minutes' AND event.created_at + interval '5 minutes'
            OR GREATEST(o.created_at, o.finalized_at) > clock_timestamp())
        """,
    ),
    Check(
        "A7",
        "final, but the mail that says so was not written; or written, but not final",
        """
        SELECT DISTINCT o.code FROM orders_order o
        LEFT JOIN orders_ordermail mail ON mail.order_id = o.id AND mail.kind NOT IN ('refunded', 'instructions')
        WHERE mail.kind IS DISTINCT FROM NULLIF(lower(o.status), 'pending')
        """,
    ),
    Check(
        "A8",
        "more was sold than ever received, or more came back than was sold",
        f"""
        SELECT product.sku FROM (
            SELECT stock_id FROM catalog_stockmovement GROUP BY stock_id
            HAVING {ON_HAND} < 0
                OR SUM(CASE kind WHEN 'RETURNED' THEN quantity WHEN 'DEDUCTED' THEN -quantity ELSE 0 END) > 0
        ) movement
        JOIN catalog_product product ON product.id = movement.stock_id
        """,
    ),
    Check(
        "A9",
        "not every line was reserved once; or reserved, but not ordered",
        match_movements("RESERVED", "TRUE"),
    ),
]

CHECKS = sorted([*ORDER_CHECKS, *REFUND_CHECKS, *DISPUTE_CHECKS], key=lambda check: int(check.invariant[1:]))
