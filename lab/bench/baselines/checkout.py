"""What both baselines do alike: read the checkout, write the order and its lines, deduct the stock, answer."""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from lab.bench.baselines.models import Order, OrderLine, Stock

DEDUCT = """
UPDATE baselines_stock SET on_hand = on_hand - quantity
FROM unnest(%s::bigint[], %s::bigint[]) AS sold (id, quantity) WHERE baselines_stock.id = sold.id
"""


class SoldOut(Exception):
    """Fewer units are on hand than were asked for."""


def read_checkout(request: HttpRequest) -> tuple[dict[str, Any], dict[str, int]]:
    """The body, and the quantities by SKU."""
    body = json.loads(request.body) | {"key": request.headers["Idempotency-Key"]}
    return body, {line["sku"]: line["quantity"] for line in body["lines"]}


def write_order(body: Mapping[str, Any], stocks: Sequence[Stock], wanted: Mapping[str, int], **fields: object) -> Order:
    """The order with its lines, at the prices of the stocks."""
    order = Order.objects.create(
        code=secrets.token_hex(9),
        checkout_key=body["key"],
        email=body["email"],
        total=total_of(stocks, wanted),
        payment_method=body["payment_method"],
        created_at=timezone.now(),
        **fields,
    )
    OrderLine.objects.bulk_create(
        [OrderLine(order=order, stock=stock, quantity=wanted[stock.sku], price=stock.price) for stock in stocks]
    )
    return order


def total_of(stocks: Sequence[Stock], wanted: Mapping[str, int]) -> int:
    return sum(stock.price * wanted[stock.sku] for stock in stocks)


def lock_stocks(wanted: Mapping[str, int]) -> list[Stock]:
    """In the order of their ids, against deadlocks. Raises SoldOut."""
    stocks = list(Stock.objects.select_for_update().filter(sku__in=wanted).order_by("pk"))
    if len(stocks) < len(wanted) or any(stock.on_hand < wanted[stock.sku] for stock in stocks):
        raise SoldOut
    return stocks


def deduct(stocks: Sequence[Stock], wanted: Mapping[str, int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(DEDUCT, [[stock.pk for stock in stocks], [wanted[stock.sku] for stock in stocks]])


def describe(order: Order) -> dict[str, object]:
    return {"code": order.code, "status": order.status, "total": order.total}


def answer_sold_out() -> JsonResponse:
    return JsonResponse({"error": "insufficient_stock"}, status=409)
