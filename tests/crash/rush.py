"""People buy while something befalls the shop: no order that was answered is lost, and how long they had to wait."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from random import sample
from typing import Any
from uuid import uuid4

from tests.crash.drill import SLOW, VISA, Drill, Purchase, accepted
from tests.waiting import wait_for

NEXT = """
SELECT extract(epoch FROM min(finalized_at)) FROM orders_order
WHERE checkout_key = ANY(%s) AND created_at > to_timestamp(%s)
"""
LONGEST = "SELECT extract(epoch FROM max(finalized_at - created_at)) FROM orders_order WHERE checkout_key = ANY(%s)"
STATUSES = "SELECT array_agg(DISTINCT status) FROM orders_order WHERE code = ANY(%s)"


def buy_amid(strike: Callable[[], None], shops: Sequence[Drill], *, orders: int) -> None:
    """Let people buy at any of the shop's web servers, and strike when half of the orders are placed.

    Every order that was answered has to end paid, once, and nobody makes time pass. Prints how long it took.
    """
    drill, sku = shops[0], uuid4().hex
    drill.stock([sku], units=orders)
    purchases = [Purchase(sku, (VISA, SLOW)[number % 2]) for number in range(orders)]
    before, after = purchases[: orders // 2], purchases[orders // 2 :]
    with ThreadPoolExecutor(8) as customers:
        answered = list(customers.map(partial(insist, shops), before))
        late = [customers.submit(insist, shops, purchase) for purchase in after]
        struck = time.time()
        strike()
        answered += [waiting.result() for waiting in late]
    for purchase in purchases:
        drill.wait_until_final(purchase)

    keys = [purchase.key for purchase in purchases]
    next_final = float(drill.query(NEXT, keys, struck)) - struck
    print(f"The next order was final after {next_final:.1f} s.", end=" ")
    print(f"The longest took {drill.query(LONGEST, keys):.1f} s.")
    assert len(set(answered)) == orders
    assert drill.query(STATUSES, answered) == ["CONFIRMED"]
    assert {drill.count_charges(code) for code in answered} == {1}
    assert drill.stock_of(sku) == (0, 0)
    assert drill.audit() == []


def insist(shops: Sequence[Drill], purchase: Purchase) -> str:
    """Repeat the request, at one web server after the other, until it is answered. Return the order's code."""
    turns = cycle(sample(shops, len(shops)))
    answer: tuple[int, dict[str, Any]] = wait_for(lambda: accepted(next(turns).ask(purchase)), f"{purchase}")
    return str(answer[1]["code"])
