"""Lets a process of the shop die at an armed point, once, or stand still there until it is released.

A file POINT@KEY in CRASH_FOLDER/armed, saying "kill" or "pause", arms the point for the order of that checkout key. A
process that comes there moves the file to CRASH_FOLDER/reached, and writes what is left behind into it. The shop's own
code knows nothing of it.
"""

import json
import os
import pkgutil
import re
import signal
import sys
import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import psycopg

from events_out.models import Delivery
from orders.models import Order
from tests.crash.guards import GUARDS, Guard
from tests.crash.points import NOTHING, POINTS, Left, Point
from tests.crash.unguarded import REMOVALS

FOLDER = Path(os.environ["CRASH_FOLDER"])
ORDER_CODE = re.compile(r"\b\d{6}-[0-9A-Z]{5}-[0-9A-Z]{5}\b")
PAUSE_AT_MOST = 60  # seconds

LEFT = """
SELECT o.code, o.status, payment.status,
    (SELECT string_agg(kind, ' ' ORDER BY kind) FROM catalog_stockmovement
        WHERE reference = o.code OR reference LIKE 'refund-' || o.code || '-%%'),
    (SELECT string_agg(status, ' ' ORDER BY number) FROM payments_refund WHERE payment_id = payment.id)
FROM orders_order o JOIN payments_payment payment ON payment.id = o.payment_id WHERE o.checkout_key = %s
"""
INTENTS = """
SELECT string_agg(status, ' ' ORDER BY number) FROM payment_intent WHERE metadata ->> 'reference' = %s
"""

REFUNDS = "SELECT string_agg(status, ' ' ORDER BY number) FROM refund WHERE metadata ->> 'reference' = %s"


def set_traps() -> None:
    process = name_process()
    for guard in GUARDS:
        replace_function(guard.target, partial(make_removable, guard))
    for point in POINTS:
        if point.process == process:
            replace_function(point.target, partial(make_deadly, point))


def name_process() -> str:
    """The stack's name for this process, by its command line."""
    words = {word.partition("@")[0] for word in sys.argv}  # a worker's is NAME@%h
    named = words & {"payments", "orders", "mails", "webhooks", "beat"}
    # The tests call what staff's requests call from a shell.
    is_web = "gunicorn" in sys.argv[0] or "shell" in words
    return named.pop() if named else "web" if is_web else ""


def replace_function(target: str, replace: Callable[[Any], Any]) -> None:
    """Put what `replace` makes of a function or method in its place. Raises AttributeError if there is none."""
    owner_name, _, name = target.rpartition(".")
    owner = pkgutil.resolve_name(owner_name)
    setattr(owner, name, replace(getattr(owner, name)))


def make_removable(guard: Guard, function: Callable[..., Any]) -> Callable[..., Any]:
    unguarded = REMOVALS[guard.name](function)

    @wraps(function)
    def choose(*args: Any, **kwargs: Any) -> Any:
        is_off = (FOLDER / "off" / guard.name).exists()
        return (unguarded if is_off else function)(*args, **kwargs)

    return choose


def make_deadly(point: Point, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def pass_by(*args: Any, **kwargs: Any) -> Any:
        if point.moment == "before":
            spring(point, (args, kwargs))
        result = function(*args, **kwargs)
        if point.moment == "after":
            spring(point, (args, kwargs, result))
        return result

    return pass_by


def spring(point: Point, seen: object) -> None:
    """Die, or stand still, if the point is armed for an order that is among what is seen here."""
    for armed in (FOLDER / "armed").glob(f"{point.name}@*"):
        key = armed.name.partition("@")[2]
        if comes_to(point, key, seen):
            reached = FOLDER / "reached" / armed.name
            try:
                action = armed.read_text()
                if action != "poison":
                    armed.unlink()  # only one of several threads and processes can
            except FileNotFoundError:
                continue
            unfinished = reached.with_name(f".{armed.name}")
            unfinished.write_text(json.dumps(see_what_is_left(key)))
            unfinished.rename(reached)
            if action in ("kill", "poison"):
                os.kill(os.getpid(), signal.SIGKILL)
            stand_still(reached)


def comes_to(point: Point, key: str, seen: object) -> bool:
    """Whether the order is at the point. Beat knows no orders, and deliveries are planned of many at once."""
    if point.name == "event.planned":
        return Delivery.objects.filter(order__checkout_key=key).exists()
    return point.process == "beat" or is_about(key, seen)


def is_about(key: str, seen: object) -> bool:
    words = repr(seen)
    codes = ORDER_CODE.findall(words)
    return (
        f"'{key}'" in words or Order.objects.filter(code__in=codes, checkout_key=key).exists()
    )  # in the transaction that is open here


def see_what_is_left(key: str) -> Left:
    """Read what everybody else sees, over connections of our own."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as shop:
        row = shop.execute(LEFT, [key]).fetchone()
    if row is None:
        return NOTHING
    code, order, payment, stock, refund = row
    with psycopg.connect(os.environ["SANDBOX_DATABASE_URL"]) as provider:
        (intents,) = provider.execute(INTENTS, [code]).fetchone() or (None,)
        (given_back,) = provider.execute(REFUNDS, [code]).fetchone() or (None,)
    return Left(order, payment, stock, intents, refund, given_back)


def stand_still(reached: Path) -> None:
    deadline = time.monotonic() + PAUSE_AT_MOST
    while reached.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
