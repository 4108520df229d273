"""The naive design: one request locks the stock, pays over HTTP, writes the order and deducts, in one transaction."""

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone

from lab.bench.baselines.checkout import (
    SoldOut,
    answer_sold_out,
    deduct,
    describe,
    lock_stocks,
    read_checkout,
    total_of,
    write_order,
)
from lab.bench.baselines.provider import charge


def create_order(request: HttpRequest) -> JsonResponse:
    body, wanted = read_checkout(request)
    try:
        with transaction.atomic():
            stocks = lock_stocks(wanted)
            paid = charge(key=body["key"], amount=total_of(stocks, wanted), payment_method=body["payment_method"])
            now = timezone.now()
            order = write_order(body, stocks, wanted, status="CONFIRMED", provider_id=paid, finalized_at=now)
            deduct(stocks, wanted)
    except SoldOut:
        return answer_sold_out()
    return JsonResponse(describe(order), status=201)


urlpatterns = [path("api/orders", create_order)]
