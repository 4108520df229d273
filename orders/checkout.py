"""How an order begins: one statement writes it and reserves its stock; then a message is sent, which may be lost."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import Error, connection, transaction
from django.db.models import Q

from accounts.models import User
from catalog.models import StockMovement
from catalog.services import GIVEN, LOCK, MOVE, describe_move
from languages import current_language
from orders.codes import make_code
from orders.models import Order, OrderEvent, OrderLine, OrderMail
from orders.pricing import CheckoutLine, CheckoutRefused, OutOfStock, price_lines
from orders.signals import announce_event
from orders.tasks import process_order, publish_on_commit
from payments.gateway import Gateway, get_gateway
from payments.services import CREATE_FOR, NEXT_ID
from spans import span

LOCKED_CUSTOMERS = 1  # the first key of our advisory locks
TRIES = 3  # of one checkout: others may take its units and give them back meanwhile, or take its code

# A repeat locks nothing: with the stock in hand it would wait for whoever ends its order, who waits for the stock.
NEW_KEY = "NOT EXISTS (SELECT FROM orders_order WHERE checkout_key = %(checkout_key)s)"
# One statement, because each round trip costs as much as all of its work. It locks the stock in product id order. Then
# it writes everything and returns the order, or writes and returns nothing: where units are missing, or where the
# checkout key or the code is taken. If another transaction is about to take the key, the insert waits for its end, so
# that its order can be read afterwards. PostgreSQL promises no order for the parts of a WITH. So each part reads the
# one that has to come before it.
PLACE_ORDER = f"""
WITH available AS MATERIALIZED ({LOCK.format(condition=NEW_KEY)}), placed AS (
    INSERT INTO orders_order (
        code, checkout_key, checkout_hash, user_id, email, language, currency, total, metadata, payment_id,
        hold_on_decline, expires_at, sweep_after
    ) SELECT
        %(reference)s, %(checkout_key)s, %(checkout_hash)s, %(user)s::bigint, %(email)s, %(language)s, %(currency)s,
        %(total)s, %(metadata)s::jsonb, {NEXT_ID}, %(hold_on_decline)s,
        statement_timestamp() + %(expires_after)s, statement_timestamp() + %(sweep_after)s
    WHERE cardinality(%(products)s) = (
        SELECT count(*) FROM available JOIN ({GIVEN.format(condition="TRUE")}) AS asked ON product_id = stock_id
        WHERE units >= quantity
    ) ON CONFLICT DO NOTHING
    RETURNING {{columns}}
), payment AS ({CREATE_FOR.format(row="placed")}), lines AS (
    INSERT INTO orders_orderline (order_id, product_id, sku, name, price, quantity)
    SELECT placed.id, line.* FROM placed, unnest(
        %(products)s::bigint[], %(skus)s::text[], %(names)s::text[], %(prices)s::bigint[], %(quantities)s::int[]
    ) AS line
), event AS (
    INSERT INTO orders_orderevent (order_id, kind, data)
    SELECT id, 'placed', jsonb_build_object('total', total) FROM placed
), {MOVE.format(wanted=GIVEN.format(condition="EXISTS (SELECT FROM placed)"))}
SELECT {{columns}} FROM placed
"""  # noqa: S608 - parts of our own


class CheckoutKeyReused(CheckoutRefused):
    """Another order was asked for under the same checkout key."""

    code = "idempotency_key_reused"


class TooManyUnpaid(CheckoutRefused):
    """The customer already has as many unpaid orders as one may have: nobody else can buy their stock."""

    code = "too_many_unpaid"


class UnknownGateway(CheckoutRefused):
    """The shop takes no payment in the way that was asked for."""

    code = "unknown_gateway"


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """What a customer asks for under one key. `expected_total` is in minor units: what the customer was told.

    `hold_on_decline`: for how many seconds its stock stays reserved after a decline, so that another card can be tried.
    `gateway`: one of CHECKOUT_GATEWAYS; the first where none is named.
    `metadata`: what the client wants to keep with the order, in JSON's types; the shop reads nothing of it.
    """

    key: str
    email: str
    lines: Sequence[CheckoutLine]
    payment_method: str
    user: User | None = None
    expected_total: int | None = None
    expected_currency: str | None = None
    hold_on_decline: int = 0
    gateway: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

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
        asked: list[Any] = [
            self.email,
            self.quantities,
            self.payment_method,
            self.expected_total,
            self.expected_currency,
        ]
        # Left out where there is none, so that a checkout which an older release has placed keeps its hash.
        asked += [self.hold_on_decline] if self.hold_on_decline else []
        asked += [self.gateway] if self.gateway and self.gateway != settings.PAYMENT_GATEWAY else []
        asked += [self.metadata] if self.metadata else []
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def place_order(checkout: Checkout, *, limited: bool = True) -> tuple[Order, bool]:
    """Write down a PENDING order and its payment and reserve its stock, or nothing; return it and whether it is new.

    The same key again returns the first order, whatever has changed since; also for any number of requests at once.
    Prices are the catalogue's. The payment is charged after the commit. `limited` refuses more products, units or
    unpaid orders than one customer may have. Raises a CheckoutRefused.
    """
    try:
        with span("place_order"):
            return _place_order(checkout, limited=limited), True
    except (CheckoutRefused, Error):
        # Only now: a new checkout, which is the rule, need not ask whether its key was used. After an error of the
        # database the first order may be found all the same: it is read-only, or only the commit's answer was lost.
        order = Order.objects.filter(checkout_key=checkout.key).first()
        if order is None:
            raise
    if order.checkout_hash != checkout.hash:
        raise CheckoutKeyReused("Another order was placed under this key.")
    return order, False


def _place_order(checkout: Checkout, *, limited: bool) -> Order:
    """Raises a CheckoutRefused or a database error. Either may hide that the key has an order: the caller looks."""
    time_to_pay = find_gateway(checkout.gateway).time_to_pay
    for _ in range(TRIES):
        lines = price_lines(
            checkout.quantities,
            expected_total=checkout.expected_total,
            expected_currency=checkout.expected_currency,
            limited=limited,
        )
        # One statement is a transaction of its own. The limit needs a larger one, to keep its lock until the commit; so
        # does the mail that says how to pay.
        with transaction.atomic(durable=True) if limited or time_to_pay else nullcontext():
            if limited:
                _limit_unpaid(checkout)
            if order := _write_order(checkout, lines, time_to_pay):
                order.cached_lines = lines
                order.metadata = checkout.metadata
                announce_event(code=order.code, kind=OrderEvent.Kind.PLACED)
                if time_to_pay:
                    OrderMail.objects.create(order=order, kind=OrderMail.Kind.INSTRUCTIONS)
                else:
                    process_on_commit(order.code)
                return order
        if Order.objects.filter(checkout_key=checkout.key).exists():
            break  # a repeat of a checkout that is placed by now: place_order returns its order
    raise OutOfStock({})


def find_gateway(name: str) -> Gateway:
    """The gateway of that name, or the first where none is named. Raises UnknownGateway if customers have no such."""
    if name and name not in settings.CHECKOUT_GATEWAYS:
        raise UnknownGateway(f"The gateway is one of {', '.join(settings.CHECKOUT_GATEWAYS)}.")
    return get_gateway(name)


def _write_order(checkout: Checkout, lines: Sequence[OrderLine], time_to_pay: timedelta | None) -> Order | None:
    """Return None, with nothing written, if units are missing, or if the key or the code is taken."""
    order = {
        "checkout_key": checkout.key,
        "checkout_hash": checkout.hash,
        "user": checkout.user and checkout.user.pk,
        "email": checkout.email,
        "language": current_language(),
        "currency": lines[0].product.currency,
        "total": sum(line.price * line.quantity for line in lines),
        "payment_method": checkout.payment_method,
        "metadata": json.dumps(checkout.metadata),
        "hold_on_decline": checkout.hold_on_decline,
        "gateway": checkout.gateway or settings.PAYMENT_GATEWAY,
        "expires_after": time_to_pay or timedelta(seconds=settings.ORDER_EXPIRES_AFTER),
        "sweep_after": time_to_pay or timedelta(seconds=settings.SWEEP_AFTER),
    }
    columns = {f"{name}s": [getattr(line, name) for line in lines] for name in ("sku", "name", "price")}
    move = describe_move(
        kind=StockMovement.Kind.RESERVED,
        reference=make_code(),
        quantities={line.product_id: line.quantity for line in lines},
    )
    return Order.objects.execute(PLACE_ORDER, order | columns | move)


def _limit_unpaid(checkout: Checkout) -> None:
    """Raises TooManyUnpaid; nothing where SHOP_MAX_UNPAID is 0."""
    if not settings.SHOP_MAX_UNPAID:
        return
    # Orders that somebody places as a guest with an account's email don't count for the account.
    customer = Q(user=checkout.user) if checkout.user else Q(user=None, email=checkout.email)
    # Checkouts at the same time don't see each other's orders. So those of one customer wait for each other here.
    lock_customer(checkout.user.pk if checkout.user else checkout.email)
    if Order.objects.unpaid().filter(customer).count() >= settings.SHOP_MAX_UNPAID:
        raise TooManyUnpaid("This customer already has too many unpaid orders.")


def lock_customer(customer: int | str) -> None:
    """Others who lock the same customer, an account's id or a guest's email, wait until our transaction ends."""
    name = f"user {customer}" if isinstance(customer, int) else customer
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKED_CUSTOMERS, name])


def process_on_commit(code: str) -> None:
    """Publish the order's chain after the commit. If the broker is down, the order is left to the sweep."""
    publish_on_commit(lambda: process_order(code), code)
