"""What somebody could do by hand to the rows, or at the provider: what refuses it, and what the audit says."""

from dataclasses import dataclass

GHOST = "261124-GH0ST-GH0ST"  # the code of no order


@dataclass(frozen=True, kw_only=True)
class Tampering:
    """Done to the one order there is, of two MUGs, in its status; the shop has CUPs as well.

    `refused_by` names the constraint or trigger, empty where nothing refuses it. `found` has the invariants that the
    audit then reports: for a trigger, once it is switched off; empty for a constraint. `charge`: money taken at the
    provider, past the shop, for this reference; "" is the order's.
    """

    words: str
    status: str
    sql: str = ""
    charge: str | None = None
    refused_by: str = ""
    found: tuple[str, ...] = ()


def move(kind: str, quantity: int, sku: str, reference: str, stock: str) -> str:
    """A movement, and the stock row changed to match it."""
    return f"""
        INSERT INTO catalog_stockmovement (stock_id, kind, quantity, reference, reason)
        SELECT product.id, '{kind}', {quantity}, {reference}, '' FROM catalog_product product WHERE sku = '{sku}';
        UPDATE catalog_stock SET {stock} WHERE product_id = (SELECT id FROM catalog_product WHERE sku = '{sku}')
    """


THE_ORDER = "(SELECT code FROM orders_order)"
NEW_PAYMENT = f"""
    INSERT INTO payments_payment
        (reference, amount, currency, payment_method, status, requests, decline_code, last_error)
    VALUES ('{GHOST}', 1000, 'GBP', 'pm_card_visa', 'PENDING', 0, '', '')
"""
NEW_LINE = """
    INSERT INTO orders_orderline (order_id, product_id, sku, name, price, quantity)
    SELECT orders_order.id, product.id, 'CUP', 'The CUP', 500, 1 FROM orders_order, catalog_product product
    WHERE product.sku = 'CUP'
"""
GROW_OLD = """
    UPDATE orders_order SET created_at = created_at - interval '9 days', expires_at = expires_at + interval '99 days';
    UPDATE orders_orderevent SET created_at = created_at - interval '9 days'
"""

