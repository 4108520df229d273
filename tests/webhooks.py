"""Events as Stripe sends them: made, signed and posted."""

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests

PATH = "/payments/webhooks/stripe/"
SUCCEEDED, FAILED, CANCELED = (f"payment_intent.{kind}" for kind in ("succeeded", "payment_failed", "canceled"))
REQUIRES_ACTION, PROCESSING = "payment_intent.requires_action", "payment_intent.processing"


def make_event(reference: str, kind: str = SUCCEEDED, **changes: Any) -> bytes:
    """The body of an event about a payment intent of the reference."""
    about = {"id": f"pi_{uuid4().hex}", "object": "payment_intent", "metadata": {"reference": reference}}
    event = {"id": f"evt_{uuid4().hex}", "object": "event", "type": kind, "data": {"object": about}}
    return json.dumps(event | changes, indent=2).encode()


def sign(body: bytes, secret: str, *, age: float = 0) -> str:
    """The value of Stripe-Signature, made so many seconds ago."""
    signed_at = int(time.time() - age)
    return f"t={signed_at},v1={hmac.new(secret.encode(), b'%d.%s' % (signed_at, body), hashlib.sha256).hexdigest()}"


def post_event(shop_url: str, body: bytes, secret: str) -> int | None:
    """Send it to a running shop as Stripe does. Return the status of the answer, or None if none came."""
    assert urlsplit(shop_url).hostname == "127.0.0.1"
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": sign(body, secret)}
    try:
        return requests.post(f"{shop_url}{PATH}", body, headers=headers, timeout=20).status_code
    except requests.RequestException:
        return None
