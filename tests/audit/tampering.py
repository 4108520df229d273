"""What somebody could do to the rows by hand, or at the provider; what refuses it, and what the audit says of it."""

from dataclasses import dataclass

GHOST = "261124-GH0ST-GH0ST"  # the code of no order


@dataclass(frozen=True)
class Tampering:
    """One thing that is done to a shop with one order, of two MUGs, in that status. The shop has CUPs as well.

    `refused_by` names the constraint or trigger that refuses it, if any does. `found` has the invariants that the audit
    reports afterwards. A trigger is switched off for that; a constraint can't be, so its `found` is empty.
    `charge`: instead of SQL, the provider takes money for this reference, past the shop. "" is the order's own.
    `refund`: instead of SQL, the provider gives back that much of the order's charge, past the shop.
    """

    status: str
    words: str
    sql: str = ""
    charge: str | None = None
    refund: int = 0
    refused_by: str = ""
    found: tuple[str, ...] = ()


def change_order(changes: str) -> str:
    return f"UPDATE orders_order SET {changes}"


def change_payment(changes: str) -> str:
    return f"UPDATE payments_payment SET {changes}"


def add_event(kind: str) -> str:
    return f"INSERT INTO orders_orderevent (order_id, kind, data) SELECT id, '{kind}', '{{}}' FROM orders_order"


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


def add_transfer(reference: str) -> str:
    """A transfer that staff have recorded and nobody has asked for."""
    return f"""
        INSERT INTO payments_transfer (provider_id, reference, amount, currency, arrived_on, note)
        SELECT 'B-1', {reference}, total, currency, now(), '' FROM orders_order
        """


SEND_BACK = (
    "INSERT INTO payments_transferrefund (transfer_id, key, amount) SELECT id, 'r-1', amount FROM payments_transfer"
)


