"""How often somebody did something lately: sliding windows in Redis, each a sorted set of what was done and when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings
from django_redis import get_redis_connection

# All windows or none: what the second refuses must not use up the first. The clock is Redis's own: of several web
# servers none is ahead. Answers with the seconds until the fullest window has room again, 0 if all have. Who finds the
# thing counted already holds it too: those are counted in a key of their own, which lives at least as long.
TAKE = """
local time, seconds, wait = redis.call('TIME'), tonumber(ARGV[2]), 0
local now = time[1] + time[2] / 1000000
for i, key in ipairs(KEYS) do
    local most = tonumber(ARGV[i + 2])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - seconds)
    local done = redis.call('ZCARD', key)
    if most > 0 and done >= most and not redis.call('ZSCORE', key, ARGV[1]) then
        local first = redis.call('ZRANGE', key, done - most, done - most, 'WITHSCORES')[2]
        wait = math.max(wait, 1, math.ceil(first + seconds - now))
    end
end
if wait == 0 then
    for _, key in ipairs(KEYS) do
        if redis.call('ZADD', key, 'NX', now, ARGV[1]) == 0 then
            local others = key .. ':others:' .. ARGV[1]
            redis.call('INCR', others)
            redis.call('EXPIRE', others, math.ceil(seconds))
        end
        redis.call('EXPIRE', key, math.ceil(seconds))
    end
end
return wait
"""

# Below zero: nobody else holds it.
GIVE_BACK = """
for _, key in ipairs(KEYS) do
    local others = key .. ':others:' .. ARGV[1]
    local left = redis.call('DECR', others)
    if left <= 0 then redis.call('DEL', others) end
    if left < 0 then redis.call('ZREM', key, ARGV[1]) end
end
"""


@dataclass(frozen=True)
class Limit:
    """Who may do so many things within the window; 0: any number."""

    subject: str
    most: int


class LimitReached(Exception):
    """Too often for now; after `retry_after` seconds there is room again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"again in {retry_after} seconds")
        self.retry_after = retry_after


def count_minutes(seconds: int) -> int:
    """As people are told to wait: whole minutes, rounded up."""
    return -(-seconds // 60)


def take_turn(limits: Sequence[Limit], *, thing: str, seconds: int) -> None:
    """Count a thing under every limit, or under none and raise LimitReached.

    The same thing again counts once and is never refused, but is another turn to give back. Raises RedisError where
    Redis does not answer.
    """
    keys = [_key(limit.subject) for limit in limits]
    wait = _redis().eval(TAKE, len(keys), *keys, thing, seconds, *(limit.most for limit in limits))
    if wait:
        raise LimitReached(wait)


def give_turn_back(subjects: Iterable[str], *, thing: str) -> None:
    """Give back one of the turns that were taken for the thing; without any it counts no longer. Raises RedisError."""
    keys = [_key(subject) for subject in subjects]
    _redis().eval(GIVE_BACK, len(keys), *keys, thing)


def read_turns(subjects: Iterable[str], *, seconds: int) -> dict[str, dict[str, float]]:
    """For each subject the things of its window, each with the seconds until it leaves. Raises RedisError."""
    subjects = list(subjects)
    pipeline = _redis().pipeline(transaction=False)
    pipeline.time()
    for subject in subjects:
        pipeline.zrange(_key(subject), 0, -1, withscores=True)
    (whole, millionths), *windows = pipeline.execute()
    now = whole + millionths / 1_000_000
    return {
        subject: {thing.decode(): done + seconds - now for thing, done in window if done + seconds > now}
        for subject, window in zip(subjects, windows, strict=True)
    }


def find_network(ip: str) -> str:
    """Who is behind an IP address: of IPv4 itself; of IPv6 the /64, for one customer has at least that many.

    https://www.ripe.net/publications/docs/ripe-690/#4-size-of-end-user-prefix-assignment
    """
    address = ip_address(ip)
    return str(IPv6Network((int(address), 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def _redis() -> Any:
    return get_redis_connection()


def _key(subject: str) -> str:
    return f"{settings.REDIS_PREFIX}limit:{subject}"
