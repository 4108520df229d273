"""The typical design's chain, as tutorials write it: ORM, retries, Celery's defaults."""

from celery import shared_task
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from lab.bench.baselines.checkout import deduct, lock_stocks
from lab.bench.baselines.models import Order, OrderLine
from lab.bench.baselines.provider import charge


@shared_task(autoretry_for=(OSError,), retry_backoff=True)
def charge_order(order_id: int) -> None:
    order = Order.objects.get(pk=order_id)
    order.provider_id = charge(key=order.checkout_key, amount=order.total, payment_method=order.payment_method)
    order.save()


@shared_task(autoretry_for=(OSError,), retry_backoff=True)
def confirm_order(order_id: int) -> None:
    with transaction.atomic():
        order = Order.objects.get(pk=order_id)
        lines = OrderLine.objects.filter(order=order).select_related("stock")
        wanted = {line.stock.sku: line.quantity for line in lines}
        deduct(lock_stocks(wanted), wanted)
        order.status, order.finalized_at = "CONFIRMED", timezone.now()
        order.save()


@shared_task(autoretry_for=(OSError,), retry_backoff=True)
def mail_customer(order_id: int) -> None:
    order = Order.objects.get(pk=order_id)
    send_mail(f"Your order {order.code}", "It is confirmed.", None, [order.email])
