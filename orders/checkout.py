"""How an order begins: one transaction writes it down and reserves its stock; then a message, which may be lost."""

import hashlib
import json
import logging
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from accounts.models import User
from catalog.services import reserve_stock
from orders.models import Order, OrderEvent, OrderLine, make_code
from orders.pricing import BasketLine, CheckoutRefused, merge_lines, price_basket
from orders.tasks import process_order
from payments.models import Payment
from payments.services import create_payment

logger = logging.getLogger(__name__)

LOCKED_CUSTOMERS = 1  # the first key of our advisory locks


class CheckoutKeyReused(CheckoutRefused):
    """Another order was asked for under the same checkout key."""

    code = "idempotency_key_reused"


class TooManyUnpaid(CheckoutRefused):
    """The customer has as many unpaid orders, whose stock nobody else can buy, as one may have at a time."""

    code = "too_many_unpaid"


class _KeyTaken(Exception):
    """Another transaction placed the order of this checkout key first."""


def place_order(
    *,
    checkout_key: str,
    email: str,
    lines: Iterable[BasketLine],
    payment_method: str,
    expected_total: int | None = None,
    expected_currency: str | None = None,
    user: User | None = None,
    limited: bool = True,
) -> tuple[Order, bool]:
    """Write down a PENDING order and its payment and reserve its stock, or nothing; return it and whether it is new.

    The same key again returns the first order, whatever has changed since; also for any number of requests at once.
    Prices are the catalogue's, in minor units; `expected_total` and `expected_currency` are what the customer was told.
    The payment is charged after the commit. limited: only as many products, units and unpaid orders at a time as a
    customer may have.
    Raises a CheckoutRefused or InsufficientStock.
    """
    basket = merge_lines(lines)
    asked: list[object] = [email, basket, payment_method, expected_total]
    if expected_currency is not None:  # so that a repeat without it has the hash that it had before there was one
        asked.append(expected_currency)
    checkout_hash = _hash_checkout(asked)
    try:
        return _find_order(checkout_key, checkout_hash), False
    except Order.DoesNotExist:
        pass
    try:
        with transaction.atomic(durable=True):
            order_lines = price_basket(
                basket, expected_total=expected_total, expected_currency=expected_currency, limited=limited
            )
            order = _insert_order(
                checkout_key=checkout_key,
                checkout_hash=checkout_hash,
                email=email,
                user=user,
                payment_method=payment_method,
                lines=order_lines,
            )
            if limited:
                _limit_unpaid(order)
            # The contended rows come last: other buyers of these products wait from here to the commit only.
            reserve_stock(reference=order.code, quantities={line.product_id: line.quantity for line in order_lines})
            _process_on_commit(order.code)
    except _KeyTaken:
        return _find_order(checkout_key, checkout_hash), False
    return order, True


def _find_order(checkout_key: str, checkout_hash: str) -> Order:
    order = Order.objects.get(checkout_key=checkout_key)
    if order.checkout_hash != checkout_hash:
        raise CheckoutKeyReused("Another order was placed under this key.")
    return order


def _hash_checkout(asked: list[object]) -> str:
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _insert_order(*, checkout_key: str, payment_method: str, lines: list[OrderLine], **fields: object) -> Order:
    total = sum(line.price * line.quantity for line in lines)
    currency = lines[0].product.currency
    for _ in range(3):
        code = make_code()
        try:
            with transaction.atomic():
                order = Order.objects.create(
                    code=code,
                    checkout_key=checkout_key,
                    currency=currency,
                    total=total,
                    payment=create_payment(
                        reference=code, amount=total, currency=currency, payment_method=payment_method
                    ),
                    expires_at=Now() + timedelta(seconds=settings.ORDER_EXPIRES_AFTER),
                    sweep_after=Now() + timedelta(seconds=settings.SWEEP_AFTER),
                    **fields,
                )
                break
        except IntegrityError as error:
            # The insert waited for the transaction that took the key: its order can be read now.
            if Order.objects.filter(checkout_key=checkout_key).exists():
                raise _KeyTaken from error
            if not Payment.objects.filter(reference=code).exists():
                raise  # not the code was refused, but what was asked for
    else:
        raise RuntimeError("three new order codes in a row were taken")
    order.refresh_from_db(fields=["created_at", "expires_at", "sweep_after"])
    for line in lines:
        line.order = order
    OrderLine.objects.bulk_create(lines)
    OrderEvent.objects.create(order=order, kind=OrderEvent.Kind.PLACED, data={"total": total})
    return order


def _limit_unpaid(order: Order) -> None:
    """Raises TooManyUnpaid; nothing where SHOP_MAX_UNPAID is 0."""
    if not settings.SHOP_MAX_UNPAID:
        return
    # An account's orders don't count those that somebody places as a guest with its email.
    customer = Q(user=order.user) if order.user else Q(user=None, email=order.email)
    # Checkouts at the same time don't see each other's orders: a customer's wait for each other here.
    lock_customer(f"user {order.user_id}" if order.user else order.email)
    unpaid = Order.objects.filter(customer, status=Order.Status.PENDING).exclude(
        payment__status=Payment.Status.SUCCEEDED
    )
    if unpaid.count() > settings.SHOP_MAX_UNPAID:  # this one among them
        raise TooManyUnpaid("This customer already has too many unpaid orders.")


def lock_customer(name: str) -> None:
    """Until the end of the transaction; others of the name wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKED_CUSTOMERS, name])


def _process_on_commit(code: str) -> None:
    def publish() -> None:
        try:
            process_order(code)
        except OperationalError as error:
            logger.warning("%s is left to the sweep: %s", code, error)

    # Robust: the order stands, so nothing that goes wrong from here on is the customer's error.
    transaction.on_commit(publish, robust=True)
