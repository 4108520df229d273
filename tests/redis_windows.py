"""Reads the windows that rate_limit keeps in Redis, and makes what is counted there older."""

from django.conf import settings
from django_redis import get_redis_connection


def key_of(subject: str) -> str:
    return f"{settings.REDIS_PREFIX}limit:{subject}"


def move_back(subject: str, thing: str, *, seconds: float) -> None:
    """Make the thing look as if it had been counted that many seconds earlier."""
    get_redis_connection().zincrby(key_of(subject), -seconds, thing)


def read_time(subject: str, thing: str) -> float | None:
    """When it was counted, by the clock of Redis."""
    time: float | None = get_redis_connection().zscore(key_of(subject), thing)
    return time


def find_keys(subject: str) -> set[str]:
    """All keys that Redis keeps for a subject."""
    return {key.decode() for key in get_redis_connection().scan_iter(f"{key_of(subject)}*")}


def read_lifetime(subject: str) -> int:
    """The seconds until Redis forgets the subject; below zero: it never does."""
    seconds: int = get_redis_connection().ttl(key_of(subject))
    return seconds
