"""Refunds: money given back, never more than was taken."""

import secrets
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from lab.sandbox.database import Connection, Row
from lab.sandbox.events import write_event
from lab.sandbox.faults import PROCESSING_SECONDS, Behaviour
from lab.sandbox.intents import charge_shape, list_shape
from lab.sandbox.messages import Answer, Request, check_names, missing, refuse, reply, whole_number
from money.currencies import LARGEST_AMOUNT, get_step

# Refunds of these cards begin as the first status, and end as the second: https://docs.stripe.com/testing#refunds
LATER = {"pm_card_pendingRefund": ("pending", "succeeded"), "pm_card_refundFail": ("succeeded", "failed")}

# What a failed refund gave back is taken back, so the charge has it again.
FINISH = """
WITH finished AS (
    UPDATE refund SET status = next_status, next_status = NULL, next_status_at = NULL
    WHERE next_status_at <= now() RETURNING *
), kept AS (
    UPDATE payment_intent SET refunded = refunded - failed.amount
    FROM (
        SELECT payment_intent, sum(amount) AS amount FROM finished WHERE status = 'failed' GROUP BY payment_intent
    ) failed
    WHERE payment_intent.id = failed.payment_intent
)
SELECT finished.*, charge_id, currency FROM finished JOIN payment_intent ON payment_intent.id = finished.payment_intent
"""


def create_refund(connection: Connection, request: Request, _: Behaviour) -> Answer:
    """Give back `amount`, or what is left. Checked and written under the intent's row lock."""
    check_names(request, "payment_intent", "amount", "metadata", "reason", "expand")
    finish_refunds(connection)
    intent = lock_intent(connection, request.params.get("payment_intent", ""))
    left = intent["amount"] - intent["refunded"] if intent["status"] == "succeeded" else 0
    amount = whole_number(request, "amount", lowest=1, highest=LARGEST_AMOUNT, default=max(left, 1))
    if refusal := why_not(intent, amount, left):
        return refusal
    connection.execute("UPDATE payment_intent SET refunded = refunded + %s WHERE id = %s", [amount, intent["id"]])
    status, next_status = LATER.get(intent["payment_method"], ("succeeded", None))
    row = connection.execute(
        """INSERT INTO refund (id, payment_intent, amount, metadata, status, next_status, next_status_at)
           VALUES (%s, %s, %s, %s, %s, %s, now() + %s) RETURNING *""",
        [
            f"re_{secrets.token_hex(12)}",
            intent["id"],
            amount,
            Jsonb(request.nested("metadata")),
            status,
            next_status,
            timedelta(seconds=PROCESSING_SECONDS) if next_status else None,
        ],
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING returns a row
    write_event(connection, "charge.refunded", charge_shape(intent | {"refunded": intent["refunded"] + amount}))
    return reply(200, shape(row | {"charge_id": intent["charge_id"], "currency": intent["currency"]}))


def finish_refunds(connection: Connection) -> None:
    """Let the banks answer that have had their time, as finish_processing does."""
    with connection.transaction():
        for row in connection.execute(FINISH).fetchall():
            kind = "refund.failed" if row["status"] == "failed" else "refund.updated"
            write_event(connection, kind, shape(row))


def lock_intent(connection: Connection, intent_id: str) -> Row:
    row = connection.execute("SELECT * FROM payment_intent WHERE id = %s FOR UPDATE", [intent_id]).fetchone()
    if row is None:
        raise missing(f"No such payment_intent: '{intent_id}'", param="payment_intent")
    return row


def why_not(intent: Row, amount: int, left: int) -> Answer | None:
    if intent["status"] != "succeeded":
        message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        return refuse(400, "invalid_request_error", message, code="payment_intent_unexpected_state")
    if left == 0:
        message = f"Charge {intent['charge_id']} has already been refunded."
        return refuse(400, "invalid_request_error", message, code="charge_already_refunded")
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        return refuse(400, "invalid_request_error", message, param="amount")
    if amount % get_step(intent["currency"].upper()):
        message = f"Amounts in {intent['currency']} must be a multiple of {get_step(intent['currency'].upper())}"
        return refuse(400, "invalid_request_error", message, param="amount", code="parameter_invalid_integer")
    return None


def list_refunds(connection: Connection, request: Request) -> Answer:
    """Newest first, of one payment intent or of all."""
    limit = whole_number(request, "limit", lowest=1, highest=100, default=10)
    rows = connection.execute(
        """SELECT refund.*, charge_id, currency
           FROM refund JOIN payment_intent ON payment_intent.id = refund.payment_intent
           WHERE (%(intent)s::text IS NULL OR refund.payment_intent = %(intent)s)
             AND refund.number < coalesce((SELECT number FROM refund WHERE id = %(after)s), 9223372036854775807)
           ORDER BY refund.number DESC LIMIT %(limit)s""",
        {
            "intent": request.params.get("payment_intent"),
            "after": request.params.get("starting_after"),
            "limit": limit + 1,
        },
    ).fetchall()
    return reply(200, list_shape("/v1/refunds", [shape(row) for row in rows[:limit]], has_more=len(rows) > limit))


def shape(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "object": "refund",
        "amount": row["amount"],
        "charge": row["charge_id"],
        "currency": row["currency"],
        "payment_intent": row["payment_intent"],
        "metadata": row["metadata"],
        "status": row["status"],
        "failure_reason": "lost_or_stolen_card" if row["status"] == "failed" else None,
        "created": int(row["created"].timestamp()),
    }
