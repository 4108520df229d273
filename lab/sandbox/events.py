"""What is told to the shop unasked: an event for each change of an object, written with the change itself."""

import json
import os
import secrets
import time
from typing import Any

from lab.sandbox.database import Connection

WEBHOOK_URL = os.environ.get("SANDBOX_WEBHOOK_URL", "")  # empty: nobody wants to be told

# By the intent's new status: https://docs.stripe.com/api/events/types
TYPES = {
    "canceled": "payment_intent.canceled",
    "processing": "payment_intent.processing",
    "requires_action": "payment_intent.requires_action",
    "requires_payment_method": "payment_intent.payment_failed",
    "succeeded": "payment_intent.succeeded",
}


def record_event(connection: Connection, intent: dict[str, Any]) -> None:
    """Write the event of an intent that has just changed. Its transaction is the caller's."""
    is_told = intent["status"] != "requires_payment_method" or intent["last_payment_error"]
    if not is_told or intent["status"] not in TYPES:
        return
    write_event(connection, TYPES[intent["status"]], intent)


def write_event(connection: Connection, kind: str, about: dict[str, Any]) -> None:
    """Write an event of that type about an object. Its transaction is the caller's."""
    if not WEBHOOK_URL:
        return
    event = {
        "id": f"evt_{secrets.token_hex(12)}",
        "object": "event",
        "created": int(time.time()),
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "type": kind,
    }
    connection.execute("INSERT INTO event (id, body) VALUES (%s, %s)", [event["id"], json.dumps(event, indent=2)])
