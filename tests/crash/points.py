"""Where in an order's life a process can be killed, what it leaves behind, and who repairs it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Process = Literal["web", "payments", "orders", "beat"]
Moment = Literal["before", "after"]

# The six places where a server can die, in the order of a checkout.
PLACES = {
    1: "before the stock check",
    2: "before the payment request",
    3: "inside the payment provider",
    4: "after payment, before the order is recorded",
    5: "before the stock is deducted",
    6: "while it is deducted",
}


class Left(NamedTuple):
    """What everybody else sees at that moment: committed rows, and the provider's ledger."""

    order: str | None
    payment: str | None = None
    stock: str | None = None  # the kinds of its movements
    provider: str | None = None  # the state of its payment intents


NOTHING = Left(None)
PLACED = Left("PENDING", "PENDING", "RESERVED")
SENT = Left("PENDING", "SENT", "RESERVED")
CHARGED = Left("PENDING", "SENT", "RESERVED", "succeeded")
PAID = Left("PENDING", "SUCCEEDED", "RESERVED", "succeeded")
CONFIRMED = Left("CONFIRMED", "SUCCEEDED", "DEDUCTED RESERVED", "succeeded")
FENCED = Left("PENDING", "SENT", "RESERVED", "requires_payment_method")
CLOSED = Left("PENDING", "SENT", "RESERVED", "canceled")
VOID = Left("PENDING", "CANCELLED", "RESERVED", "canceled")
VOID_UNSENT = Left("PENDING", "CANCELLED", "RESERVED")

