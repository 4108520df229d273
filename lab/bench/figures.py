"""The figures of a run: each a value a round, with its median, its spread, and its ratios within the rounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple


class Name(NamedTuple):
    """What is measured: where, and what of it."""

    case: str  # such as "many products, 100 ms"
    figure: str  # such as "end to end/s"


@dataclass
class Figures:
    """The values by name and by shop, in the order in which they came."""

    values: dict[Name, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, case: str, figure: str, value: float, *, shop: str = "orderly") -> None:
        self.values.setdefault(Name(case, figure), {}).setdefault(shop, []).append(value)

    def find(self, case: str, figure: str, shop: str = "orderly") -> list[float]:
        """The values, round by round; empty where it was not measured."""
        return self.values.get(Name(case, figure), {}).get(shop, [])

    def find_ratios(self, name: Name, shop: str, against: str) -> list[float]:
        """The shop's value by the other's, in each round: what slowed the machine then slowed both."""
        return divide(self.find(*name, shop), self.find(*name, against))

    def to_json(self) -> list[dict[str, object]]:
        return [
            {**name._asdict(), "shop": shop, **summarize(values), "ratios": dict(self._list_ratios(name, shop))}
            for name, shops in self.values.items()
            for shop, values in shops.items()
        ]

    def _list_ratios(self, name: Name, shop: str) -> Iterator[tuple[str, dict[str, object]]]:
        for other in self.values[name]:
            if other != shop and (ratios := self.find_ratios(name, shop, other)):
                yield other, summarize(ratios)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the others does not exceed."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def divide(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Round by round."""
    return [value / other for value, other in zip(values, others, strict=False) if other]


def summarize(values: Sequence[float]) -> dict[str, object]:
    """The median, the least and the most."""
    return {"median": median(values), "least": min(values), "most": max(values), "values": list(values)}
