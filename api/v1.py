"""Version 1 of the API: its operations, and how each kind of refusal is answered."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import Error
from ninja.errors import HttpError, ValidationError

from api import problems
from api.documents import DocumentedApi
from api.fields import JsonParser
from api.order_views import router as orders
from orders.paying import PaymentRefused
from orders.pricing import CheckoutRefused
from payments.refunds import NotRefundable

v1 = DocumentedApi(
    title="Orderly",
    version="1",
    description="Orders that end one of two ways: paid and confirmed, or unpaid and cancelled.",
    parser=JsonParser(),
)
v1.add_router("", orders)

ANSWERS: dict[type[Exception], Any] = {
    problems.BadRequest: problems.answer_bad_request,
    CheckoutRefused: problems.answer_checkout_refused,
    PaymentRefused: problems.answer_refusal,
    NotRefundable: problems.answer_refusal,
    ValidationError: problems.answer_wrong_field,
    HttpError: problems.answer_unread_body,
    RequestDataTooBig: problems.answer_too_large,
    Error: problems.answer_database_error,
}
for bad_news, answer in ANSWERS.items():
    v1.add_exception_handler(bad_news, answer)