TAMPERINGS = [
    # The order
    Tampering(
        words="finalized_at in the future: the ledger checks would leave the order out",
        status="CONFIRMED",
        sql="UPDATE orders_order SET finalized_at = now() + interval '1 day'",
        refused_by="order_ends_once",
        found=("A7",),
    ),
    Tampering(
        words="the same for an order that was paid, and whose unit is back on the shelf",
        status="CANCELLED",
        sql="UPDATE orders_order SET finalized_at = now() + interval '1 day'",
        refused_by="order_ends_once",
        found=("A7",),
    ),
    Tampering(
        words="cancelled by hand, in the future",
        status="PENDING",
        sql="UPDATE orders_order SET status = 'CANCELLED', cancel_reason = 'staff', "
        "finalized_at = now() + interval '1 day'",
        refused_by="order_is_finalized_now",
        found=("A4", "A7"),
    ),
    Tampering(
        words="cancelled by hand: neither its payment nor its stock knows",
        status="PENDING",
        sql="UPDATE orders_order SET status = 'CANCELLED', cancel_reason = 'staff', finalized_at = now()",
        found=("A4", "A7"),
    ),
    Tampering(
        words="confirmed by hand, unpaid",
        status="PENDING",
        sql="UPDATE orders_order SET status = 'CONFIRMED', finalized_at = now()",
        found=("A3", "A7"),
    ),
    Tampering(
        words="cancelled after it was confirmed",
        status="CONFIRMED",
        sql="UPDATE orders_order SET status = 'CANCELLED', cancel_reason = 'staff'",
        refused_by="order_ends_once",
        found=("A3", "A4", "A7"),
    ),
    Tampering(
        words="pending again",
        status="CONFIRMED",
        sql="UPDATE orders_order SET status = 'PENDING', finalized_at = NULL",
        refused_by="order_ends_once",
        found=("A3", "A7"),
    ),
    Tampering(
        words="created_at in the past: the scheduled audit asks the provider for the last days only",
        status="CONFIRMED",
        sql="UPDATE orders_order SET created_at = created_at - interval '9 days'",
        refused_by="order_keeps_what_was_agreed",
        found=("A7",),
    ),
    Tampering(
        words="created_at in the future",
        status="CONFIRMED",
        sql="UPDATE orders_order SET created_at = created_at + interval '9 days'",
        refused_by="order_keeps_what_was_agreed",
        found=("A7",),
    ),
    Tampering(
        words="another total",
        status="PENDING",
        sql="UPDATE orders_order SET total = total + 1",
        refused_by="order_keeps_what_was_agreed",
        found=("A2",),
    ),
    Tampering(
        words="another currency, of the order and of its payment",
        status="CONFIRMED",
        sql="UPDATE orders_order SET currency = 'EUR'; UPDATE payments_payment SET currency = 'EUR'",
        refused_by="order_keeps_what_was_agreed",
        found=("A3",),
    ),
    Tampering(
        words="another code",
        status="PENDING",
        sql=f"UPDATE orders_order SET code = '{GHOST}'",
        refused_by="order_keeps_what_was_agreed",
        found=("A2", "A9"),
    ),
    Tampering(
        words="another payment",
        status="PENDING",
        sql=f"WITH ghost AS ({NEW_PAYMENT} RETURNING id) UPDATE orders_order SET payment_id = ghost.id FROM ghost",
        found=("A2",),
    ),
    Tampering(
        words="another payment, after its end",
        status="CONFIRMED",
        sql=f"WITH ghost AS ({NEW_PAYMENT} RETURNING id) UPDATE orders_order SET payment_id = ghost.id FROM ghost",
        refused_by="order_ends_once",
        found=("A2", "A3"),
    ),
    # Its next sweep and its deadline
    Tampering(
        words="a sweep long overdue",
        status="PENDING",
        sql="UPDATE orders_order SET sweep_after = now() - interval '2 minutes'",
        found=("A5",),
    ),
    Tampering(
        words="no next sweep, and no review",
        status="PENDING",
        sql="UPDATE orders_order SET sweep_after = NULL",
        refused_by="order_pending_is_swept_or_reviewed",
    ),
    Tampering(
        words="far past its deadline, its next sweep always ahead",
        status="PENDING",
        sql="UPDATE orders_order SET expires_at = now() - interval '1 hour', sweep_after = now() + interval '1 hour'",
        found=("A5",),
    ),
    Tampering(
        words="needs review for days",
        status="PENDING",
        sql="UPDATE orders_order SET expires_at = now() - interval '2 days', needs_review = true, sweep_after = NULL",
        found=("A5",),
    ),
    Tampering(
        words="a deadline put off, while the order grows old",
        status="PENDING",
        sql=GROW_OLD,
        refused_by="order_keeps_what_was_agreed",
        found=("A5",),
    ),
    Tampering(
        words="a deadline in a year or never",
        status="PENDING",
        sql="UPDATE orders_order SET expires_at = 'infinity'",
        refused_by="order_expires_within_a_year",
    ),
    # Its lines
    Tampering(
        words="no lines",
        status="PENDING",
        sql="DELETE FROM orders_orderline",
        refused_by="append-only",
        found=("A2", "A9"),
    ),
    Tampering(
        words="more units on a line",
        status="PENDING",
        sql="UPDATE orders_orderline SET quantity = quantity + 1",
        refused_by="append-only",
        found=("A2", "A9"),
    ),
    Tampering(
        words="another product on a line, at the same price",
        status="CONFIRMED",
        sql="UPDATE orders_orderline SET product_id = (SELECT id FROM catalog_product WHERE sku = 'CUP')",
        refused_by="append-only",
        found=("A3", "A9"),
    ),
    Tampering(words="a line added afterwards", status="PENDING", sql=NEW_LINE, found=("A2", "A9")),
    # Its payment
    Tampering(
        words="another amount",
        status="PENDING",
        sql="UPDATE payments_payment SET amount = amount + 1",
        refused_by="payment_keeps_what_is_asked",
        found=("A2",),
    ),
    Tampering(
        words="the reference of another order",
        status="PENDING",
        sql=f"UPDATE payments_payment SET reference = '{GHOST}'",
        refused_by="payment_keeps_what_is_asked",
        found=("A2",),
    ),
    Tampering(
        words="confirmed, and its payment asked for again",
        status="CONFIRMED",
        sql="UPDATE payments_payment SET status = 'SENT', provider_id = NULL",
        refused_by="payment_is_answered_once",
        found=("A3",),
    ),
    *(
        Tampering(
            words=f"cancelled, and its payment {status}",
            status="CANCELLED",
            sql=f"UPDATE payments_payment SET status = '{status}', decline_code = '', provider_id = {provider_id}",
            refused_by="payment_is_answered_once",
            found=("A4",),
        )
        for status, provider_id in [("SUCCEEDED", "'pi_other'"), ("SENT", "NULL"), ("PENDING", "NULL")]
    ),
    Tampering(
        words="the id of another charge",
        status="CONFIRMED",
        sql="UPDATE payments_payment SET provider_id = 'pi_other'",
        refused_by="payment_is_answered_once",
        found=("A3",),
    ),
    Tampering(words="a payment of no order", status="PENDING", sql=NEW_PAYMENT, found=("A2",)),
    # The provider's ledger
    Tampering(words="charged a second time", status="CONFIRMED", charge="", found=("A3",)),
    Tampering(words="cancelled, and charged", status="CANCELLED", charge="", found=("A4",)),
    Tampering(words="money without an order", status="PENDING", charge=GHOST, found=("A6",)),
    # Stock
    Tampering(
        words="a unit that no movement explains",
        status="CONFIRMED",
        sql="UPDATE catalog_stock SET on_hand = on_hand + 1",
        found=("A1",),
    ),
    Tampering(
        words="more reserved than there is",
        status="PENDING",
        sql="UPDATE catalog_stock SET reserved = on_hand + 1",
        refused_by="stock_reserved_is_on_hand",
    ),
    Tampering(
        words="a movement changed; A8 too, as then more was sold than received",
        status="CONFIRMED",
        sql="UPDATE catalog_stockmovement SET quantity = 1 WHERE kind = 'RECEIVED'",
        refused_by="append-only",
        found=("A1", "A8"),
    ),
    Tampering(
        words="reserved for no order, and the stock to match: lost for ever",
        status="PENDING",
        sql=move("RESERVED", 1, "MUG", f"'{GHOST}'", "reserved = reserved + 1"),
        found=("A9",),
    ),
    Tampering(
        words="reserved for the order, a product that it has not",
        status="PENDING",
        sql=move("RESERVED", 1, "CUP", THE_ORDER, "reserved = reserved + 1"),
        found=("A9",),
    ),
    Tampering(
        words="pending without its reservation",
        status="PENDING",
        sql="DELETE FROM catalog_stockmovement WHERE kind = 'RESERVED'; UPDATE catalog_stock SET reserved = 0",
        refused_by="append-only",
        found=("A9",),
    ),
    Tampering(
        words="pending, and fewer units reserved than ordered",
        status="PENDING",
        sql="UPDATE catalog_stockmovement SET quantity = 1 WHERE kind = 'RESERVED'; "
        "UPDATE catalog_stock SET reserved = 1 WHERE reserved = 2",
        refused_by="append-only",
        found=("A9",),
    ),
    Tampering(
        words="deducted for the order before it is confirmed",
        status="PENDING",
        sql=move("DEDUCTED", 2, "MUG", THE_ORDER, "on_hand = on_hand - 2, reserved = reserved - 2"),
        found=("A3",),
    ),
    Tampering(
        words="released for the order before it is cancelled",
        status="PENDING",
        sql=move("RELEASED", 2, "MUG", THE_ORDER, "reserved = reserved - 2"),
        found=("A4",),
    ),
    Tampering(
        words="released though it was deducted",
        status="CONFIRMED",
        sql=move("RELEASED", 2, "MUG", THE_ORDER, "on_hand = on_hand"),
        refused_by="movement_reservation_ends_once",
    ),
    Tampering(
        words="deducted, and never reserved",
        status="PENDING",
        sql=move("DEDUCTED", 1, "CUP", f"'{GHOST}'", "on_hand = on_hand - 1"),
        refused_by="movement_ends_a_reservation",
        found=("A1", "A3"),
    ),
    Tampering(
        words="confirmed, and never deducted",
        status="CONFIRMED",
        sql="DELETE FROM catalog_stockmovement WHERE kind = 'DEDUCTED'; "
        "UPDATE catalog_stock SET on_hand = on_hand + 2, reserved = 2 WHERE on_hand = 8",
        refused_by="append-only",
        found=("A3",),
    ),
    Tampering(
        words="cancelled, and never released",
        status="CANCELLED",
        sql="DELETE FROM catalog_stockmovement WHERE kind = 'RELEASED'; "
        "UPDATE catalog_stock SET reserved = 2 WHERE product_id = (SELECT product_id FROM orders_orderline)",
        refused_by="append-only",
        found=("A4",),
    ),
    Tampering(
        words="units that came back and were never sold",
        status="CANCELLED",
        sql=move("RETURNED", 1, "MUG", THE_ORDER, "on_hand = on_hand + 1"),
        found=("A8",),
    ),
    # Its events and its mail
    Tampering(
        words="no event of its end",
        status="CONFIRMED",
        sql="DELETE FROM orders_orderevent WHERE kind = 'confirmed'",
        refused_by="append-only",
        found=("A7",),
    ),
    Tampering(
        words="an event after its end",
        status="CONFIRMED",
        sql="INSERT INTO orders_orderevent (order_id, kind, data) SELECT id, 'swept', '{}' FROM orders_order",
        found=("A7",),
    ),
    Tampering(
        words="placed twice",
        status="PENDING",
        sql="INSERT INTO orders_orderevent (order_id, kind, data) SELECT id, 'placed', '{}' FROM orders_order",
        refused_by="event_order_begins_once",
    ),
    Tampering(
        words="ended twice",
        status="CONFIRMED",
        sql="INSERT INTO orders_orderevent (order_id, kind, data) SELECT id, 'cancelled', '{}' FROM orders_order",
        refused_by="event_order_ends_once",
    ),
    Tampering(
        words="an event of no known kind",
        status="PENDING",
        sql="INSERT INTO orders_orderevent (order_id, kind, data) SELECT id, 'lost', '{}' FROM orders_order",
        refused_by="event_kind_is_known",
    ),
    Tampering(words="no mail", status="CONFIRMED", sql="DELETE FROM orders_ordermail", found=("A7",)),
    Tampering(
        words="a mail that says the contrary",
        status="CONFIRMED",
        sql="UPDATE orders_ordermail SET kind = 'cancelled'",
        found=("A7",),
    ),
    Tampering(
        words="a mail of an end that is not there",
        status="PENDING",
        sql="INSERT INTO orders_ordermail (order_id, kind, tries) SELECT id, 'confirmed', 0 FROM orders_order",
        found=("A7",),
    ),
]
