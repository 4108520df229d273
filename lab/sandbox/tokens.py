"""Confirmation tokens: what a card form in the browser hands over in place of a card. Used once, and for some hours."""

import os
import secrets
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from lab.sandbox.cards import CARD_NUMBERS
from lab.sandbox.database import Connection, Row
from lab.sandbox.messages import Answer, InvalidRequest, Request, invalid, missing, refuse, reply

TOKEN_SECONDS = float(os.environ.get("SANDBOX_TOKEN_SECONDS", "43200"))  # half a day, as at Stripe

NUMBER = "payment_method_data[card][number]"
METHOD_TYPES = "allowed_payment_method_types"


def tokenize_card(connection: Connection, request: Request) -> Answer:
    """Answer the card form with a token. The number is not kept: the token stands for the test card's method."""
    method = CARD_NUMBERS.get(request.params.get(NUMBER, ""))
    if method is None:
        message = "Your card was declined. Your request was in test mode, but used a non test (live) card."
        return refuse(402, "card_error", message, code="card_declined", decline_code="test_mode_live_card")
    return reply(200, insert_token(connection, method, method_types=list_types(request)))


def create_test_token(connection: Connection, request: Request, _: object) -> Answer:
    """Make a token without a browser: https://docs.stripe.com/api/confirmation_tokens/test_create"""
    method = request.params.get("payment_method")
    if not method:
        raise invalid("Missing required param: payment_method.", param="payment_method", code="parameter_missing")
    return reply(200, insert_token(connection, method, method_types=None))


def insert_token(connection: Connection, method: str, *, method_types: list[str] | None) -> dict[str, Any]:
    row = connection.execute(
        """INSERT INTO confirmation_token (id, payment_method, method_types, expires_at)
           VALUES (%s, %s, %s, now() + %s) RETURNING *""",
        [
            f"ctoken_{secrets.token_hex(12)}",
            method,
            None if method_types is None else Jsonb(method_types),
            timedelta(seconds=TOKEN_SECONDS),
        ],
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING returns a row
    return shape(row)


def find_method(connection: Connection, request: Request) -> str | None:
    """The payment method that a request names, by itself or by its token. Raises InvalidRequest for a bad token."""
    token = request.params.get("confirmation_token")
    if token is None or "payment_method" in request.params:  # a parameter goes before what the token says
        return request.params.get("payment_method")
    row = connection.execute(
        "SELECT *, expires_at <= now() AS is_expired FROM confirmation_token WHERE id = %s", [token]
    ).fetchone()
    if row is None:
        raise missing(f"No such confirmation token: '{token}'", param="confirmation_token", status=400)
    if row["payment_intent"]:
        raise already_used(token)
    if row["is_expired"]:
        raise invalid(f"The confirmation token '{token}' has expired.", param="confirmation_token")
    if row["method_types"] not in (None, list_types(request)):
        message = f"The provided {METHOD_TYPES} ({row['method_types']}) does not match the expected {METHOD_TYPES}"
        raise invalid(f"{message} ({list_types(request)}).", param=METHOD_TYPES)
    return str(row["payment_method"])


def spend_token(connection: Connection, request: Request, *, intent_id: str) -> None:
    """Bind the request's token, if it has one, to the intent that it confirms. Raises InvalidRequest if another did."""
    token = request.params.get("confirmation_token")
    spent = connection.execute(
        "UPDATE confirmation_token SET payment_intent = %s WHERE id = %s AND payment_intent IS NULL", [intent_id, token]
    )
    if token is not None and spent.rowcount == 0:
        raise already_used(token)


def already_used(token: str) -> InvalidRequest:
    return invalid(f"The confirmation token '{token}' was already used.", param="confirmation_token")


def list_types(request: Request) -> list[str]:
    return list(request.nested(METHOD_TYPES).values())


def shape(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "object": "confirmation_token",
        "created": int(row["created"].timestamp()),
        "expires_at": int(row["expires_at"].timestamp()),
        "livemode": False,
        "payment_intent": row["payment_intent"],
        "payment_method_preview": {"type": "card"},
        "use_stripe_sdk": True,
    }
