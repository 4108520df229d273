"""What somebody could do to disputes by hand. DISPUTED: the customer's bank has taken the money back, for now."""

from tests.audit.tampering import Tampering

DISPUTE_TAMPERINGS = [
    Tampering(
        "DISPUTED",
        "said to be won, and the bank still has the money",
        "UPDATE payments_dispute SET status = 'WON', closed_at = now()",
        found=("A10",),
    ),
    Tampering("DISPUTED", "another amount of the dispute", "UPDATE payments_dispute SET amount = 1", found=("A10",)),
    Tampering(
        "DISPUTED",
        "the dispute gone",
        "DELETE FROM orders_disputemail; DELETE FROM payments_dispute",
        found=("A10",),
    ),
    Tampering("DISPUTED", "no mail of the dispute", "DELETE FROM orders_disputemail", found=("A10",)),
    Tampering(
        "DISPUTED",
        "no event of the dispute",
        "DELETE FROM orders_orderevent WHERE kind = 'dispute_opened'",
        refused_by="append-only",
        found=("A10",),
    ),
    Tampering(
        "DISPUTED",
        "open, and decided",
        "UPDATE payments_dispute SET closed_at = now()",
        refused_by="dispute_closed_iff_decided",
    ),
]
