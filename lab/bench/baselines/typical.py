"""The typical design: the request writes the order, a Celery chain charges, confirms and mails. See tasks.py."""

from functools import partial

from celery import chain
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path

from lab.bench.baselines.checkout import SoldOut, answer_sold_out, describe, lock_stocks, read_checkout, write_order
from lab.bench.baselines.tasks import charge_order, confirm_order, mail_customer


def create_order(request: HttpRequest) -> JsonResponse:
    body, wanted = read_checkout(request)
    try:
        with transaction.atomic():
            order = write_order(body, lock_stocks(wanted), wanted)
            steps = chain(charge_order.si(order.pk), confirm_order.si(order.pk), mail_customer.si(order.pk))
            transaction.on_commit(partial(steps.apply_async))
    except SoldOut:
        return answer_sold_out()
    return JsonResponse(describe(order), status=201)


urlpatterns = [path("api/orders", create_order)]
