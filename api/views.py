"""The JSON API: place an order, and ask how it is going."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, ValidationError
from django.db import Error
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.email_addresses import read_email_address
from accounts.tokens import shows_token
from catalog.services import InsufficientStock
from catalog.texts import MAX_SKU, read_sku
from database_errors import RETRY_AFTER, describe, is_passing
from orders.checkout import place_order
from orders.limits import limit_checkout
from orders.models import Order
from orders.pricing import BasketLine, CheckoutRefused

logger = logging.getLogger(__name__)

MAX_LINES = 5_000
MAX_QUANTITY = 1_000_000
FIELDS = {"email", "lines", "payment_method", "expected_total", "expected_currency"}
STATUSES = {  # the others: 409
    "idempotency_key_reused": 422,
    "total_too_large": 400,
    "too_many_checkouts": 429,
    "too_many_declines": 429,
    "too_many_lines": 400,
    "unknown_product": 400,
}


class BadRequest(Exception):
    """The request is not one we understand; `code` is stable."""

    def __init__(self, code: str, detail: str, *, status: int = 400, **headers: str) -> None:
        super().__init__(detail)
        self.code, self.detail, self.status = code, detail, status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def api_view(method: str = "") -> Callable[[Callable[..., JsonResponse]], Callable[..., JsonResponse]]:
    """Accept one method, or any, and translate each refusal into its status and stable code."""

    def decorate(view: Callable[..., JsonResponse]) -> Callable[..., JsonResponse]:
        @csrf_exempt  # no cookie has any say here
        @wraps(view)
        def translated(request: HttpRequest, **kwargs: str) -> JsonResponse:
            try:
                if method and request.method != method:
                    raise BadRequest("method_not_allowed", f"Use {method}.", status=405, Allow=method)
                return view(request, **kwargs)
            except BadRequest as error:
                return _refuse(error.status, error.code, error.detail, headers=error.headers)
            except CheckoutRefused as error:
                headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
                return _refuse(STATUSES.get(error.code, 409), error.code, error.detail, error.lines, headers=headers)
            except InsufficientStock as error:
                short = [{"sku": sku, "available": units} for sku, units in error.available.items()]
                return _refuse(409, "insufficient_stock", "Fewer units are available than were asked for.", short)
            except Error as error:
                if not is_passing(error):
                    raise
                logger.warning("%s %s can't be answered now: %s", request.method, request.path, describe(error))
                detail = "The shop is busy. Try again with the same Idempotency-Key."
                return _refuse(503, "try_again", detail, headers={"Retry-After": str(RETRY_AFTER)})

        return translated

    return decorate


@api_view("POST")
def create_order(request: HttpRequest) -> JsonResponse:
    key, body = _read_key(request), _read_body(request)
    if _is_trusted(request):
        order, created = place_order(checkout_key=key, limited=False, **body)
    else:
        with limit_checkout(checkout_key=key, ip=request.META["REMOTE_ADDR"]):
            order, created = place_order(checkout_key=key, **body)
    return JsonResponse(_describe(order), status=201 if created else 200)


@api_view("GET")
def show_order(request: HttpRequest, *, code: str) -> JsonResponse:
    order = Order.objects.filter(code=code).first()
    if order is None:
        raise BadRequest("not_found", "There is no such order.", status=404)
    return JsonResponse(_describe(order))


@api_view()
def refuse_unknown_url(request: HttpRequest) -> JsonResponse:
    raise BadRequest("not_found", "There is no such address.", status=404)


def _is_trusted(request: HttpRequest) -> bool:
    if "Authorization" not in request.headers:
        return False
    if not shows_token(request, settings.API_TOKENS):
        raise BadRequest(
            "bad_token", "Authorization: not one of this shop's API tokens.", status=401, WWW_Authenticate="Bearer"
        )
    return True


def _read_key(request: HttpRequest) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not (0 < len(key) <= 255 and key.isascii() and key.isprintable()):
        raise BadRequest(
            "bad_idempotency_key", "Send an Idempotency-Key header of 1 to 255 printable ASCII characters."
        )
    return key


def _read_body(request: HttpRequest) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise BadRequest("unsupported_media_type", "Send application/json.", status=415)
    try:
        body = json.loads(request.body)
    except RequestDataTooBig as error:
        raise BadRequest("body_too_large", "The body is too large.", status=413) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested too deep
        raise BadRequest("malformed_json", "The body is not JSON.") from error
    if not isinstance(body, dict) or not body.keys() <= FIELDS:
        raise BadRequest("bad_field", f"Send an object of {', '.join(sorted(FIELDS))}.")
    return {
        "email": _read_email(body.get("email")),
        "lines": _read_lines(body.get("lines")),
        "payment_method": _read_text(body.get("payment_method"), "payment_method", 64),
        "expected_total": _read_expected_total(body.get("expected_total")),
        "expected_currency": _read_expected_currency(body.get("expected_currency")),
    }


def _read_email(value: object) -> str:
    try:
        return read_email_address(value if isinstance(value, str) else "")
    except ValidationError as error:
        raise BadRequest("bad_field", "email: not an email address that a mail can be sent to.") from error


def _read_lines(value: object) -> list[BasketLine]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_LINES:
        raise BadRequest("bad_field", f"lines: send 1 to {MAX_LINES}.")
    return [_read_line(line, f"lines[{number}]") for number, line in enumerate(value)]


def _read_line(value: object, where: str) -> BasketLine:
    if not isinstance(value, dict) or value.keys() != {"sku", "quantity"}:
        raise BadRequest("bad_field", f"{where}: send sku and quantity.")
    return BasketLine(
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


def _read_expected_currency(value: object) -> str | None:
    return None if value is None else _read_text(value, "expected_currency", 3)


def _read_text(value: object, where: str, longest: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
        raise BadRequest("bad_field", f"{where}: send 1 to {longest} printable characters.")
    return value


def _read_int(value: object, where: str, largest: int) -> int:
    if type(value) is not int or not 0 < value <= largest:  # a bool is an int to isinstance
        raise BadRequest("bad_field", f"{where}: send a whole number from 1 to {largest}.")
    return value


def _describe(order: Order) -> dict[str, object]:
    return {
        "code": order.code,
        "status": order.status,
        "reason": order.cancel_reason,
        "currency": order.currency,
        "total": order.total,
        "lines": [
            {"sku": line.sku, "name": line.name, "quantity": line.quantity, "price": line.price, "total": line.total}
            for line in order.lines.all()
        ],
    }


def _refuse(
    status: int,
    code: str,
    detail: str,
    lines: Sequence[Mapping[str, object]] = (),
    *,
    headers: Mapping[str, str] | None = None,
) -> JsonResponse:
    return JsonResponse({"error": code, "detail": detail, "lines": list(lines)}, status=status, headers=headers)
