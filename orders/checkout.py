"""How an order begins: one transaction writes it and reserves its stock; then a message is sent, which may be lost."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from accounts.models import User
from catalog.services import InsufficientStock, reserve_stock
from orders.models import Order, OrderEvent, OrderLine, make_code
from orders.pricing import CheckoutLine, CheckoutRefused, price_lines
from orders.tasks import process_order
from payments.models import Payment
from payments.services import create_payment

logger = logging.getLogger(__name__)

LOCKED_CUSTOMERS = 1  # the first key of our advisory locks


class CheckoutKeyReused(CheckoutRefused):
    """Another order was asked for under the same checkout key."""

    code = "idempotency_key_reused"


class OutOfStock(CheckoutRefused):
    """Fewer units are available than were asked for; `lines` says how many, where it is too few."""

    code = "insufficient_stock"


class TooManyUnpaid(CheckoutRefused):
    """The customer already has as many unpaid orders as one may have: nobody else can buy their stock."""

    code = "too_many_unpaid"


class _KeyTaken(Exception):
    """Another transaction placed the order of this checkout key first."""


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """What a customer asks for under one key. `expected_total` is in minor units: what the customer was told."""

    key: str
    email: str
    lines: Sequence[CheckoutLine]
    payment_method: str
    user: User | None = None
    expected_total: int | None = None
    expected_currency: str | None = None

    @cached_property
    def quantities(self) -> dict[str, int]:
        """By SKU, in SKU order. Lines of the same SKU are added up."""
        quantities: Counter[str] = Counter()
        for line in self.lines:
            quantities[line.sku] += line.quantity
        return dict(sorted(quantities.items()))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what is asked for: the same key with another hash is another checkout."""
        asked = [self.email, self.quantities, self.payment_method, self.expected_total, self.expected_currency]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def place_order(checkout: Checkout, *, limited: bool = True) -> tuple[Order, bool]:
    """Write down a PENDING order and its payment and reserve its stock, or nothing; return it and whether it is new.

    The same key again returns the first order, whatever has changed since; also for any number of requests at once.
    Prices are the catalogue's. The payment is charged after the commit. `limited` refuses more products, units or
    unpaid orders than one customer may have. Raises a CheckoutRefused.
    """
    try:
        return _find_order(checkout), False
    except Order.DoesNotExist:
        pass
    try:
        with transaction.atomic(durable=True):
            order = _write_order(checkout, limited=limited)
            _process_on_commit(order.code)
    except _KeyTaken:
        return _find_order(checkout), False
    except InsufficientStock as short:
        available = [{"sku": sku, "available": units} for sku, units in short.available.items()]
        raise OutOfStock("Fewer units are available than were asked for.", available) from short
    return order, True


def _find_order(checkout: Checkout) -> Order:
    order = Order.objects.get(checkout_key=checkout.key)
    if order.checkout_hash != checkout.hash:
        raise CheckoutKeyReused("Another order was placed under this key.")
    return order


def _write_order(checkout: Checkout, *, limited: bool) -> Order:
    lines = price_lines(
        checkout.quantities,
        expected_total=checkout.expected_total,
        expected_currency=checkout.expected_currency,
        limited=limited,
    )
    order = _insert_order(checkout, lines)
    if limited:
        _limit_unpaid(order)
    # The contended rows come last: other buyers of these products wait from here to the commit only.
    reserve_stock(reference=order.code, quantities={line.product_id: line.quantity for line in lines})
    return order


def _insert_order(checkout: Checkout, lines: list[OrderLine]) -> Order:
    total = sum(line.price * line.quantity for line in lines)
    currency = lines[0].product.currency
    for _ in range(3):
        code = make_code()
        try:
            with transaction.atomic():
                order = Order.objects.create(
                    code=code,
                    checkout_key=checkout.key,
                    checkout_hash=checkout.hash,
                    email=checkout.email,
                    user=checkout.user,
                    currency=currency,
                    total=total,
                    payment=create_payment(
                        reference=code, amount=total, currency=currency, payment_method=checkout.payment_method
                    ),
                    expires_at=Now() + timedelta(seconds=settings.ORDER_EXPIRES_AFTER),
                    sweep_after=Now() + timedelta(seconds=settings.SWEEP_AFTER),
                )
                break
        except IntegrityError as error:
            # The insert waited for the transaction that took the key: its order can be read now.
            if Order.objects.filter(checkout_key=checkout.key).exists():
                raise _KeyTaken from error
            if not Payment.objects.filter(reference=code).exists():
                raise  # the code is not the reason
    else:
        raise RuntimeError("three new order codes in a row were taken")
    order.refresh_from_db(fields=["created_at", "expires_at", "sweep_after"])
    for line in lines:
        line.order = order
    OrderLine.objects.bulk_create(lines)
    order.add_event(OrderEvent.Kind.PLACED, total=total)
    return order


def _limit_unpaid(order: Order) -> None:
    """Raises TooManyUnpaid; nothing where SHOP_MAX_UNPAID is 0."""
    if not settings.SHOP_MAX_UNPAID:
        return
    # Orders that somebody places as a guest with an account's email don't count for the account.
    customer = Q(user=order.user) if order.user else Q(user=None, email=order.email)
    # Checkouts at the same time don't see each other's orders. So those of one customer wait for each other here.
    lock_customer(f"user {order.user_id}" if order.user else order.email)
    unpaid = Order.objects.unpaid().filter(customer)
    if unpaid.count() > settings.SHOP_MAX_UNPAID:  # this one among them
        raise TooManyUnpaid("This customer already has too many unpaid orders.")


def lock_customer(name: str) -> None:
    """Others who lock the same name wait until our transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKED_CUSTOMERS, name])


def _process_on_commit(code: str) -> None:
    def publish() -> None:
        try:
            process_order(code)
        except OperationalError as error:
            logger.warning("%s is left to the sweep: %s", code, error)

    # Robust: the order stands, so nothing that fails from here on is the customer's error.
    transaction.on_commit(publish, robust=True)
