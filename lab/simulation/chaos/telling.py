"""The events of a chaos run, held against what somebody was told of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import QuerySet

from events_out.event_types import find_type, list_kinds
from events_out.payloads import name_event
from lab.simulation.chaos.orders import find_orders
from orders.models import OrderEvent


class Told(NamedTuple):
    """One request. What was answered late was taken, whatever the shop thinks of it."""

    name: str
    type: str
    code: str
    at: datetime
    trouble: str = ""

    @property
    def is_taken(self) -> bool:
        return self.trouble != "refused"


def find_public_events() -> QuerySet[OrderEvent]:
    return OrderEvent.objects.filter(kind__in=list_kinds([])).select_related("order").order_by("pk")


def find_untaken(run: str, told: Sequence[Told]) -> list[OrderEvent]:
    """The events of the run's orders that were not taken."""
    taken = find_first(told)
    owed = find_public_events().filter(order__in=find_orders(run))
    return [event for event in owed if name_event(event) not in taken]


def find_first(told: Sequence[Told]) -> dict[str, Told]:
    """What was taken, by name, in the order in which it first was."""
    first: dict[str, Told] = {}
    for one in told:
        if one.is_taken:
            first.setdefault(one.name, one)
    return first


def find_telling_problems(run: str, told: Sequence[Told], *, since: int) -> Iterator[str]:
    """Say in words which events after the one with the id `since` nobody was told of, and what was told wrongly."""
    for event in find_untaken(run, told):
        yield f"{name_event(event)}: nobody was told of {find_type(event.kind)} of {event.order.code}"
    happened = _find_since(since)
    for one in told:
        fact = happened.get(one.name)
        if fact is None or (find_type(fact.kind), fact.order.code) != (one.type, one.code):
            yield f"{one.name}: {one.type} of {one.code} was told, and did not happen"
    yield from _find_overtaken(find_first(told), happened)


def count_told(told: Sequence[Told], *, since: int, well_at: datetime) -> dict[str, float]:
    """Events that were sent, how often again, what trouble was made, and how long the last strike was felt."""
    first, happened = find_first(told), _find_since(since)
    waits = [one.at - max(happened[name].created_at, well_at) for name, one in first.items() if name in happened]
    longest = max([timedelta(), *waits])
    troubles = Counter(one.trouble for one in told if one.trouble)
    return {
        "sent": len(first),
        "repeated": sum(one.is_taken for one in told) - len(first),
        "troubles": troubles.total(),
        "longest_wait_after_strikes": round(longest / timedelta(seconds=1), 2),
    }


def _find_since(since: int) -> Mapping[str, OrderEvent]:
    return {name_event(event): event for event in find_public_events().filter(pk__gt=since)}


def _find_overtaken(first: Mapping[str, Told], happened: Mapping[str, OrderEvent]) -> Iterator[str]:
    latest: dict[str, OrderEvent] = {}  # by the order's code
    for name, one in first.items():
        if event := happened.get(name):
            before = latest.setdefault(one.code, event)
            if event.pk < before.pk:
                yield f"{name}: {one.type} of {one.code} was told after {name_event(before)}"
            else:
                latest[one.code] = event
