"""Version 1 of the API: its operations, and how each kind of refusal is answered."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import Error
from ninja.errors import AuthenticationError, HttpError, ValidationError

from api import problems, quotas
from api.documents import DocumentedApi
from api.event_views import router as events
from api.fields import JsonParser
from api.order_views import router as orders
from api.product_views import router as products
from api.stock_views import router as stock
from catalog.services import AdjustmentRefused
from orders.limits import TooManyCheckouts, TooManyDeclines
from orders.models import Order
from orders.paying import PaymentRefused
from orders.pricing import CheckoutRefused
from orders.services import OrderIsFinal
from payments.refunds import NotRefundable

v1 = DocumentedApi(
    title="Orderly",
    version="1",
    description="Orders that end one of two ways: paid and confirmed, or unpaid and cancelled.",
    parser=JsonParser(),
)
for router in (products, orders, stock, events):
    v1.add_router("", router)

ANSWERS: dict[type[Exception], Any] = {
    problems.RequestRefused: problems.answer_request_refused,
    TooManyCheckouts: quotas.answer_limit_reached,
    TooManyDeclines: quotas.answer_limit_reached,
    CheckoutRefused: problems.answer_checkout_refused,
    PaymentRefused: problems.answer_refusal,
    NotRefundable: problems.answer_refusal,
    OrderIsFinal: problems.answer_order_is_final,
    Order.DoesNotExist: problems.answer_no_order,
    AdjustmentRefused: problems.answer_adjustment_refused,
    AuthenticationError: problems.answer_unknown_client,
    ValidationError: problems.answer_wrong_field,
    HttpError: problems.answer_unread_body,
    RequestDataTooBig: problems.answer_too_large,
    Error: problems.answer_database_error,
}
for bad_news, answer in ANSWERS.items():
    v1.add_exception_handler(bad_news, answer)
