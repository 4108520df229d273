"""Reads a request: its token, its key and its body. What it can't read is a BadRequest."""

import json
from collections.abc import Collection
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, ValidationError
from django.http import HttpRequest

from accounts.email_addresses import read_email_address
from accounts.tokens import shows_token
from catalog.texts import MAX_SKU, read_sku
from orders.pricing import CheckoutLine
from payments.refund_models import MAX_NUMBER

MAX_LINES = 5_000
MAX_QUANTITY = 1_000_000
MAX_HOLD = 366 * 24 * 3600  # seconds
FIELDS = {"email", "lines", "payment_method", "gateway", "expected_total", "expected_currency", "hold_on_decline"}
PAYMENT_FIELDS = {"number", "payment_method", "gateway"}
REFUND_FIELDS = {"number", "lines", "amount", "note"}


class ReturnedUnits(NamedTuple):
    """Units of a product that come back, as a client names them."""

    sku: str
    quantity: int
    restock: bool


class BadRequest(Exception):
    """The request can't be understood. `code` is stable, so that programs can rely on it."""

    def __init__(self, code: str, detail: str, *, status: int = 400, **headers: str) -> None:
        super().__init__(detail)
        self.code, self.detail, self.status = code, detail, status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def is_trusted(request: HttpRequest) -> bool:
    """Whether the client sends a token of the shop's. Without one it is a visitor; a wrong one raises BadRequest."""
    if "Authorization" not in request.headers:
        return False
    if not shows_token(request, [*settings.API_TOKENS, *settings.API_REFUND_TOKENS]):
        raise _refuse_token()
    return True


def check_may_refund(request: HttpRequest) -> None:
    """Raises BadRequest, unless the client sends one of API_REFUND_TOKENS."""
    if not is_trusted(request):
        raise _refuse_token()
    if not shows_token(request, settings.API_REFUND_TOKENS):
        raise BadRequest("may_not_refund", "This token may not refund orders.", status=403)


def read_key(request: HttpRequest) -> str:
    """Read the checkout key from the Idempotency-Key header. Raises BadRequest."""
    key = request.headers.get("Idempotency-Key", "")
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise BadRequest(
            "bad_idempotency_key", "Send an Idempotency-Key header of 1 to 255 printable ASCII characters."
        )
    return key


def read_body(request: HttpRequest) -> dict[str, Any]:
    """Read the fields of a Checkout. Raises BadRequest, which names the field that is wrong."""
    body = _read_json(request, FIELDS)
    return {
        "email": _read_email(body.get("email")),
        "lines": _read_lines(body.get("lines")),
        "payment_method": _read_text(body.get("payment_method"), "payment_method", 64),
        "gateway": _read_gateway(body.get("gateway")),
        "expected_total": _read_expected_total(body.get("expected_total")),
        "expected_currency": _read_expected_currency(body.get("expected_currency")),
        "hold_on_decline": _read_hold(body.get("hold_on_decline")),
    }


def read_payment(request: HttpRequest) -> dict[str, Any]:
    """Read what pay_again is asked for. Raises BadRequest, which names the field that is wrong."""
    body = _read_json(request, PAYMENT_FIELDS)
    return {
        "number": _read_int(body.get("number"), "number", 1_000),
        "payment_method": _read_text(body.get("payment_method"), "payment_method", 64),
        "gateway": _read_gateway(body.get("gateway")),
    }


def read_refund(request: HttpRequest) -> dict[str, Any]:
    """Read a refund: its number, its units by SKU, its amount or None, its note. Raises BadRequest."""
    body = _read_json(request, REFUND_FIELDS)
    amount = body.get("amount")
    return {
        "number": _read_int(body.get("number"), "number", MAX_NUMBER),
        "lines": _read_returned(body.get("lines", [])),
        "amount": None if amount is None else _read_int(amount, "amount", 2**53),
        "note": _read_text(body["note"], "note", 500) if "note" in body else "",
    }


