"""Opens and closes waiting rooms, and lets time pass in them."""

from django.conf import settings
from django_redis import get_redis_connection

from waiting_room import PARTS, ask, set_pace

BATCHES = 4  # a second: so many can be let in at once
FAR = 10_000_000_000  # a time that no clock shows for long


def close_door(room: str) -> None:
    """Let nobody in from now on, whatever the shop could do."""
    set_pace(room, pace=0)
    get_redis_connection().hset(key_of(room, "room"), "measure_at", FAR)


def let_in(room: str, count: int, *, by: str) -> None:
    """Let in so many, by a question of somebody who waits; then close the door again."""
    set_pace(room, pace=BATCHES * count)
    get_redis_connection().hset(key_of(room, "room"), mapping={"allowance": count, "measure_at": FAR})
    ask(room, visitor=by, is_page=True)
    close_door(room)


def pass_time(room: str, *, seconds: float) -> None:
    """Make all that Redis wrote down of the room's visitors so much older."""
    redis = get_redis_connection()
    for part in ("leaving", "inside"):
        for visitor in redis.zrange(key_of(room, part), 0, -1):
            redis.zincrby(key_of(room, part), -seconds, visitor)


def read_queue(room: str) -> list[str]:
    return [visitor.decode() for visitor in get_redis_connection().zrange(key_of(room, "queue"), 0, -1)]


def read_inside(room: str) -> set[str]:
    return {visitor.decode() for visitor in get_redis_connection().zrange(key_of(room, "inside"), 0, -1)}


def empty_rooms(*rooms: str) -> None:
    for room in rooms:
        get_redis_connection().delete(*(key_of(room, part) for part in PARTS))


def key_of(room: str, part: str) -> str:
    return f"{settings.REDIS_PREFIX}waiting:{room}:{part}"
