"""The guards that keep the promise, and what goes wrong without each of them. The tests show that it does."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A guard, its function, what happens without it, and the invariants that the audit then finds broken."""

    name: str
    words: str
    target: str
    wrong: str
    broken: frozenset[str]


GUARDS = [
    Guard(
        name="idempotency-key",
        words="one idempotency key for all tries of a charge",
        target="payments.stripe.StripeGateway._confirm",
        wrong="the worker dies before it reads the answer, the sweep asks again: the card is charged twice",
        broken=frozenset({"A3"}),
    ),
    Guard(
        name="row-lock",
        words="the order's row is locked before it is read",
        target="orders.services.lock_order",
        wrong="staff resume an order that is being confirmed: it goes on after its end",
        broken=frozenset({"A7"}),
    ),
    Guard(
        name="compare-and-set",
        words="SENT only if the payment has no answer yet",
        target="payments.services.mark_sent",
        wrong="a charge task that is late takes the money of a cancelled order",
        broken=frozenset({"A4"}),
    ),
    Guard(
        name="sweep",
        words="stuck orders are swept",
        target="orders.sweep.claim_stuck_orders",
        wrong="an order whose message was lost never ends",
        broken=frozenset({"A5"}),
    ),
    Guard(
        name="unknown-is-not-no",
        words="nothing is compensated while the outcome is unknown",
        target="payments.stripe.StripeGateway.charge",
        wrong="the provider's answer is lost: the order is cancelled, its money kept",
        broken=frozenset({"A4"}),
    ),
    Guard(
        name="fence",
        words="a cancel binds the charge's key at the provider",
        target="payments.stripe.StripeGateway.cancel",
        wrong="a charge that was on its way takes the money of a cancelled order",
        broken=frozenset({"A4"}),
    ),
    Guard(
        name="sent-first",
        words="SENT is committed before the provider is asked",
        target="payments.services.mark_sent",
        wrong="the worker dies before it reads the answer: past the deadline the order is cancelled as never sent",
        broken=frozenset({"A4"}),
    ),
    Guard(
        name="dead-mark",
        words="the mark of a call in flight ends with its process",
        target="payments.requests.is_dead",
        wrong="the worker dies before it asks the provider: started again, it takes the call for one in flight",
        broken=frozenset({"A5"}),
    ),
    Guard(
        name="repair",
        words="a worker that starts takes up what the one before may have held",
        target="orders.sweep.claim_lost_orders",
        wrong="the worker dies before it asks the provider: nobody takes the order up before a far sweep",
        broken=frozenset({"A5"}),
    ),
    Guard(
        name="hint",
        words="an event is a hint: the provider is asked",
        target="payments.webhooks._act",
        wrong="an event that came too late says that the payment failed: the order is cancelled, its money kept",
        broken=frozenset({"A4"}),
    ),
    Guard(
        name="events-swept",
        words="events that wait are swept",
        target="payments.webhooks.claim_due_events",
        wrong="the web server dies before it publishes an event: nobody takes the order up before a far sweep",
        broken=frozenset({"A5"}),
    ),
    Guard(
        name="own-answer",
        words="an answer is written to the payment that was asked for",
        target="payments.services.record_answer",
        wrong="the no to the first card comes late, while the second has paid: the order is cancelled, its money kept",
        broken=frozenset({"A4"}),
    ),
    Guard(
        name="close-declined",
        words="a declined payment is cancelled at the provider before the next is sent",
        target="payments.services._close_declined",
        wrong="the second card pays, and the first payment is confirmed at the provider later: the order is paid twice",
        broken=frozenset({"A3"}),
    ),
    Guard(
        name="refund-key",
        words="one idempotency key for all tries of a refund",
        target="payments.stripe.StripeGateway.refund",
        wrong="the worker dies before it reads the answer, the sweep asks again: the money goes back twice",
        broken=frozenset({"A3"}),
    ),
    Guard(
        name="refunds-swept",
        words="refunds that are not over are swept",
        target="orders.tasks.claim_due_refunds",
        wrong="the web server dies before it publishes a refund: nobody ever asks for it",
        broken=frozenset({"A5"}),
    ),
]
