"""Disputes: a customer's bank takes money back, until the dispute is won. Banks decide; here a test does."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from lab.sandbox.database import Connection, Row
from lab.sandbox.events import write_event
from lab.sandbox.faults import Behaviour
from lab.sandbox.intents import list_shape
from lab.sandbox.messages import Answer, Request, check_names, missing, read_times, refuse, reply, whole_number
from money.currencies import LARGEST_AMOUNT

REASONS = ("fraudulent", "product_not_received", "duplicate", "general")
DAYS = 7  # to respond

FIND = """
SELECT dispute.*, charge_id, currency FROM dispute JOIN payment_intent ON payment_intent.id = dispute.payment_intent
WHERE dispute.id = %s
"""
LIST = """
SELECT dispute.*, charge_id, currency FROM dispute JOIN payment_intent ON payment_intent.id = dispute.payment_intent
WHERE dispute.created >= to_timestamp(%(since)s) AND dispute.created < to_timestamp(%(until)s)
    AND (%(intent)s::text IS NULL OR dispute.payment_intent = %(intent)s)
    AND dispute.number < coalesce((SELECT number FROM dispute WHERE id = %(after)s), 9223372036854775807)
ORDER BY dispute.number DESC LIMIT %(limit)s
"""


def create_dispute(connection: Connection, request: Request, _: Behaviour) -> Answer:
    """Open a dispute of `amount`, or of the whole charge. Stripe has no such request: there a test card does it."""
    check_names(request, "payment_intent", "amount", "reason")
    intent = connection.execute(
        "SELECT * FROM payment_intent WHERE id = %s AND status = 'succeeded'", [request.params.get("payment_intent")]
    ).fetchone()
    if intent is None:
        raise missing("There is no such charge.", param="payment_intent")
    row = connection.execute(
        """INSERT INTO dispute (id, payment_intent, amount, reason, due_by)
           VALUES (%s, %s, %s, %s, now() + make_interval(days => %s)) RETURNING *""",
        [
            f"dp_{secrets.token_hex(12)}",
            intent["id"],
            whole_number(request, "amount", lowest=1, highest=LARGEST_AMOUNT, default=intent["amount"]),
            request.params.get("reason", REASONS[0]),
            DAYS,
        ],
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING returns a row
    dispute = shape(row | {"charge_id": intent["charge_id"], "currency": intent["currency"]})
    write_event(connection, "charge.dispute.created", dispute)
    return reply(200, dispute)


def end_dispute(status: str, *, after: Sequence[str]) -> Callable[[Connection, Request, Behaviour], Answer]:
    def end(connection: Connection, request: Request, _: Behaviour) -> Answer:
        ended = connection.execute(
            "UPDATE dispute SET status = %s WHERE id = %s AND status = ANY(%s) RETURNING id",
            [status, request.object_id, list(after)],
        ).fetchone()
        dispute = shape(find_dispute(connection, request))
        if ended is None:
            return refuse(400, "invalid_request_error", f"This dispute is {dispute['status']}.")
        write_event(connection, "charge.dispute.closed", dispute)
        return reply(200, dispute)

    return end


# A bank may change its mind: what was won is lost after all.
ENDS = {
    "/win": end_dispute("won", after=["needs_response"]),
    "/lose": end_dispute("lost", after=["needs_response", "won"]),
}


def retrieve_dispute(connection: Connection, request: Request) -> Answer:
    return reply(200, shape(find_dispute(connection, request)))


def find_dispute(connection: Connection, request: Request) -> Row:
    row = connection.execute(FIND, [request.object_id]).fetchone()
    if row is None:
        raise missing(f"No such dispute: '{request.object_id}'", param="dispute")
    return row


def list_disputes(connection: Connection, request: Request) -> Answer:
    """Newest first: limit, starting_after, created[gte], created[lt] and payment_intent, as Stripe pages."""
    limit = whole_number(request, "limit", lowest=1, highest=100, default=10)
    since, until = read_times(request)
    asked = {
        "since": since,
        "until": until,
        "intent": request.params.get("payment_intent"),
        "after": request.params.get("starting_after"),
        "limit": limit + 1,
    }
    rows = connection.execute(LIST, asked).fetchall()
    return reply(200, list_shape("/v1/disputes", [shape(row) for row in rows[:limit]], has_more=len(rows) > limit))


def shape(row: Row) -> dict[str, Any]:
    """The dispute as Stripe writes it."""
    return {
        "id": row["id"],
        "object": "dispute",
        "amount": row["amount"],
        "charge": row["charge_id"],
        "currency": row["currency"],
        "payment_intent": row["payment_intent"],
        "reason": row["reason"],
        "status": row["status"],
        "created": int(row["created"].timestamp()),
        "evidence_details": {"due_by": int(row["due_by"].timestamp()), "has_evidence": False, "past_due": False},
        "metadata": {},
        "livemode": False,
    }
