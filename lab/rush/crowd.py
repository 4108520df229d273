"""All visitors of a rush at once, and somebody else who looks at other pages: what they do, and how long they wait."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from lab.bench.load import Answer, send_load
from lab.bench.shops import Shop
from lab.bench.wire import Address, Request, make_request
from lab.rush.visitors import Step, Trouble, Visitor

CONNECTIONS = 200
OTHERS = 4  # pages a second that others look at
OTHER = "other page"
AT_THE_DOOR = ("product", "waiting")  # what deploy/nginx.conf sends to a web server of its own


@dataclass
class Crowd:
    """The visitors, and what came of their requests. Times are seconds from the first arrival."""

    shop: Shop
    visitors: list[Visitor]
    door: Address | None = None  # of the web server that answers those who wait; None: the shop's own
    steps: dict[int, Step] = field(default_factory=dict)  # by the id of its request
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # that answers took, by kind
    late: list[float] = field(default_factory=list)  # seconds after it was due that each request was sent
    answered: list[tuple[float, str]] = field(default_factory=list)
    arrived: dict[str, float] = field(default_factory=dict)  # by the name of a visitor: when its place was given
    bought: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)  # that all is sold out
    troubles: Counter[str] = field(default_factory=Counter)

    def come(self, *, seconds: float, on_tick: Callable[[float], None]) -> float:
        """Let them arrive evenly within so many seconds, and wait for all of them; return how long it took."""
        started = time.monotonic()
        outcome = send_load(
            self._arrive(seconds),
            address=self.shop.address,
            connections=CONNECTIONS,
            others=[self.door] if self.door else [],
            on_tick=lambda _: on_tick(time.monotonic() - started),
            on_answer=self._go_on,
        )
        return outcome.seconds

    @property
    def is_over(self) -> bool:
        return all(visitor.end for visitor in self.visitors)

    def _arrive(self, seconds: float) -> Iterator[Request]:
        others = self.look_elsewhere(due=0)
        for visitor in self.visitors:
            due = seconds * visitor.number / len(self.visitors)
            while others.due <= due:
                yield others
                others = self.look_elsewhere(due=others.due + 1 / OTHERS)
            yield self._send(visitor.arrive(), due)

    def look_elsewhere(self, *, due: float) -> Request:
        return Request(make_request(self.shop.url, "GET", "/"), due=due)

    def _send(self, step: Step, due: float) -> Request:
        request = Request(step.data, due=due, address=self.door if step.kind in AT_THE_DOOR else None)
        self.steps[id(request)] = step
        return request

    def _go_on(self, answer: Answer, now: float) -> Iterable[Request]:
        step = self.steps.pop(id(answer.request), None)
        kind = self._name(step, answer)
        self.seconds[kind].append(answer.seconds)
        self.late.append(answer.late)
        self.answered.append((now, kind))
        if step is None:
            return []
        following = self._follow(step, answer)
        self._note(step.visitor, now)
        return [self._send(following, now + following.pause)] if following else []

    def _follow(self, step: Step, answer: Answer) -> Step | None:
        try:
            return step.visitor.follow(step, answer)
        except Trouble as trouble:
            self.troubles[f"{step.kind}: {trouble}"] += 1
            step.visitor.end = "trouble"
            return None

    def _name(self, step: Step | None, answer: Answer) -> str:
        if step is None:
            return OTHER
        return "waiting page" if answer.status == 429 else step.kind

    def _note(self, visitor: Visitor, now: float) -> None:
        if visitor.name:
            self.arrived.setdefault(visitor.name, now)
        if visitor.end == "bought":
            self.bought.append(now)
        elif visitor.end == "sold out":
            self.told.append(now)
