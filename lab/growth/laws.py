"""The laws of queues that the model needs. Rates are a second, times in seconds."""

from math import inf


def capacity(*, seconds: float, servers: float) -> float:
    """The most a second that so many servers can do, if each is held for so long: the law of utilisation, at 1."""
    return servers / seconds if seconds else inf


def in_progress(*, rate: float, seconds: float) -> float:
    """How many are inside at a time, if each stays so long (Little's law)."""
    return rate * seconds


def chance_to_wait(*, rate: float, seconds: float, servers: int) -> float:
    """Erlang's C: the share of those who come by chance and find every server held."""
    load = rate * seconds
    if load >= servers:
        return 1.0
    blocked = 1.0  # Erlang's B, by its recursion: factorials of 48 would lose all their digits
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def mean_wait(*, rate: float, seconds: float, servers: int, variation: float = 1.0) -> float:
    """Mean seconds before a server is free, in a queue M/G/c, as Allen and Cunneen estimate it.

    `variation` is the standard deviation of the service by its mean: 0 if it always takes as long, 1 for M/M/c.
    """
    free = servers / seconds - rate
    if free <= 0:
        return inf
    chance = chance_to_wait(rate=rate, seconds=seconds, servers=servers)
    return chance / free * (1 + variation**2) / 2
