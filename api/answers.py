"""Answers in JSON: an order, or a refusal with its status and stable code."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from http import HTTPStatus

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from api.reading import BadRequest
from database_errors import RETRY_AFTER, describe, is_passing
from orders.models import Order
from orders.paying import PaymentRefused
from orders.pricing import CheckoutRefused
from payments.models import Payment
from payments.refund_models import Refund
from payments.refunds import NotRefundable
from payments.services import list_instructions

logger = logging.getLogger(__name__)

View = Callable[..., JsonResponse]
STATUSES = {  # of the refusals; all others are a 409
    "idempotency_key_reused": 422,
    "no_such_line": 400,
    "payment_number_reused": 422,
    "refund_number_reused": 422,
    "total_too_large": 400,
    "total_too_small": 400,
    "too_many_checkouts": 429,
    "too_many_declines": 429,
    "too_many_lines": 400,
    "unknown_gateway": 400,
    "unknown_product": 400,
    "waiting_room": 429,
    "wrong_refund_amount": 400,
}


def api_view(method: str = "") -> Callable[[View], View]:
    """Make a view of the API: it accepts one method, or any, and each refusal is answered in JSON."""

    def decorate(view: View) -> View:
        @csrf_exempt  # the API reads no cookie
        @wraps(view)
        def answer(request: HttpRequest, **kwargs: str) -> JsonResponse:
            try:
                if method and request.method != method:
                    raise BadRequest("method_not_allowed", f"Use {method}.", status=405, Allow=method)
                return view(request, **kwargs)
            except (BadRequest, CheckoutRefused) as refusal:
                return _refuse(refusal)
            except (PaymentRefused, NotRefundable) as refusal:
                return _make_refusal(STATUSES.get(refusal.code, 409), refusal.code, refusal.detail)
            except Error as error:
                if not is_passing(error):
                    raise
                logger.warning("%s %s can't be answered now: %s", request.method, request.path, describe(error))
                detail = "The shop is busy. Try again with the same Idempotency-Key."
                return _make_refusal(503, "try_again", detail, headers={"Retry-After": str(RETRY_AFTER)})

        return answer

    return decorate


def answer_order(order: Order, *, status: int = 200, instructs: bool = False) -> JsonResponse:
    """Answer with the order as it stands, its refunds, and what its customer has to do.

    One that may be held after a decline also with its payment. `instructs`: while the order waits for a customer who
    pays unasked, say how, and until when.
    """
    body: dict[str, object] = {
        "code": order.code,
        "status": order.status,
        "reason": order.cancel_reason,
        "currency": order.currency,
        "total": order.total,
        "refunded": order.refunded,
        "refunds": _list_refunds(order),
        "lines": [
            {
                "sku": line.sku,
                "name": line.name,
                "quantity": line.quantity,
                "price": line.price,
                "total": line.price * line.quantity,
            }
            for line in order.cached_lines
        ],
    }
    if status == HTTPStatus.OK and _asks_customer(order):  # a new order's payment was never sent
        # Our own address: the provider is asked when the customer opens it, and not for each answer.
        body["next_action"] = {"url": f"{settings.SHOP_URL}/orders/{order.code}/action/"}
    if order.hold_on_decline:
        payment = order.payment
        body["held_until"] = order.held_until
        body["payment"] = {
            "number": payment.number,
            "status": payment.status,
            "decline_code": payment.decline_code,
        }
    if instructs and order.payment.waits_for_money:
        body["expires_at"] = order.expires_at
        body["instructions"] = [{"label": label, "value": value} for label, value in list_instructions(order.payment)]
    return JsonResponse(body, status=status)


def _asks_customer(order: Order) -> bool:
    return order.status == Order.Status.PENDING and order.payment.status == Payment.Status.ACTION_REQUIRED


def _list_refunds(order: Order) -> list[dict[str, object]]:
    if order.status == Order.Status.PENDING:  # it has none: one query less for an order that was placed just now
        return []
    refunds = Refund.objects.of_reference(order.code).order_by("pk").prefetch_related("lines__line")
    return [
        {
            "number": refund.number,
            "status": refund.status,
            "amount": refund.amount,
            "lines": [
                {"sku": line.line.sku, "quantity": line.quantity, "restock": line.restock}
                for line in refund.lines.all()
            ],
        }
        for refund in refunds
    ]


def _refuse(refusal: BadRequest | CheckoutRefused) -> JsonResponse:
    if isinstance(refusal, BadRequest):
        return _make_refusal(refusal.status, refusal.code, refusal.detail, headers=refusal.headers)
    headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
    status = STATUSES.get(refusal.code, 409)
    return _make_refusal(status, refusal.code, refusal.detail, refusal.lines, headers=headers)


def _make_refusal(
    status: int,
    code: str,
    detail: str,
    lines: Sequence[Mapping[str, object]] = (),
    *,
    headers: Mapping[str, str] | None = None,
) -> JsonResponse:
    return JsonResponse({"error": code, "detail": detail, "lines": list(lines)}, status=status, headers=headers)
