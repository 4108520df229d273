"""Somebody who is told of a chaos run's events by webhooks, and who refuses some, or answers late."""

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event, Lock

from django.conf import settings
from django.db.models.functions import Now
from standardwebhooks import WebhookVerificationError

from events_out.deliveries import LEASE
from events_out.endpoints import create_endpoint, switch_off
from events_out.event_types import TYPES
from events_out.models import Delivery
from lab.simulation.chaos.crowd import Crowd
from lab.simulation.chaos.methods import pick
from lab.simulation.chaos.telling import Told, count_told, find_telling_problems, find_untaken
from lab.simulation.receiver import Received, Receiver, Reply, serve

PAUSE = (1.0, 5.0)  # seconds from an event that was taken after a trouble to the next trouble
TROUBLES = {"refused": 50, "late": 25, "too late": 25}  # out of 100
LATE = 1.0  # seconds; what is too late is answered so long after the shop's timeout
EVERY = 1.0  # seconds


class EventDesk:
    """Is told of events until told to close. Until told to stop, it makes trouble now and then, by the seed."""

    def __init__(self, *, run: str, seed: int, crowd: Crowd, stopping: Event, closing: Event) -> None:
        self.told: list[Told] = []
        self._forged: list[str] = []
        self._run, self._crowd, self._stopping, self._closing = run, crowd, stopping, closing
        self._random, self._lock = Random(seed), Lock()  # noqa: S311
        self._trouble_at = math.inf

    def open(self) -> None:
        """Have it told of all that happens from now on. It answers once it is at work."""
        self._receiver = Receiver(self._take)
        self._endpoint = create_endpoint(name=self._run, url=self._receiver.url, types=list(TYPES))

    def work(self) -> None:
        with serve(self._receiver):
            while not self._closing.wait(EVERY):
                if self._stopping.is_set():
                    self._crowd.persist(self._shorten_pauses)
        self._crowd.persist(lambda: switch_off(pk=self._endpoint.pk))

    def is_settled(self) -> bool:
        """Whether every event of the run's orders was taken."""
        untaken: list[object] = []
        is_read = self._crowd.persist(lambda: untaken.extend(find_untaken(self._run, self.told.copy())))
        return is_read and not untaken

    def find_problems(self) -> Iterator[str]:
        """Say in words which events were not told, were told in another order, or were told and did not happen."""
        yield from self._forged
        yield from find_telling_problems(self._run, self.told, since=self._endpoint.planned_through)

    def count(self, well_at: datetime) -> dict[str, float]:
        """What was told, and how long it took at most after `well_at`."""
        return count_told(self.told, since=self._endpoint.planned_through, well_at=well_at)

    def _shorten_pauses(self) -> None:
        """A third try comes after five minutes, too long for a run. What a worker has claimed stays its own."""
        claimed = timedelta(seconds=settings.WEBHOOK_TIMEOUT + LEASE)
        later = Delivery.objects.waiting().filter(endpoint=self._endpoint, deliver_after__gt=Now() + claimed)
        later.update(deliver_after=Now())

    def _take(self, request: Received) -> Reply:
        try:
            event = request.verify(self._endpoint.secret)
        except WebhookVerificationError as error:
            self._forged.append(f"{request.id}: {error}")
            return Reply(400)
        with self._lock:
            trouble = self._choose_trouble()
            code = event["data"]["order"]["code"]
            self.told.append(Told(event["id"], event["type"], code, datetime.now(UTC), trouble))
        if "late" in trouble:
            self._closing.wait(LATE + (settings.WEBHOOK_TIMEOUT if trouble == "too late" else 0))
        return Reply(500 if trouble == "refused" else 204)

    def _choose_trouble(self) -> str:
        """Never two in a row: each failure doubles the time for which the shop leaves an endpoint alone."""
        if self._stopping.is_set():
            return ""
        if time.monotonic() >= self._trouble_at:
            self._trouble_at = math.inf
            return pick(TROUBLES, self._random)
        if self._trouble_at == math.inf:
            self._trouble_at = time.monotonic() + self._random.uniform(*PAUSE)
        return ""
