"""Customers with cards of every kind, who buy the same product at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from tests.crash.drill import DECLINED, DROPPED, SLOW, VISA, Drill, Purchase
from tests.crash.stories import PAID, REFUSED, finish

HANGING = "pm_sandbox_hang"
ENDS = {VISA: PAID, DECLINED: REFUSED, SLOW: PAID, DROPPED: PAID, HANGING: PAID}
FROZEN_FOR = 6  # seconds: longer than anybody waits for the provider or the broker


class Crowd:
    """One customer for each way to pay, all of the same product."""

    def __init__(self, drill: Drill) -> None:
        self.sku = uuid4().hex
        self._drill = drill
        self.purchases = [Purchase(self.sku, method) for method in ENDS]
        drill.stock([self.sku])

    def buy(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Let all customers buy at once, each until there is an answer, and call `meanwhile` at the same time."""
        with ThreadPoolExecutor() as pool:
            answers = [pool.submit(self._drill.insist, purchase) for purchase in self.purchases]
            meanwhile()
            for answer in answers:
                answer.result()

    def assert_all_is_well(self) -> None:
        """Every order ends as its card says, however long it takes, and the audit agrees."""
        with ThreadPoolExecutor() as pool:
            outcomes = list(pool.map(lambda purchase: finish(self._drill, purchase), self.purchases))
        for purchase, outcome in zip(self.purchases, outcomes, strict=True):
            end = ENDS[purchase.payment_method]
            assert (outcome.end, outcome.charges) == (end, end == PAID)
            assert outcome.repeated == (200, outcome.code)
        paid = sum(outcome.end == PAID for outcome in outcomes)
        assert self._drill.stock_of(self.sku) == (10 - paid, 0)
        assert self._drill.audit() == []
