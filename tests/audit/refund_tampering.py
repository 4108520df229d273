"""What somebody could do to refunds by hand. REFUNDING: one of the two MUGs is to be refunded; REFUNDED: it was."""

from tests.audit.tampering import Tampering, add_event, change_order


def change_refund(changes: str) -> str:
    return f"UPDATE payments_refund SET {changes}"


NEW_REFUND = """
    INSERT INTO payments_refund (payment_id, number, key, gateway, amount, sweep_after)
    SELECT id, 2, 'another', gateway, 501, now() FROM payments_payment
"""

REFUND_TAMPERINGS = [
    Tampering("CONFIRMED", "refunded at the provider, past the shop", refund=1, found=("A3",)),
    Tampering("REFUNDED", "refunded once more at the provider", refund=1, found=("A3",)),
    Tampering(
        "REFUNDED",
        "another amount of the refund",
        change_refund("amount = 499"),
        refused_by="refund_keeps_what_is_asked",
        found=("A3",),
    ),
    Tampering(
        "REFUNDED",
        "another key of the refund",
        change_refund("key = 'another'"),
        refused_by="refund_keeps_what_is_asked",
        found=("A3",),
    ),
    Tampering(
        "REFUNDED",
        "given back, and asked for again",
        change_refund("status = 'REQUESTED', answered_at = NULL, recorded_at = NULL, sweep_after = now()"),
        refused_by="refund_is_answered_once",
        found=("A3",),
    ),
    Tampering(
        "REFUNDED",
        "given back, and said to have failed",
        change_refund("status = 'FAILED', failure_code = 'no'"),
        found=("A3",),
    ),
    Tampering(
        "REFUNDING",
        "said to be given back, and never asked for",
        change_refund("status = 'SUCCEEDED', provider_id = 're_1', answered_at = created_at"),
        found=("A3",),
    ),
    Tampering(
        "REFUNDING",
        "more to be refunded than was charged",
        NEW_REFUND,
        refused_by="refund_is_at_most_what_was_charged",
        found=("A3", "A7"),
    ),
    Tampering(
        "REFUNDING",
        "the refund gone",
        "DELETE FROM orders_refundline; DELETE FROM payments_refund",
        refused_by="append-only",
        found=("A7",),
    ),
    Tampering(
        "REFUNDING",
        "no next sweep of the refund",
        change_refund("sweep_after = NULL"),
        refused_by="refund_is_swept_until_recorded",
    ),
    Tampering(
        "REFUNDING",
        "a sweep of the refund long overdue",
        change_refund("sweep_after = now() - interval '5 min'"),
        found=("A5",),
    ),
    Tampering("REFUNDED", "another sum of what was refunded", change_order("refunded = 0"), found=("A3",)),
    Tampering(
        "REFUNDED",
        "more refunded than the total",
        change_order("refunded = total + 1"),
        refused_by="order_refunded_is_at_most_the_total",
    ),
    Tampering(
        "REFUNDED",
        "more units on a line of the refund",
        "UPDATE orders_refundline SET quantity = 2",
        refused_by="append-only",
        found=("A3",),
    ),
    Tampering(
        "REFUNDED",
        "refunded, and the unit never returned",
        "DELETE FROM catalog_stockmovement WHERE kind = 'RETURNED'; "
        "UPDATE catalog_stock SET on_hand = on_hand - 1 WHERE on_hand = 9",
        refused_by="append-only",
        found=("A3",),
    ),
    Tampering(
        "REFUNDED", "no mail of the refund", "DELETE FROM orders_ordermail WHERE kind = 'refunded'", found=("A7",)
    ),
    Tampering(
        "REFUNDED",
        "no event of the refund",
        "DELETE FROM orders_orderevent WHERE kind = 'refunded'",
        refused_by="append-only",
        found=("A7",),
    ),
    Tampering("REFUNDED", "refunded twice, by its events", add_event("refunded"), found=("A7",)),
    Tampering("PENDING", "a refund before the end, by its events", add_event("refund_requested"), found=("A7",)),
    Tampering("CONFIRMED", "reviewed after the end, with no refund", add_event("reviewed"), found=("A7",)),
]
