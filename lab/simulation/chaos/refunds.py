"""The staff in a chaos run who give money back, and what they know of it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from threading import Event
from typing import NamedTuple

from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.orders import find_orders, find_refunds
from orders.models import Order, OrderLine
from orders.refunds import Returned, count_returnable, refund_order
from payments.refund_models import Refund
from payments.refunds import NotRefundable, find_next_number

PAUSE = (0.1, 0.5)  # seconds between two refunds
LATEST = 20  # one of so many confirmed orders is refunded, so that some are refunded several times


class Wish(NamedTuple):
    """What is to be refunded: units of one line, or a penny. It is asked for until that is answered."""

    code: str
    number: int
    line: OrderLine
    units: int
    restock: bool


class RefundDesk:
    """Refunds units of confirmed orders, or a penny of them, until told to stop."""

    def __init__(self, *, run: str, crowd: Crowd, stopping: Event) -> None:
        self.refunded: dict[str, int] = {}  # minor units, by the key of the refund
        self.returned: Counter[str] = Counter()  # units by SKU that go back to stock
        self._run, self._crowd, self._stopping = run, crowd, stopping

    def work(self) -> None:
        random = Random(self._run)  # noqa: S311
        while not self._stopping.wait(random.uniform(*PAUSE)):
            self._refund_one(random)

    def find_problems(self) -> Iterator[str]:
        """Say in words which refunds are not as they were asked for."""
        known = find_refunds(self._run)
        asked = {refund.key: refund.amount for refund in known}
        yield from (
            f"{key}: {self.refunded.get(key)} was asked for, the shop has {asked.get(key)}"
            for key in self.refunded.keys() | asked.keys()
            if self.refunded.get(key) != asked.get(key)
        )
        yield from (f"not refunded: {refund}, {refund.last_error}" for refund in known if not is_given(refund))

    def _refund_one(self, random: Random) -> None:
        wishes: list[Wish | None] = []
        self._crowd.persist(lambda: wishes.append(self._make_wish(random)))
        for wish in filter(None, wishes):
            for _ in range(random.choice([1, 1, 2])):
                self._ask(wish)

    def _make_wish(self, random: Random) -> Wish | None:
        confirmed = list(find_orders(self._run).filter(status=Order.Status.CONFIRMED).order_by("-pk")[:LATEST])
        if not confirmed:
            return None
        order = random.choice(confirmed)
        line, returnable = random.choice(order.cached_lines), count_returnable(order)
        units = random.randint(0, returnable[line.pk])
        return Wish(order.code, find_next_number(order.payment), line, units, restock=random.random() < 0.7)

    def _ask(self, wish: Wish) -> None:
        made: list[Refund] = []
        with suppress(NotRefundable):  # too little is left
            self._crowd.persist(lambda: made.append(refund(wish)))
        for one in made:
            if one.key not in self.refunded:
                self.refunded[one.key] = one.amount
                self.returned[wish.line.sku] += wish.units * wish.restock


def refund(wish: Wish) -> Refund:
    """The same wish again changes nothing."""
    lines = [Returned(wish.line.pk, wish.units, wish.restock)] if wish.units else []
    return refund_order(code=wish.code, number=wish.number, lines=lines, amount=None if lines else 1)[0]


def is_given(refund: Refund) -> bool:
    return refund.status == Refund.Status.SUCCEEDED and refund.recorded_at is not None