CUSTOMER = "the customer, who repeats the request"
NOBODY = "nobody: it is done"
SWEEP_CHARGES = "the sweep: charges for the first time"
SWEEP_ASKS = "the sweep: asks again with the same key"
SWEEP_FINALIZES = "the sweep: finalizes"
SWEEP_CANCELS = "the sweep: cancels again"
START_ASKS = "the next start of a worker, or the sweep: asks again with the same key"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A moment before or after a function of the product, in the process that runs it there."""

    name: str
    words: str
    target: str
    moment: Moment
    process: Process
    left: Left
    proof: str  # the row by which the repair knows
    repair: str
    place: int | None = None
    after: tuple[str, ...] = ()  # points that have to kill first, to get there


POINTS = [
    Point(
        name="place.order-written",
        words="the order is written, its stock not yet looked at",
        target="orders.checkout._insert_order",
        moment="after",
        process="web",
        left=NOTHING,
        proof="no order with the checkout key",
        repair=CUSTOMER,
        place=1,
    ),
    Point(
        name="place.stock-reserved",
        words="the stock is reserved, the transaction not committed",
        target="orders.checkout.reserve_stock",
        moment="after",
        process="web",
        left=NOTHING,
        proof="no order with the checkout key",
        repair=CUSTOMER,
        place=1,
    ),
    Point(
        name="place.committed",
        words="committed, nothing published",
        target="orders.checkout.process_order",
        moment="before",
        process="web",
        left=PLACED,
        proof="order PENDING, its sweep_after",
        repair=SWEEP_CHARGES,
        place=2,
    ),
    Point(
        name="place.published",
        words="published, the customer not answered",
        target="orders.checkout.process_order",
        moment="after",
        process="web",
        left=PLACED,
        proof="order with the checkout key",
        repair=CUSTOMER,
        place=2,
    ),
    Point(
        name="charge.started",
        words="the charge task has started",
        target="payments.services.charge_payment",
        moment="before",
        process="payments",
        left=PLACED,
        proof="payment PENDING",
        repair=SWEEP_CHARGES,
        place=2,
    ),
    Point(
        name="charge.sent",
        words="SENT is committed, the provider not yet asked",
        target="payments.services._mark_sent",
        moment="after",
        process="payments",
        left=SENT,
        proof="payment SENT",
        repair=SWEEP_ASKS,
        place=2,
    ),
    Point(
        name="charge.unread",
        words="the provider has charged, its answer is not read",
        target="payments.curl.CurlClient.request",
        moment="after",
        process="payments",
        left=CHARGED,
        proof="payment SENT",
        repair=SWEEP_ASKS,
        place=4,
    ),
    Point(
        name="charge.answered",
        words="the answer is read, not written down",
        target="payments.services._record_answer",
        moment="before",
        process="payments",
        left=CHARGED,
        proof="payment SENT",
        repair=SWEEP_ASKS,
        place=4,
    ),
    Point(
        name="charge.recorded",
        words="SUCCEEDED is written down, finalize not published",
        target="payments.services.charge_payment",
        moment="after",
        process="payments",
        left=PAID,
        proof="payment SUCCEEDED, order PENDING",
        repair=SWEEP_FINALIZES,
        place=4,
    ),
    Point(
        name="finalize.started",
        words="the finalize task has started",
        target="orders.services.finalize_order",
        moment="before",
        process="orders",
        left=PAID,
        proof="payment SUCCEEDED, order PENDING",
        repair=SWEEP_FINALIZES,
        place=4,
    ),
    Point(
        name="finalize.stock-unmoved",
        words="the order is locked, its stock not yet moved",
        target="catalog.services._end_reservation",
        moment="before",
        process="orders",
        left=PAID,
        proof="payment SUCCEEDED, order PENDING",
        repair=SWEEP_FINALIZES,
        place=5,
    ),
    Point(
        name="finalize.stock-moved",
        words="ledger and stock are written, the order is not",
        target="catalog.services._move_stock",
        moment="after",
        process="orders",
        left=PAID,
        proof="payment SUCCEEDED, order PENDING",
        repair=SWEEP_FINALIZES,
        place=6,
    ),
    Point(
        name="finalize.order-ended",
        words="the order is written too, nothing is committed",
        target="orders.services._finish_order",
        moment="after",
        process="orders",
        left=PAID,
        proof="payment SUCCEEDED, order PENDING",
        repair=SWEEP_FINALIZES,
        place=6,
    ),
    Point(
        name="finalize.committed",
        words="committed, the task not ended",
        target="orders.services.finalize_order",
        moment="after",
        process="orders",
        left=CONFIRMED,
        proof="order CONFIRMED",
        repair=NOBODY,
    ),
    Point(
        name="sweep.claiming",
        words="orders are claimed, not committed",
        target="orders.sweep._claim_order",
        moment="after",
        process="orders",
        left=PLACED,
        proof="sweep_after is past",
        repair="the next sweep",
        after=("place.committed",),
    ),
    Point(
        name="sweep.claimed",
        words="the claim is committed, nothing published",
        target="orders.sweep.claim_stuck_orders",
        moment="after",
        process="orders",
        left=PLACED,
        proof="sweep_after, pushed on",
        repair="a later sweep",
        after=("place.committed",),
    ),
    Point(
        name="sweep.published",
        words="published, the other claimed orders are not",
        target="orders.tasks.process_order",
        moment="after",
        process="orders",
        left=PLACED,
        proof="sweep_after, pushed on",
        repair="a later sweep; of this order nobody",
        after=("place.committed",),
    ),
    Point(
        name="repair.claiming",
        words="it has started again, and what it may have held is claimed, not committed",
        target="orders.sweep._claim_order",
        moment="after",
        process="payments",
        left=SENT,
        proof="payment SENT, its in_flight_until is past",
        repair=START_ASKS,
        after=("charge.sent",),
    ),
    Point(
        name="repair.claimed",
        words="it has started again, and its claim is committed, nothing published",
        target="orders.sweep.claim_lost_orders",
        moment="after",
        process="payments",
        left=SENT,
        proof="payment SENT, its in_flight_until is past",
        repair=START_ASKS,
        after=("charge.sent",),
    ),
    Point(
        name="expiry.unsent-started",
        words="past the deadline, never sent: cancel has started",
        target="payments.services.cancel_payment",
        moment="before",
        process="payments",
        left=PLACED,
        proof="payment PENDING",
        repair=SWEEP_CANCELS,
        after=("place.committed",),
    ),
    Point(
        name="expiry.unsent-cancelled",
        words="past the deadline, never sent: the payment is cancelled, the order is not",
        target="payments.services.cancel_payment",
        moment="after",
        process="payments",
        left=VOID_UNSENT,
        proof="payment CANCELLED, order PENDING",
        repair=SWEEP_FINALIZES,
        after=("place.committed",),
    ),
    Point(
        name="expiry.before-fence",
        words="past the deadline, sent: before the provider's cancel",
        target="payments.stripe.StripeGateway._fence",
        moment="before",
        process="payments",
        left=SENT,
        proof="payment SENT",
        repair=SWEEP_CANCELS,
        after=("charge.sent",),
    ),
    Point(
        name="expiry.fenced",
        words="the key is fenced, its intent not cancelled",
        target="payments.stripe.StripeGateway._fence",
        moment="after",
        process="payments",
        left=FENCED,
        proof="payment SENT; the key, bound at the provider",
        repair=SWEEP_CANCELS,
        after=("charge.sent",),
    ),
    Point(
        name="expiry.closed",
        words="cancelled at the provider, not written down",
        target="payments.stripe.StripeGateway._close",
        moment="after",
        process="payments",
        left=CLOSED,
        proof="payment SENT; the intent, cancelled at the provider",
        repair=SWEEP_CANCELS,
        after=("charge.sent",),
    ),
    Point(
        name="expiry.recorded",
        words="the payment is CANCELLED, the order is not",
        target="payments.services._record_answer",
        moment="after",
        process="payments",
        left=VOID,
        proof="payment CANCELLED, order PENDING",
        repair=SWEEP_FINALIZES,
        after=("charge.sent",),
    ),
    Point(
        name="cancel.requested",
        words="staff cancel an order: written, not committed",
        target="orders.services._end_review",
        moment="after",
        process="web",
        left=PLACED,
        proof="no event cancel_requested",
        repair="the sweep, as if nobody had asked",
        after=("place.committed",),
    ),
    Point(
        name="cancel.committed",
        words="staff cancel an order: committed, not answered",
        target="backoffice.order_actions.cancel_order",
        moment="after",
        process="web",
        left=Left("CANCELLED", "CANCELLED", "RELEASED RESERVED"),
        proof="order CANCELLED",
        repair=NOBODY,
        after=("place.committed",),
    ),
    Point(
        name="resume.locked",
        words="staff resume an order: it is locked and read, nothing is written",
        target="orders.services._lock_order",
        moment="after",
        process="web",
        left=PLACED,
        proof="no event resumed",
        repair="the sweep, as if nobody had asked",
        after=("place.committed",),
    ),
    Point(
        name="beat.due",
        words="a sweep is due, not published",
        target="celery.beat.Scheduler.apply_async",
        moment="before",
        process="beat",
        left=PLACED,
        proof="order PENDING, its sweep_after",
        repair="the next sweep, once beat is back",
        after=("place.committed",),
    ),
    Point(
        name="beat.published",
        words="the sweep is published, not noted in beat's schedule",
        target="celery.beat.Scheduler.apply_async",
        moment="after",
        process="beat",
        left=PLACED,
        proof="order PENDING, its sweep_after",
        repair="that sweep; another one finds nothing to do",
        after=("place.committed",),
    ),
]
BY_NAME = {point.name: point for point in POINTS}