def add_payment(number: int, status: str) -> str:
    """One more payment of the order, as if it was never sent."""
    code = "no" if status == "DECLINED" else ""
    sent = "NULL" if status in ("PENDING", "CANCELLED") else "now()"
    return f"""
        INSERT INTO payments_payment
            (reference, number, amount, currency, payment_method, status, requests, decline_code, last_error, sent_at)
        SELECT code, {number}, total, currency, 'pm_card_visa', '{status}', 0, '{code}', '', {sent} FROM orders_order
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
        "CONFIRMED",
        "finalized_at in the future: the ledger checks would leave the order out",
        change_order("finalized_at = now() + interval '1 day'"),
        refused_by="order_ends_once",
        found=("A7",),
    ),
    Tampering(
        "CANCELLED",
        "the same for an order that was paid, and whose unit is back on the shelf",
        change_order("finalized_at = now() + interval '1 day'"),
        refused_by="order_ends_once",
        found=("A7",),
    ),
    Tampering(
        "PENDING",
        "cancelled by hand, in the future",
        "UPDATE orders_order SET status = 'CANCELLED', cancel_reason = 'staff', "
        "finalized_at = now() + interval '1 day'",
        refused_by="order_is_finalized_now",
        found=("A4", "A7"),
    ),
    Tampering(
        "PENDING",
        "cancelled by hand: neither its payment nor its stock knows",
        change_order("status = 'CANCELLED', cancel_reason = 'staff', finalized_at = now()"),
        found=("A4", "A7"),
    ),
    Tampering(
        "PENDING",
        "confirmed by hand, unpaid",
        change_order("status = 'CONFIRMED', finalized_at = now()"),
        found=("A3", "A7"),
    ),
    Tampering(
        "CONFIRMED",
        "cancelled after it was confirmed",
        change_order("status = 'CANCELLED', cancel_reason = 'staff'"),
        refused_by="order_ends_once",
        found=("A3", "A4", "A7"),
    ),
    Tampering(
        "CONFIRMED",
        "pending again",
        change_order("status = 'PENDING', finalized_at = NULL"),
        refused_by="order_ends_once",
        found=("A3", "A7"),
    ),
    Tampering(
        "CONFIRMED",
        "created_at in the past: the scheduled audit asks the provider for the last days only",
        change_order("created_at = created_at - interval '9 days'"),
        refused_by="order_keeps_what_was_agreed",
        found=("A7",),
    ),
    Tampering(
        "CONFIRMED",
        "created_at in the future",
        change_order("created_at = created_at + interval '9 days'"),
        refused_by="order_keeps_what_was_agreed",
        found=("A7",),
    ),
    Tampering(
        "PENDING",
        "another total",
        change_order("total = total + 1"),
        refused_by="order_keeps_what_was_agreed",
        found=("A2",),
    ),
    Tampering(
        "CONFIRMED",
        "another currency, of the order and of its payment",
        "UPDATE orders_order SET currency = 'EUR'; UPDATE payments_payment SET currency = 'EUR'",
        refused_by="order_keeps_what_was_agreed",
        found=("A3",),
    ),
    Tampering(
        "PENDING",
        "another code",
        change_order(f"code = '{GHOST}'"),
        refused_by="order_keeps_what_was_agreed",
        found=("A2", "A9"),
    ),
    Tampering(
        "PENDING",
        "another payment",
        f"WITH ghost AS ({NEW_PAYMENT} RETURNING id) UPDATE orders_order SET payment_id = ghost.id FROM ghost",
        found=("A2",),
    ),
    Tampering(
        "CONFIRMED",
        "another payment, after its end",
        f"WITH ghost AS ({NEW_PAYMENT} RETURNING id) UPDATE orders_order SET payment_id = ghost.id FROM ghost",
        refused_by="order_ends_once",
        found=("A2", "A3"),
    ),
    # Its next sweep and its deadline
    Tampering(
        "PENDING", "a sweep long overdue", change_order("sweep_after = now() - interval '2 minutes'"), found=("A5",)
    ),
    Tampering(
        "PENDING",
        "no next sweep, and no review",
        change_order("sweep_after = NULL"),
        refused_by="order_pending_is_swept_or_reviewed",
    ),
    Tampering(
        "PENDING",
        "far past its deadline, its next sweep always ahead",
        change_order("expires_at = now() - interval '1 hour', sweep_after = now() + interval '1 hour'"),
        found=("A5",),
    ),
    Tampering(
        "PENDING",
        "needs review for days",
        change_order("expires_at = now() - interval '2 days', needs_review = true, sweep_after = NULL"),
        found=("A5",),
    ),
    Tampering(
        "PENDING",
        "a deadline put off, while the order grows old",
        GROW_OLD,
        refused_by="order_keeps_what_was_agreed",
        found=("A5",),
    ),
    Tampering(
        "PENDING",
        "a deadline in a year or never",
        change_order("expires_at = 'infinity'"),
        refused_by="order_expires_within_a_year",
    ),
    # Its lines
    Tampering(
        "CONFIRMED",
        "archived, and still here",
        "INSERT INTO orders_archivedorder (code, customer, file) SELECT code, '', 'orders.jsonl' FROM orders_order",
        found=("A2", "A3", "A9"),
    ),
    Tampering(
        "PENDING",
        "archived without a payment",
        f"INSERT INTO orders_archivedorder (code, customer, file) VALUES ('{GHOST}', '', 'orders.jsonl')",
        found=("A2",),
    ),
    Tampering("PENDING", "no lines", "DELETE FROM orders_orderline", refused_by="append-only", found=("A2", "A9")),
    Tampering(
        "PENDING",
        "more units on a line",
        "UPDATE orders_orderline SET quantity = quantity + 1",
        refused_by="append-only",
        found=("A2", "A9"),
    ),
    Tampering(
        "CONFIRMED",
        "another product on a line, at the same price",
        "UPDATE orders_orderline SET product_id = (SELECT id FROM catalog_product WHERE sku = 'CUP')",
        refused_by="append-only",
        found=("A3", "A9"),
    ),
    Tampering("PENDING", "a line added afterwards", NEW_LINE, found=("A2", "A9")),
    # Its payment
    Tampering(
        "PENDING",
        "another amount",
        change_payment("amount = amount + 1"),
        refused_by="payment_keeps_what_is_asked",
        found=("A2",),
    ),
    Tampering(
        "PENDING",
        "the reference of another order",
        change_payment(f"reference = '{GHOST}'"),
        refused_by="payment_keeps_what_is_asked",
        found=("A2",),
    ),
    Tampering(
        "CONFIRMED",
        "confirmed, and its payment asked for again",
        change_payment("status = 'SENT', provider_id = NULL"),
        refused_by="payment_is_answered_once",
        found=("A3",),
    ),
    *(
        Tampering(
            "CANCELLED",
            f"cancelled, and its payment {status}",
            change_payment(f"status = '{status}', decline_code = '', provider_id = {provider_id}"),
            refused_by="payment_is_answered_once",
            found=("A4",),
        )
        for status, provider_id in [("SUCCEEDED", "'pi_other'"), ("SENT", "NULL"), ("PENDING", "NULL")]
    ),
    Tampering(
        "CANCELLED",
        "cancelled, and its payment ACTION_REQUIRED",
        change_payment("status = 'ACTION_REQUIRED', decline_code = '', action_required_at = now()"),
        refused_by="payment_is_answered_once",
        found=("A4",),
    ),
    Tampering(
        "CONFIRMED",
        "another address to come back to from the bank",
        change_payment("return_url = 'https://other.example.com/'"),
        refused_by="payment_keeps_what_is_asked",
    ),
    Tampering(
        "CONFIRMED",
        "the id of another charge",
        change_payment("provider_id = 'pi_other'"),
        refused_by="payment_is_answered_once",
        found=("A3",),
    ),
    Tampering("PENDING", "a payment of no order", NEW_PAYMENT, found=("A2",)),
    # The provider's ledger
    Tampering("CONFIRMED", "charged a second time", charge="", found=("A3",)),
    Tampering("CANCELLED", "cancelled, and charged", charge="", found=("A4",)),
    Tampering("PENDING", "money without an order", charge=GHOST, found=("A6",)),
    Tampering(
        "PENDING",
        "a second payment before the first is answered",
        add_payment(2, "PENDING"),
        refused_by="payment_one_at_a_time",
    ),
    Tampering(
        "CONFIRMED",
        "a second payment after the first took the money",
        add_payment(2, "PENDING"),
        refused_by="payment_one_at_a_time",
    ),
    Tampering(
        "CANCELLED",
        "a second payment of the same number",
        add_payment(1, "CANCELLED"),
        refused_by="payment_number_once",
    ),
    Tampering("CONFIRMED", "a payment after the one that took the money", add_payment(2, "DECLINED"), found=("A2",)),
    Tampering("CANCELLED", "a payment that its order does not know", add_payment(2, "PENDING"), found=("A2",)),
    Tampering("CANCELLED", "a payment left out", add_payment(3, "CANCELLED"), found=("A2",)),
    Tampering(
        "CONFIRMED",
        "another number",
        change_payment("number = 2"),
        refused_by="payment_keeps_what_is_asked",
        found=("A2",),
    ),
    Tampering(
        "CONFIRMED",
        "another gateway",
        change_payment("gateway = 'manual'"),
        refused_by="payment_keeps_what_is_asked",
        found=("A3",),
    ),
    # The ledger of transfers
    Tampering("CONFIRMED", "paid by card, and a transfer kept beside it", add_transfer("code"), found=("A3",)),
    Tampering("CANCELLED", "cancelled, and a transfer kept", add_transfer("code"), found=("A4",)),
    Tampering("PENDING", "a transfer kept of no order", add_transfer(f"'{GHOST}'"), found=("A6",)),
    Tampering(
        "CANCELLED",
        "a transfer that is said to be sent back for ever",
        f"{add_transfer('code')}; {SEND_BACK}; "
        "UPDATE payments_transfer SET recorded_at = recorded_at - interval '1 year'",
        refused_by="append-only",
        found=("A4",),
    ),
    Tampering(
        "CANCELLED",
        "a smaller transfer",
        f"{add_transfer('code')}; UPDATE payments_transfer SET amount = 1",
        refused_by="append-only",
        found=("A4",),
    ),
    Tampering(
        "CANCELLED",
        "a refund of a transfer taken back after it was sent",
        f"{add_transfer('code')}; {SEND_BACK}; "
        "UPDATE payments_transferrefund SET sent_on = now(), provider_id = 'B-2'; "
        "UPDATE payments_transferrefund SET sent_on = now(), provider_id = 'B-3'",
        refused_by="transfer_refund_is_sent_once",
    ),
    # Stock
    Tampering(
        "CONFIRMED", "a unit that no movement explains", "UPDATE catalog_stock SET on_hand = on_hand + 1", found=("A1",)
    ),
    Tampering(
        "PENDING",
        "more reserved than there is",
        "UPDATE catalog_stock SET reserved = on_hand + 1",
        refused_by="stock_reserved_is_on_hand",
    ),
    Tampering(
        "CONFIRMED",
        "a movement changed; A8 too, as then more was sold than received",
        "UPDATE catalog_stockmovement SET quantity = 1 WHERE kind = 'RECEIVED'",
        refused_by="append-only",
        found=("A1", "A8"),
    ),
    Tampering(
        "PENDING",
        "reserved for no order, and the stock to match: lost for ever",
        move("RESERVED", 1, "MUG", f"'{GHOST}'", "reserved = reserved + 1"),
        found=("A9",),
    ),
    Tampering(
        "PENDING",
        "reserved for the order, a product that it has not",
        move("RESERVED", 1, "CUP", THE_ORDER, "reserved = reserved + 1"),
        found=("A9",),
    ),
    Tampering(
        "PENDING",
        "pending without its reservation",
        "DELETE FROM catalog_stockmovement WHERE kind = 'RESERVED'; UPDATE catalog_stock SET reserved = 0",
        refused_by="append-only",
        found=("A9",),
    ),
    Tampering(
        "PENDING",
        "pending, and fewer units reserved than ordered",
        "UPDATE catalog_stockmovement SET quantity = 1 WHERE kind = 'RESERVED'; "
        "UPDATE catalog_stock SET reserved = 1 WHERE reserved = 2",
        refused_by="append-only",
        found=("A9",),
    ),
    Tampering(
        "PENDING",
        "deducted for the order before it is confirmed",
        move("DEDUCTED", 2, "MUG", THE_ORDER, "on_hand = on_hand - 2, reserved = reserved - 2"),
        found=("A3",),
    ),
    Tampering(
        "PENDING",
        "released for the order before it is cancelled",
        move("RELEASED", 2, "MUG", THE_ORDER, "reserved = reserved - 2"),
        found=("A4",),
    ),
    Tampering(
        "CONFIRMED",
        "released though it was deducted",
        move("RELEASED", 2, "MUG", THE_ORDER, "on_hand = on_hand"),
        refused_by="movement_reservation_ends_once",
    ),
    Tampering(
        "PENDING",
        "deducted, and never reserved",
        move("DEDUCTED", 1, "CUP", f"'{GHOST}'", "on_hand = on_hand - 1"),
        refused_by="movement_ends_a_reservation",
        found=("A1", "A3"),
    ),
    Tampering(
        "CONFIRMED",
        "confirmed, and never deducted",
        "DELETE FROM catalog_stockmovement WHERE kind = 'DEDUCTED'; "
        "UPDATE catalog_stock SET on_hand = on_hand + 2, reserved = 2 WHERE on_hand = 8",
        refused_by="append-only",
        found=("A3",),
    ),
    Tampering(
        "CANCELLED",
        "cancelled, and never released",
        "DELETE FROM catalog_stockmovement WHERE kind = 'RELEASED'; "
        "UPDATE catalog_stock SET reserved = 2 WHERE product_id = (SELECT product_id FROM orders_orderline)",
        refused_by="append-only",
        found=("A4",),
    ),
    Tampering(
        "CANCELLED",
        "units that came back and were never sold",
        move("RETURNED", 1, "MUG", THE_ORDER, "on_hand = on_hand + 1"),
        found=("A3", "A8"),
    ),
    # Its events and its mail
    Tampering(
        "CONFIRMED",
        "no event of its end",
        "DELETE FROM orders_orderevent WHERE kind = 'confirmed'",
        refused_by="append-only",
        found=("A7",),
    ),
    Tampering("CONFIRMED", "an event after its end", add_event("swept"), found=("A7",)),
    Tampering(
        "PENDING",
        "an event from before it was placed",
        "INSERT INTO orders_orderevent (id, order_id, kind, data) SELECT 0, id, 'swept', '{}' FROM orders_order",
        found=("A7",),
    ),
    Tampering("PENDING", "placed twice", add_event("placed"), refused_by="event_order_begins_once"),
    Tampering("CONFIRMED", "ended twice", add_event("cancelled"), refused_by="event_order_ends_once"),
    Tampering("PENDING", "an event of no known kind", add_event("lost"), refused_by="event_kind_is_known"),
    Tampering("CONFIRMED", "no mail", "DELETE FROM orders_ordermail", found=("A7",)),
    Tampering(
        "CONFIRMED", "a mail that says the contrary", "UPDATE orders_ordermail SET kind = 'cancelled'", found=("A7",)
    ),
    Tampering(
        "PENDING",
        "a mail of an end that is not there",
        "INSERT INTO orders_ordermail (order_id, kind, tries) SELECT id, 'confirmed', 0 FROM orders_order",
        found=("A7",),
    ),
]
