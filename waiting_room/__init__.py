"""A waiting room in Redis: a fair queue, and those who were let in. It knows visitors and rooms by name alone."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django_redis import get_redis_connection

from waiting_room.scripts import ASK, CLAIM, SET_PACE, USE_UP

SOONEST, LATEST = 5, 60  # seconds between two questions of one visitor, unless so many wait that they ask too often
MOST_QUESTIONS = 200  # a second, of all who are far back: a core can answer some more
MEASURE_EVERY = 1  # seconds
MEASURE_LEASE = 10  # seconds; then somebody else measures: whoever was to do it may be dead
PARTS = ("queue", "leaving", "inside", "called", "claims", "room")


class NoWaitingRoom(Exception):
    """The shop has no Redis, so there is no queue either."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """How a visitor stands. One who is not let in and has no place is told that all is sold out."""

    is_let_in: bool
    number: int = 0  # in the queue, from 1; 0: not in it
    wait: int = 0  # seconds; 0: nobody knows
    pause: int = 1000 * SOONEST  # milliseconds until the next question
    measures: bool = False  # whether this visitor's request is to measure the pace now

    @property
    def ask_again(self) -> int:
        """Seconds until the next question, for whoever counts no smaller ones."""
        return -(-self.pause // 1000)

    @property
    def is_sold_out(self) -> bool:
        return not self.is_let_in and not self.number


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Who is in a room, and how many a second are let in."""

    waiting: int
    inside: int
    pace: float


def ask(room: str, *, visitor: str, is_page: bool) -> Place:
    """Take a place at the end of the queue, or keep the one there is, and say how it stands.

    Everybody whose turn it is by now is let in, in the order of their arrival. A visitor who does not ask for
    WAITING_ROOM_PATIENCE seconds, or for three times the pause that was last named, loses the place. Where all is sold
    out nobody gets a place. Then requests for a page still pass, as often as the pace allows: the page says it better.
    Raises RedisError or NoWaitingRoom.
    """
    is_let_in, number, wait, pause, measures = _run(
        ASK,
        room,
        PARTS,
        visitor,
        int(is_page),
        settings.WAITING_ROOM_LEAST,
        settings.WAITING_ROOM_INSIDE,
        settings.WAITING_ROOM_WINDOW,
        settings.WAITING_ROOM_PATIENCE,
        SOONEST,
        LATEST,
        MOST_QUESTIONS,
        MEASURE_LEASE,
    )
    return Place(is_let_in=bool(is_let_in), number=number, wait=wait, pause=pause, measures=bool(measures))


def set_pace(room: str, *, pace: float, useful: int | None = None) -> None:
    """Let in so many a second from now on, and have no more inside than are useful there; None: WAITING_ROOM_INSIDE.

    0: all is sold out, so the queue is emptied.
    """
    _run(SET_PACE, room, ("queue", "leaving", "room"), pace, "" if useful is None else useful, MEASURE_EVERY)


def claim_turn(room: str, *, visitor: str, checkout_key: str) -> bool:
    """Whether the visitor's turn is this checkout's. It is the first one's that claims it within the window.

    A turn that is claimed is not given to another checkout, so a copy of the visitor's token is worth nothing then.
    """
    return bool(_run(CLAIM, room, ("inside", "called", "claims"), visitor, checkout_key))


def use_turn_up(room: str, *, visitor: str, checkout_key: str) -> None:
    """The visitor is let out, unless the turn is another checkout's."""
    _run(USE_UP, room, ("inside", "called", "claims"), visitor, checkout_key)


def count_crowds(rooms: Collection[str]) -> dict[str, Crowd]:
    """Who is in each room. Raises RedisError or NoWaitingRoom."""
    pipeline = _redis().pipeline(transaction=False)
    for room in rooms:
        pipeline.zcard(_key(room, "queue"))
        pipeline.zcard(_key(room, "inside"))
        pipeline.hget(_key(room, "room"), "pace")
    answers = iter(pipeline.execute())
    return {
        room: Crowd(waiting=waiting, inside=inside, pace=float(pace or settings.WAITING_ROOM_LEAST))
        for room, waiting, inside, pace in zip(rooms, answers, answers, answers, strict=True)
    }


def _run(script: str, room: str, parts: Collection[str], *arguments: object) -> Any:
    return _redis().eval(script, len(parts), *(_key(room, part) for part in parts), *arguments)


def _redis() -> Any:
    if not settings.REDIS_URL:
        raise NoWaitingRoom("REDIS_URL is not set")
    return get_redis_connection()


def _key(room: str, part: str) -> str:
    return f"{settings.REDIS_PREFIX}waiting:{room}:{part}"