def _read_returned(value: object) -> list[ReturnedUnits]:
    if not isinstance(value, list) or len(value) > MAX_LINES:
        raise BadRequest("bad_field", f"lines: send at most {MAX_LINES}.")
    return [_read_returned_line(line, f"lines[{number}]") for number, line in enumerate(value)]


def _read_returned_line(value: object, where: str) -> ReturnedUnits:
    if not isinstance(value, dict) or not {"sku", "quantity"} <= value.keys() <= {"sku", "quantity", "restock"}:
        raise BadRequest("bad_field", f"{where}: send sku and quantity, and restock if you like.")
    restock = value.get("restock", True)
    if not isinstance(restock, bool):
        raise BadRequest("bad_field", f"{where}.restock: send true or false.")
    sku = _read_sku(value["sku"], f"{where}.sku")
    return ReturnedUnits(sku, _read_int(value["quantity"], f"{where}.quantity", MAX_QUANTITY), restock)


def _refuse_token() -> BadRequest:
    detail = "Authorization: not one of this shop's API tokens."
    return BadRequest("bad_token", detail, status=401, WWW_Authenticate="Bearer")


def _read_json(request: HttpRequest, fields: Collection[str]) -> dict[str, object]:
    if request.content_type != "application/json":
        raise BadRequest("unsupported_media_type", "Send application/json.", status=415)
    try:
        body = json.loads(request.body)
    except RequestDataTooBig as error:
        raise BadRequest("body_too_large", "The body is too large.", status=413) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested too deep
        raise BadRequest("malformed_json", "The body is not JSON.") from error
    if not isinstance(body, dict) or not body.keys() <= set(fields):
        raise BadRequest("bad_field", f"Send an object of {', '.join(sorted(fields))}.")
    return body


def _read_email(value: object) -> str:
    try:
        return read_email_address(value if isinstance(value, str) else "")
    except ValidationError as error:
        raise BadRequest("bad_field", "email: not an email address that a mail can be sent to.") from error


def _read_lines(value: object) -> list[CheckoutLine]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_LINES:
        raise BadRequest("bad_field", f"lines: send 1 to {MAX_LINES}.")
    return [_read_line(line, f"lines[{number}]") for number, line in enumerate(value)]


def _read_line(value: object, where: str) -> CheckoutLine:
    if not isinstance(value, dict) or value.keys() != {"sku", "quantity"}:
        raise BadRequest("bad_field", f"{where}: send sku and quantity.")
    return CheckoutLine(
        sku=_read_sku(value["sku"], f"{where}.sku"),
        quantity=_read_int(value["quantity"], f"{where}.quantity", MAX_QUANTITY),
    )


def _read_sku(value: object, where: str) -> str:
    try:
        return read_sku(value if isinstance(value, str) else "")
    except ValidationError as error:
        raise BadRequest("bad_field", f"{where}: send 1 to {MAX_SKU} visible characters.") from error


def _read_expected_total(value: object) -> int | None:
    return None if value is None else _read_int(value, "expected_total", 2**53)


def _read_hold(value: object) -> int:
    return 0 if value is None else _read_int(value, "hold_on_decline", MAX_HOLD, least=0)


def _read_expected_currency(value: object) -> str | None:
    return None if value is None else _read_text(value, "expected_currency", 3)


def _read_gateway(value: object) -> str:
    return "" if value is None else _read_text(value, "gateway", 32)


def _read_text(value: object, where: str, longest: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
        raise BadRequest("bad_field", f"{where}: send 1 to {longest} printable characters.")
    return value


def _read_int(value: object, where: str, largest: int, *, least: int = 1) -> int:
    if type(value) is not int or not least <= value <= largest:  # isinstance would let True and False through
        raise BadRequest("bad_field", f"{where}: send a whole number from {least} to {largest}.")
    return value
