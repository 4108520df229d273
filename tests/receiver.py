"""Somebody who is told of events: keeps what was sent, and answers as a test wants."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from lab.simulation import receiver
from lab.simulation.receiver import Received, Reply, serve


class Receiver(receiver.Receiver):
    """What it was sent is in `requests`, what it took of that in `taken`."""

    def __init__(self) -> None:
        super().__init__(self._keep)
        self.requests: list[Received] = []
        self.taken: list[Received] = []
        self.status = 204
        self.statuses: dict[str, int] = {}  # by the event's id
        self.headers: dict[str, str] = {}
        self.answer = b""
        self.pause = 0.0  # seconds before each answer
        self.look: Callable[[], bool] | None = None  # what a test wants to see before each answer
        self.seen: list[bool] = []

    @property
    def ids(self) -> list[str]:
        return [request.id for request in self.requests]

    def _keep(self, request: Received) -> Reply:
        self.requests.append(request)
        time.sleep(self.pause)
        if self.look:
            self.seen.append(self.look())
        status = self.statuses.get(request.headers.get("webhook-id", ""), self.status)
        if status < HTTPStatus.MULTIPLE_CHOICES:
            self.taken.append(request)
        return Reply(status, self.headers, self.answer)


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    running = Receiver()
    with serve(running):
        yield running
