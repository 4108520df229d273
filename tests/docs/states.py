"""What docs/states.md says of each status: what it means, and what may follow."""

NOTHING = "nothing: it is final"

LEADS_TO = {
    "orders.Order": {
        "PENDING": ("stock is reserved; it is not decided yet whether the money comes", "`CONFIRMED` or `CANCELLED`"),
        "CONFIRMED": ("paid, and its stock is deducted; money may go back by refunds", NOTHING),
        "CANCELLED": ("unpaid, and its stock is released; `cancel_reason` says why", NOTHING),
    },
    "payments.Payment": {
        "PENDING": (
            "nobody has asked the provider yet",
            "`SENT`; `CANCELLED` by its row alone; or `SUCCEEDED`, if the payment before it took the money after all",
        ),
        "SENT": (
            "the provider was asked, or is about to be; without an answer it is asked again with the same key",
            "`SUCCEEDED`, `DECLINED`, `ACTION_REQUIRED`, or `CANCELLED` by the provider",
        ),
        "ACTION_REQUIRED": (
            "the bank waits for its customer",
            "`SENT` or `SUCCEEDED`, `DECLINED`, or `CANCELLED` by the provider",
        ),
        "SUCCEEDED": ("the money is taken", NOTHING),
        "DECLINED": ("nothing was taken; the order may be paid again by its next payment", NOTHING),
        "CANCELLED": ("nothing was taken, and nothing can be", NOTHING),
    },
    "payments.Refund": {
        "REQUESTED": ("decided; the provider is asked, with the same key until it answers", "`SUCCEEDED` or `FAILED`"),
        "SUCCEEDED": (
            "the money went back; then the stock, as the refund's lines say",
            "`FAILED`, if the bank says so later",
        ),
        "FAILED": ("nothing went back; staff are told, and may ask again by a new refund", NOTHING),
    },
    "payments.Dispute": {
        "OPEN": ("the customer's bank has taken the money back, and decides later", "`WON` or `LOST`"),
        "WON": ("the money is back", "`LOST`, if the bank changes its mind"),
        "LOST": ("the money stays gone", "`WON`, if the bank changes its mind"),
    },
}
