"""Matches what customers brought back with what they had bought: a cancellation does not name its sale."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple


class NotMatched(Exception):
    """No sale is found for a line of a cancellation. The reason is a stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Bought(NamedTuple):
    """Units of a product at a price, as a line of an invoice has them."""

    sku: str
    quantity: int
    price: Decimal | None


class Return(NamedTuple):
    """Units that come back of one sale: the `number`-th time that any of it comes back."""

    sale: str
    number: int
    quantities: dict[str, int]  # by SKU


@dataclass
class Lot:
    """Units of one sale that were not brought back yet."""

    sale: str
    price: Decimal | None
    left: int


@dataclass(kw_only=True)
class Sales:
    """What each customer has bought and not brought back. The same invoices give the same returns again."""

    lots: defaultdict[tuple[str, str], list[Lot]] = field(default_factory=lambda: defaultdict(list))
    returned: Counter[str] = field(default_factory=Counter)  # how often anything came back, by sale
    unmatched: Counter[str] = field(default_factory=Counter)  # lines of cancellations, by reason

    def add(self, *, customer: str, sale: str, bought: Bought) -> None:
        self.lots[customer, bought.sku].append(Lot(sale, bought.price, bought.quantity))

    def match(self, *, customer: str | None, lines: list[Bought]) -> list[Return]:
        """The returns of a cancellation, one for each sale that it undoes in part. What matches nothing is counted."""
        quantities: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for line in lines:
            try:
                for sale, units in self._take(customer, line).items():
                    quantities[sale][line.sku] += units
            except NotMatched as error:
                self.unmatched[error.reason] += 1
        self.returned.update(quantities.keys())
        return [Return(sale, self.returned[sale], dict(units)) for sale, units in quantities.items()]

    def _take(self, customer: str | None, line: Bought) -> Counter[str]:
        """The line's units by sale: the latest sales of the product at that price. Raises NotMatched, taking none."""
        if customer is None:
            raise NotMatched("no_customer")
        unreturned = [lot for lot in self.lots.get((customer, line.sku), []) if lot.left]
        if not unreturned:
            raise NotMatched("no_sale")
        alike = [lot for lot in unreturned if lot.price == line.price]
        if not alike:
            raise NotMatched("other_price")
        if sum(lot.left for lot in alike) < line.quantity:
            raise NotMatched("more_than_sold")
        return _take_latest(alike, line.quantity)


def _take_latest(lots: list[Lot], quantity: int) -> Counter[str]:
    taken: Counter[str] = Counter()
    for lot in reversed(lots):
        units = min(lot.left, quantity)
        if units:
            lot.left -= units
            quantity -= units
            taken[lot.sale] += units
    return taken
