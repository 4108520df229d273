"""What browsers are given: the stand-in for Stripe.js, the card form in its frame, and a key that everybody knows."""

from pathlib import Path

from lab.sandbox.messages import Answer, refuse

FOLDER = Path(__file__).with_name("static")
CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
FILES = {f"/{path.name}": path for path in FOLDER.iterdir()}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'"
CARD_TOKENS = "/v1/confirmation_tokens"  # where the frame sends a card


def find_file(path: str) -> Answer | None:
    if path not in FILES:
        return None
    content_type = f"{CONTENT_TYPES[FILES[path].suffix]}; charset=utf-8"
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Answer(status=200, body=FILES[path].read_text(), content_type=content_type, headers=headers)


def refuse_key(authorization: str, path: str) -> Answer | None:
    """Refuse a request without a key, and a publishable key for anything but the token of a card."""
    scheme, _, key = authorization.partition(" ")
    if scheme not in ("Bearer", "Basic") or not key:
        return refuse(401, "invalid_request_error", "You did not provide an API key.")
    if key.startswith("pk_") and path != CARD_TOKENS:
        message = "This API call cannot be made with a publishable API key. Please use a secret API key."
        return refuse(403, "invalid_request_error", message, code="secret_key_required")
    return None
