"""Refusals as problem+json (RFC 9457), each with a stable code. docs/api.md says what each code means."""

from collections.abc import Mapping, Sequence

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja.errors import AuthenticationError, HttpError, ValidationError

from catalog.services import AdjustmentRefused, AdjustmentReused
from database_errors import RETRY_AFTER, describe, is_passing
from orders.models import Order
from orders.paying import PaymentRefused
from orders.pricing import CheckoutRefused
from orders.services import OrderIsFinal
from payments.refunds import NotRefundable

logger = structlog.stdlib.get_logger(__name__)

STATUSES = {
    "adjustment_refused": 409,
    "already_paid": 409,
    "bad_content_length": 400,
    "bad_field": 400,
    "bad_idempotency_key": 400,
    "bad_token": 401,
    "body_too_large": 413,
    "call_under_way": 409,
    "idempotency_key_reused": 422,
    "insufficient_stock": 409,
    "line_already_returned": 409,
    "malformed_json": 400,
    "may_not_refund": 403,
    "method_not_allowed": 405,
    "missing_scope": 403,
    "no_such_line": 400,
    "not_for_sale": 409,
    "not_found": 404,
    "order_has_ended": 409,
    "order_is_not_held": 409,
    "order_is_not_refundable": 409,
    "payment_number_reused": 422,
    "payment_unanswered": 409,
    "price_changed": 409,
    "price_not_chargeable": 409,
    "refund_number_reused": 422,
    "refund_too_large": 409,
    "too_many_checkouts": 429,
    "too_many_declines": 429,
    "too_many_lines": 400,
    "too_many_payments": 409,
    "too_many_units": 409,
    "too_many_unpaid": 409,
    "total_too_large": 400,
    "total_too_small": 400,
    "try_again": 503,
    "unknown_gateway": 400,
    "unknown_product": 400,
    "unsupported_media_type": 415,
    "waiting_room": 429,
    "wrong_payment_number": 409,
    "wrong_refund_amount": 400,
    "wrong_refund_number": 409,
}


class RequestRefused(Exception):
    """The API itself refuses the request, by one of STATUSES."""

    def __init__(self, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def refuse_client() -> RequestRefused:
    return RequestRefused("bad_token", "Authorization: not one of this shop's API tokens.", WWW_Authenticate="Bearer")


def answer_problem(
    code: str,
    detail: str,
    lines: Sequence[Mapping[str, object]] = (),
    *,
    headers: Mapping[str, str] | None = None,
) -> JsonResponse:
    """`error` is the code, for programs; `title` says the same to people."""
    status, title = STATUSES[code], code.replace("_", " ").capitalize()
    body = {"type": f"urn:orderly:problem:{code}", "title": title, "status": status, "detail": detail}
    body |= {"error": code, "lines": list(lines)}
    return JsonResponse(body, status=status, headers=headers, content_type="application/problem+json")


def answer_request_refused(_request: HttpRequest, refusal: RequestRefused) -> HttpResponse:
    return answer_problem(refusal.code, refusal.detail, headers=refusal.headers)


def answer_unknown_client(request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    return answer_request_refused(request, refuse_client())


def answer_refusal(_request: HttpRequest, refusal: PaymentRefused | NotRefundable) -> HttpResponse:
    return answer_problem(refusal.code, refusal.detail)


def answer_checkout_refused(_request: HttpRequest, refusal: CheckoutRefused) -> HttpResponse:
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else None
    return answer_problem(refusal.code, refusal.detail, refusal.lines, headers=headers)


def answer_order_is_final(_request: HttpRequest, refusal: OrderIsFinal) -> HttpResponse:
    return answer_problem("order_has_ended", f"This order is {refusal}.")


def answer_no_order(_request: HttpRequest, _error: Order.DoesNotExist) -> HttpResponse:
    """It was there when the request began, and was archived since."""
    return answer_problem("not_found", "There is no such order.")


def answer_adjustment_refused(_request: HttpRequest, refusal: AdjustmentRefused) -> HttpResponse:
    is_reused = isinstance(refusal, AdjustmentReused)  # of an older call, whose answer is kept no more
    return answer_problem("idempotency_key_reused" if is_reused else "adjustment_refused", f"{refusal}.")


def answer_database_error(request: HttpRequest, error: Error) -> HttpResponse:
    """503 if the same request may succeed later. Anything else is a bug."""
    if not is_passing(error):
        raise error
    logger.warning("a request can't be answered now", method=request.method, path=request.path, reason=describe(error))
    detail = "The shop is busy. Try again with the same Idempotency-Key."
    return answer_problem("try_again", detail, headers={"Retry-After": str(RETRY_AFTER)})


def answer_wrong_field(_request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Names the first field that is wrong."""
    first = error.errors[0]
    source, *where = first["loc"]
    if source == "header":
        detail = "Send an Idempotency-Key header of 1 to 255 printable ASCII characters."
        return answer_problem("bad_idempotency_key", detail)
    names = where[1:] if source == "body" else where
    field = "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in names).lstrip(".")
    return answer_problem("bad_field", f"{field or source}: {first['msg'].removeprefix('Value error, ')}.")


def answer_unread_body(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Ninja hides what its parser raised behind an error of its own."""
    if isinstance(error.__cause__, RequestRefused):
        return answer_request_refused(request, error.__cause__)
    raise error


def answer_too_large(_request: HttpRequest, _error: RequestDataTooBig | None = None) -> HttpResponse:
    return answer_problem("body_too_large", "The body is too large.")


def answer_not_found(_request: HttpRequest, _error: Http404 | None = None) -> HttpResponse:
    return answer_problem("not_found", "There is no such address.")
