"""Payment intents: money is taken when one is confirmed, once, and never after it was cancelled."""

import secrets
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from lab.sandbox.database import Connection, Row
from lab.sandbox.events import record_event
from lab.sandbox.faults import NEEDS_AUTHENTICATION, PROCESSING_SECONDS, TOKENS, Behaviour
from lab.sandbox.messages import (
    Answer,
    Request,
    check_names,
    invalid,
    missing,
    read_times,
    refuse,
    reply,
    whole_number,
)
from lab.sandbox.tokens import find_method, spend_token
from money.currencies import LARGEST_AMOUNT, get_smallest, get_step, is_currency

ONLY_WITH_CONFIRM = ("error_on_requires_action", "return_url", "confirmation_token")
CREATE_PARAMS = ("amount", "currency", "payment_method", "confirm", *ONLY_WITH_CONFIRM)
LARGEST_BY_METHOD = {"pm_card_amex": 999_999_999}  # https://docs.stripe.com/currencies#maximum-charge-amounts
IGNORED_PARAMS = ("allowed_payment_method_types", "metadata", "expand", "description")


def create_intent(connection: Connection, request: Request, behaviour: Behaviour) -> Answer:
    """Insert an intent and, with confirm, take the money, or not: 402 and the bank's code; or let the customer act."""
    if behaviour.needs_action and "error_on_requires_action" in request.params:
        behaviour = NEEDS_AUTHENTICATION
    confirms, method = request.params.get("confirm") == "true", find_method(connection, request)
    check_create(request, method)
    status = confirmed_status(behaviour) if confirms else f"requires_{'confirmation' if method else 'payment_method'}"
    intent_id = f"pi_{secrets.token_hex(12)}"
    secret = f"{intent_id}_secret_{secrets.token_hex(12)}"
    row = connection.execute(
        """INSERT INTO payment_intent
               (id, client_secret, charge_id, status, amount, currency, payment_method, metadata, decline, processes,
                bank_url, return_url, processing_until)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, now() + %s) RETURNING *""",
        [
            intent_id,
            secret,
            f"ch_{secrets.token_hex(12)}" if confirms else None,
            status,
            int(request.params["amount"]),
            request.params["currency"].lower(),
            method,
            Jsonb(request.nested("metadata")),
            Jsonb(asdict(behaviour.decline)) if behaviour.decline else None,
            behaviour.processing,
            # A token was made in a browser by Stripe.js, which then handles the action too.
            None if "confirmation_token" in request.params else f"{request.origin}/bank/{secret}",
            request.params.get("return_url"),
            timedelta(seconds=PROCESSING_SECONDS) if status == "processing" else None,
        ],
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING returns a row
    spend_token(connection, request, intent_id=row["id"])
    record_event(connection, shape(row))
    if row["decline"] and status == "requires_payment_method":
        return refuse(402, "card_error", row["decline"]["message"], **decline_fields(row), payment_intent=shape(row))
    return reply(200, shape(row, expanded=request.expands("latest_charge")))


def check_create(request: Request, method: str | None) -> None:
    check_names(request, *CREATE_PARAMS, *IGNORED_PARAMS)
    check_amount(request, highest=LARGEST_BY_METHOD.get(method or "", LARGEST_AMOUNT))
    if method is not None and method not in TOKENS:
        raise missing(f"No such PaymentMethod: '{method}'", param="payment_method", status=400)
    if request.params.get("confirm") == "true":
        if method is None:
            raise invalid("You cannot confirm without a payment method.", param="payment_method")
        return
    for name in ONLY_WITH_CONFIRM:
        if name in request.params:
            raise invalid(f"{name} can only be used with confirm.", param=name)


def check_amount(request: Request, *, highest: int) -> None:
    """Stripe's rules for amounts: https://docs.stripe.com/currencies"""
    currency = request.params.get("currency", "").upper()
    if not is_currency(currency):
        raise invalid(f"Invalid currency: {currency.lower()}", param="currency")
    amount = whole_number(request, "amount", lowest=get_smallest(currency), highest=highest)
    if amount % get_step(currency):
        message = f"Amounts in {currency.lower()} must be a multiple of {get_step(currency)}"
        raise invalid(message, param="amount", code="parameter_invalid_integer")


def confirmed_status(behaviour: Behaviour) -> str:
    if behaviour.needs_action:
        return "requires_action"
    if behaviour.processing:
        return "processing"
    return "requires_payment_method" if behaviour.decline else "succeeded"


def retrieve_intent(connection: Connection, request: Request) -> Answer:
    finish_processing(connection)
    return reply(200, shape(find_intent(connection, request), expanded=request.expands("latest_charge")))


def find_intent(connection: Connection, request: Request) -> Row:
    row = connection.execute("SELECT * FROM payment_intent WHERE id = %s", [request.object_id]).fetchone()
    if row is None:
        raise missing(f"No such payment_intent: '{request.object_id}'", param="intent")
    return row


def cancel_intent(connection: Connection, request: Request, _: Behaviour) -> Answer:
    """Make sure the intent never takes money. Refused once it did, and while the bank is still to answer."""
    finish_processing(connection)
    row = connection.execute(
        """UPDATE payment_intent SET status = 'canceled', canceled_at = now(),
               decline = CASE WHEN status = 'requires_action' THEN NULL ELSE decline END
           WHERE id = %s AND status IN ('requires_payment_method', 'requires_confirmation', 'requires_action')
           RETURNING *""",
        [request.object_id],
    ).fetchone()
    if row is None:
        row = find_intent(connection, request)
        message = f"You cannot cancel this PaymentIntent because it has a status of {row['status']}."
        code = "payment_intent_unexpected_state"
        return refuse(400, "invalid_request_error", message, code=code, payment_intent=shape(row))
    record_event(connection, shape(row))
    return reply(200, shape(row, expanded=request.expands("latest_charge")))


def list_intents(connection: Connection, request: Request) -> Answer:
    """Newest first: limit, starting_after, created[gte] and created[lt], as Stripe pages."""
    finish_processing(connection)
    limit = whole_number(request, "limit", lowest=1, highest=100, default=10)
    after = request.params.get("starting_after")
    if after and not connection.execute("SELECT 1 FROM payment_intent WHERE id = %s", [after]).fetchone():
        raise missing(f"No such payment_intent: '{after}'", param="starting_after", status=400)
    rows = connection.execute(
        """SELECT * FROM payment_intent
           WHERE created >= to_timestamp(%s) AND created < to_timestamp(%s)
             AND number < coalesce((SELECT number FROM payment_intent WHERE id = %s), 9223372036854775807)
           ORDER BY number DESC LIMIT %s""",
        [*read_times(request), after, limit + 1],
    ).fetchall()
    data = [shape(row, expanded=request.expands("data.latest_charge")) for row in rows[:limit]]
    return reply(200, list_shape("/v1/payment_intents", data, has_more=len(rows) > limit))


def finish_processing(connection: Connection) -> None:
    """Let the banks answer that have had their time. It hangs on the clock alone, so a restart changes nothing."""
    with connection.transaction():
        answered = connection.execute(
            """UPDATE payment_intent
               SET status = CASE WHEN decline IS NULL THEN 'succeeded' ELSE 'requires_payment_method' END
               WHERE status = 'processing' AND processing_until <= now() RETURNING *"""
        ).fetchall()
        for row in answered:
            record_event(connection, shape(row))


def shape(row: Row, *, expanded: bool = False) -> dict[str, Any]:
    """The intent as Stripe writes it."""
    failed = row["decline"] and row["status"] in ("requires_payment_method", "canceled")
    return {
        "id": row["id"],
        "object": "payment_intent",
        "client_secret": row["client_secret"],
        "amount": row["amount"],
        "amount_received": row["amount"] if row["status"] == "succeeded" else 0,
        "currency": row["currency"],
        "status": row["status"],
        "created": int(row["created"].timestamp()),
        "canceled_at": int(row["canceled_at"].timestamp()) if row["canceled_at"] else None,
        "payment_method": None if failed else row["payment_method"],
        "payment_method_types": ["card"],
        "metadata": row["metadata"],
        "next_action": next_action_shape(row) if row["status"] == "requires_action" else None,
        "latest_charge": charge_shape(row) if expanded and row["charge_id"] else row["charge_id"],
        "last_payment_error": {"type": "card_error", "message": row["decline"]["message"]} | decline_fields(row)
        if failed
        else None,
        "livemode": False,
    }


def next_action_shape(row: Row) -> dict[str, Any]:
    if row["bank_url"] and row["return_url"]:
        page = {"url": row["bank_url"], "return_url": row["return_url"]}
        return {"type": "redirect_to_url", "redirect_to_url": page}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "stripe_3ds2_fingerprint"}}


def charge_shape(row: Row) -> dict[str, Any]:
    taken = row["status"] == "succeeded"
    return {
        "id": row["charge_id"],
        "object": "charge",
        "amount": row["amount"],
        "amount_captured": row["amount"] if taken else 0,
        "amount_refunded": row["refunded"],
        "refunded": taken and row["refunded"] == row["amount"],
        "currency": row["currency"],
        "status": "succeeded" if taken else "pending" if row["status"] == "processing" else "failed",
        "paid": taken,
        "payment_intent": row["id"],
        "created": int(row["created"].timestamp()),
        "metadata": row["metadata"],
        "livemode": False,
    }


def decline_fields(row: Row) -> dict[str, Any]:
    return {name: row["decline"][name] for name in ("code", "decline_code") if row["decline"][name]}


def list_shape(url: str, data: list[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    return {"object": "list", "url": url, "has_more": has_more, "data": data}
