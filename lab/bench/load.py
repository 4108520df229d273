"""The load: requests that are due at times of their own, sent over kept connections by one thread."""

import selectors
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import chain, count

from lab.bench.figures import quantile
from lab.bench.wire import CLOSES, Address, Connection, Request

TICK = 0.25  # seconds
TRIES = 3  # a kept connection may be closed just when a request is sent on it
GIVE_UP = 60.0  # seconds without any answer


@dataclass(frozen=True, slots=True)
class Answer:
    """`seconds` counts from when the request was due, not from when there was a connection for it.

    `late` of them had passed when it was sent: the load generator was busy, or all connections were.
    """

    request: Request
    status: int  # 0: none came
    seconds: float
    late: float
    head: bytes
    body: bytes


@dataclass
class Outcome:
    """What came back, and the seconds that it took; `cpu` is the generator's own, in seconds."""

    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0

    def count(self, *statuses: int) -> int:
        return sum(answer.status in statuses for answer in self.answers)

    def require(self, *statuses: int) -> "Outcome":
        """Itself, if there is no other status. Raises UnexpectedAnswer."""
        for answer in self.answers:
            if answer.status not in statuses:
                raise UnexpectedAnswer(f"{answer.status} {answer.body[:200]!r} to {answer.request.data[:60]!r}")
        return self

    def quantile(self, share: float) -> float:
        """The seconds within which this share of the requests was answered."""
        return quantile([answer.seconds for answer in self.answers], share)


class UnexpectedAnswer(Exception):
    """The shop answered what makes the figures meaningless, such as an error."""


class ServerSilent(Exception):
    """Nothing was answered for a minute."""


def send_load(
    requests: Iterable[Request],
    *,
    address: Address,
    connections: int,
    others: Collection[Address] = (),
    on_tick: Callable[[int], None] = lambda answered: None,
    on_answer: Callable[[Answer, float], Iterable[Request]] = lambda answer, now: (),
    at_most: float = 1e9,
) -> Outcome:
    """Send the requests, in the order in which they are due, over at most so many connections; wait for the answers.

    Requests with an address of their own, one of `others`, have as many connections to it.

    Those that are all due at 0 keep every connection busy: that finds what the shop can do. Those with times of their
    own find how long people wait: a slow answer delays nobody else, and a request without a connection is late already.
    `on_answer` returns what follows from an answer that has come now: requests with times of their own.
    After `at_most` seconds no more are sent. Raises ServerSilent.
    """
    return _Sending(iter(requests), [address, *others], connections, on_tick, on_answer, at_most).run()


class _Sending:
    def __init__(
        self,
        requests: Iterator[Request],
        addresses: Sequence[Address],
        connections: int,
        on_tick: Callable[[int], None],
        on_answer: Callable[[Answer, float], Iterable[Request]],
        at_most: float,
    ) -> None:
        self._requests, self._on_tick, self._on_answer, self._at_most = requests, on_tick, on_answer, at_most
        self._address = addresses[0]
        self._idle = {address: [Connection(address) for _ in range(connections)] for address in addresses}
        self._all: Sequence[Connection] = tuple(chain.from_iterable(self._idle.values()))
        self._busy = 0
        self._selector = selectors.DefaultSelector()
        self._waiting: list[tuple[float, int, Request]] = []  # a heap, by when they are due
        self._numbers = count()
        self._next = self._take_next()
        self._outcome = Outcome()

    def run(self) -> Outcome:
        for connection in self._all:
            self._selector.register(connection.sock, selectors.EVENT_READ, connection)
        self._started = self._answered_at = time.monotonic()
        cpu, ticked, next_tick = time.thread_time(), 0.0, 0.0
        try:
            while self._next or self._busy:
                if self._now() >= next_tick:
                    before = time.thread_time()
                    self._on_tick(len(self._outcome.answers))
                    ticked += time.thread_time() - before
                    next_tick = self._now() + TICK
                self._send_due()
                self._receive(next_tick)
        finally:
            self._selector.close()
            for connection in self._all:
                connection.sock.close()
        self._outcome.seconds = self._now()
        self._outcome.cpu = time.thread_time() - cpu - ticked
        return self._outcome

    def _now(self) -> float:
        return time.monotonic() - self._started

    def _send_due(self) -> None:
        now = self._now()
        if self._next and now > self._at_most:
            self._next = None
        while self._next and self._next.due <= now and (idle := self._find_idle(self._next)):
            connection = idle.pop()
            connection.tries, connection.late = 0, now - self._next.due
            self._busy += 1
            self._send(connection, self._next)
            self._next = self._take_next()

    def _find_idle(self, request: Request) -> list[Connection]:
        return self._idle[request.address or self._address]

    def _take_next(self) -> Request | None:
        """The request that is due next: one that was planned, or one that follows from an answer."""
        if planned := next(self._requests, None):
            self._keep(planned)
        return heappop(self._waiting)[2] if self._waiting else None

    def _keep(self, request: Request) -> None:
        heappush(self._waiting, (request.due, next(self._numbers), request))

    def _send(self, connection: Connection, request: Request) -> None:
        while connection.tries < TRIES:
            try:
                return connection.send(request)
            except OSError:
                self._reopen(connection)
        return self._finish(connection, 0, b"", b"")

    def _receive(self, next_tick: float) -> None:
        wait = next_tick - self._now()
        if self._next and self._find_idle(self._next):
            wait = min(wait, self._next.due - self._now())
        for key, _ in self._selector.select(max(wait, 0)):
            self._read(key.data)
        if time.monotonic() - self._answered_at > GIVE_UP and self._busy:
            raise ServerSilent(f"No answer for {GIVE_UP:g} seconds")

    def _read(self, connection: Connection) -> None:
        try:
            answer = connection.receive()
        except OSError:
            self._reopen(connection)
            if connection.request:  # the key in it makes the repeat the same order
                self._send(connection, connection.request)
            return
        if answer and connection.request:
            if CLOSES.search(answer[1]):
                self._reopen(connection)
            self._finish(connection, *answer)

    def _finish(self, connection: Connection, status: int, head: bytes, body: bytes) -> None:
        request, connection.request = connection.request, None
        self._answered_at = time.monotonic()
        if request:
            answer = Answer(request, status, self._now() - request.due, connection.late, head, body)
            self._outcome.answers.append(answer)
            self._find_idle(request).append(connection)
            self._busy -= 1
            self._follow(answer)

    def _follow(self, answer: Answer) -> None:
        for request in self._on_answer(answer, self._now()):
            if self._now() <= self._at_most:
                self._keep(request)
        if self._waiting:  # one of them may be due before the one that was next
            if self._next:
                self._keep(self._next)
            self._next = heappop(self._waiting)[2]

    def _reopen(self, connection: Connection) -> None:
        self._selector.unregister(connection.sock)
        connection.sock.close()
        connection.open()
        self._selector.register(connection.sock, selectors.EVENT_READ, connection)
