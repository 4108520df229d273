"""Counts how often somebody did something lately, in sliding windows: sorted sets in Redis, of things by their time.

A shop without Redis counts nothing, so that no limit is ever reached.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings
from django_redis import get_redis_connection

# Counts the thing in all windows or in none: if the second window is full, the first must not lose room. The clock is
# Redis's own, so that no web server's clock is ahead. Answers with the seconds until every window has room again, or 0.
# The thing may be counted already. Then this caller holds it, too. Another key, which lives at least as long, counts
# such callers.
TAKE = """
local time, seconds, wait = redis.call('TIME'), tonumber(ARGV[2]), 0
local now = time[1] + time[2] / 1000000
for i, key in ipairs(KEYS) do
    local max_count = tonumber(ARGV[i + 2])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - seconds)
    local done = redis.call('ZCARD', key)
    if max_count > 0 and done >= max_count and not redis.call('ZSCORE', key, ARGV[1]) then
        local first = redis.call('ZRANGE', key, done - max_count, done - max_count, 'WITHSCORES')[2]
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

# Uncounts the thing once nobody else holds it, which is when the number of other holders falls below zero.
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
    """How many things a subject may do within the window; 0: any number."""

    subject: str
    max_count: int


class LimitReached(Exception):
    """The subject has done as much as it may. After `retry_after` seconds there is room again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"again in {retry_after} seconds")
        self.retry_after = retry_after


def count_minutes(seconds: int) -> int:
    """How long people are told to wait: whole minutes, rounded up."""
    return -(-seconds // 60)


def take_turn(limits: Sequence[Limit], *, thing: str, seconds: int) -> None:
    """Count a thing under every limit. If one of them is reached, count it under none and raise LimitReached.

    A thing that is counted already is not counted again and never refused, but its new turn has to be given back, too.
    Raises RedisError if Redis does not answer.
    """
    if not settings.REDIS_URL:
        return
    keys = [_key(limit.subject) for limit in limits]
    wait = _redis().eval(TAKE, len(keys), *keys, thing, seconds, *(limit.max_count for limit in limits))
    if wait:
        raise LimitReached(wait)


def give_turn_back(subjects: Iterable[str], *, thing: str) -> None:
    """Give back one turn of the thing. Once all its turns are given back, it is not counted. Raises RedisError."""
    if not settings.REDIS_URL:
        return
    keys = [_key(subject) for subject in subjects]
    _redis().eval(GIVE_BACK, len(keys), *keys, thing)


def read_turns(subjects: Iterable[str], *, seconds: int) -> dict[str, dict[str, float]]:
    """Return, for each subject, the things in its window with the seconds until each leaves it. Raises RedisError."""
    subjects = list(subjects)
    if not settings.REDIS_URL:
        return {subject: {} for subject in subjects}
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
    """Return what stands for the customer behind an IP address: an IPv4 address itself, of an IPv6 address its /64.

    A customer has at least a whole /64.

    https://www.ripe.net/publications/docs/ripe-690/#4-size-of-end-user-prefix-assignment
    """
    address = ip_address(ip)
    return str(IPv6Network((int(address), 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def _redis() -> Any:
    return get_redis_connection()


def _key(subject: str) -> str:
    return f"{settings.REDIS_PREFIX}limit:{subject}"
