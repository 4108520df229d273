"""The orders that a session has placed: each leaves the cart, and none is placed twice (ADR 10)."""

import hashlib
import re

import structlog
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.db import Error

from orders.models import Order
from shop.cart import KEY, REMOVED, ensure_key, put_in_cart, remove_units

LAST_ORDER = "last_order"  # the code of the last order: leads a customer to it who never saw the answer
EMAIL = "email"  # of the last order, so that a guest need not type it again
REPLACEMENTS = "ordered_again"  # by the code of a cancelled order: the key of the cart that was refilled with it
CART_KEY = re.compile(r"cart-[0-9a-f]{32}")  # no client of the API would choose such a key, and nobody can guess one

logger = structlog.stdlib.get_logger(__name__)


def find_placed(key: str) -> Order | None:
    """Find the order of a cart's key. The keys of the API's clients find nothing here, since they can be guessed."""
    return Order.objects.filter(checkout_key=key).first() if CART_KEY.fullmatch(key) else None


def remove_ordered(session: SessionBase) -> None:
    """Remove from the cart what was ordered already: a late write may have brought it back.

    This takes one query if the cart has a key, and none otherwise.
    """
    while order := find_placed(session.get(KEY, "")):
        _remove_order(session, order)


def finish_checkout(session: SessionBase, *, order: Order) -> None:
    """Remove the order from the cart that has its key, and save the session.

    What was added since then stays, under the next key. The order stands, so no error is raised: if the session can't
    be saved, the cart keeps the order's key, and `remove_ordered` removes the order later.
    """
    try:
        if session.get(KEY) == order.checkout_key:
            _remove_order(session, order)
        if session.modified:
            session.save()
    except (UpdateError, Error) as error:  # the customer has logged in or out meanwhile, or the database is away
        logger.warning("the order is placed, but its cart was not emptied", order=order.code, reason=repr(error))
    session.modified = False  # otherwise the middleware saves it again, and answers 400 if it can't


def refill_cart(session: SessionBase, *, order: Order) -> None:
    """Put in the cart what the order asked for, at the prices that it had. A repeat changes nothing."""
    remove_ordered(session)
    for line in order.lines.all():
        put_in_cart(session, sku=line.sku, quantity=line.quantity, price=line.price)
    session[REPLACEMENTS] = {**session.get(REPLACEMENTS, {}), order.code: ensure_key(session)}


def find_replacement(session: SessionBase, *, order: Order) -> Order | None:
    """Find the order that this visitor has placed in place of a cancelled one, unless that is cancelled too."""
    if order.status != Order.Status.CANCELLED:  # a page that is polled reads no session
        return None
    key = session.get(REPLACEMENTS, {}).get(order.code)
    return Order.objects.filter(checkout_key=key).exclude(status=Order.Status.CANCELLED).first() if key else None


def _remove_order(session: SessionBase, order: Order) -> None:
    # The next key is not random. A cart that comes back after two orders has the key of the first; that leads to the
    # second.
    session[KEY] = f"cart-{hashlib.sha256(order.checkout_key.encode()).hexdigest()[:32]}"
    session[LAST_ORDER], session[EMAIL] = order.code, order.email
    session.pop(REMOVED, None)
    remove_units(session, {line.sku: line.quantity for line in order.lines.all()})
