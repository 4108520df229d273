"""What a chaos run does to a stack, and when. Strikes are cards of a deck, and a seed decides how they are dealt."""

from argparse import ArgumentTypeError
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

EVERY = 1.5  # seconds from one strike to the next, on average

KINDS = {
    "kills": "a process is killed with -9",
    "child-kills": "a child of a process is killed: a web worker, a session of the database",
    "freezes": "a process and its children stand still",
    "flushes": "the broker loses every message",
    "second-beat": "two beats publish every tick",
    "read-only-broker": "the broker refuses writes, as a replica does",
    "full-broker": "the broker has no memory left",
    "read-only-database": "the shop's database refuses writes, as a demoted primary does",
    "slow-mail-server": "the mail server takes its time for each command",
    "trickling-provider": "the payment provider's answers come byte by byte",
    "locked-row": "somebody holds the lock of a product's stock, or of an order",
    "skewed-clock": "a second worker's clock is ahead",
}

# How long a strike lasts, in seconds from and to. The other kinds are over at once.
LASTS = {
    "freezes": (1.0, 7.0),  # shorter than the timeouts of whoever waits for it, and longer
    "second-beat": (7.0, 13.0),  # it takes some seconds to its first tick
    "read-only-broker": (3.0, 10.0),
    "full-broker": (3.0, 10.0),
    "read-only-database": (3.0, 10.0),
    "slow-mail-server": (15.0, 45.0),  # a mail takes six commands
    "trickling-provider": (4.0, 12.0),
    "locked-row": (2.0, 9.0),  # the shop's lock_timeout is 5
    "skewed-clock": (10.0, 18.0),  # a worker takes some seconds to its first message
}

# How many cards the deck has of each strike. Half are kills, and every process has its share. A dealt deck is shuffled
# and dealt again.
DECK = {
    ("kills", "payments"): 3,
    ("freezes", "payments"): 1,
    ("kills", "orders"): 3,
    ("freezes", "orders"): 1,
    ("kills", "mails"): 1,
    ("freezes", "mails"): 1,
    ("kills", "webhooks"): 2,
    ("freezes", "webhooks"): 1,
    ("kills", "provider"): 2,
    ("freezes", "provider"): 1,
    ("kills", "web"): 1,
    ("child-kills", "web"): 2,
    ("freezes", "web"): 1,
    ("kills", "beat"): 1,
    ("freezes", "beat"): 1,
    ("second-beat", "beat"): 1,
    ("kills", "postgres"): 1,
    ("child-kills", "postgres"): 1,  # PostgreSQL ends all other sessions too, and recovers
    ("freezes", "postgres"): 1,
    ("kills", "valkey"): 1,
    ("flushes", "valkey"): 1,
    ("freezes", "valkey"): 1,
    ("read-only-broker", "valkey"): 1,
    ("full-broker", "valkey"): 1,
    ("read-only-database", "postgres"): 1,
    ("slow-mail-server", "mail-server"): 1,
    ("trickling-provider", "provider"): 1,
    ("locked-row", "stock"): 2,
    ("locked-row", "order"): 1,
    ("skewed-clock", "orders"): 1,
    ("skewed-clock", "payments"): 1,
}


@dataclass(frozen=True)
class Strike:
    """What is done to whom, when, and for how long where it lasts; in seconds."""

    second: float
    kind: str
    target: str  # mostly a process of stack.json
    lasts: float = 0


def make_schedule(*, seed: int, seconds: float, kinds: Collection[str] = KINDS) -> list[Strike]:
    """The strikes of a run that lasts so long, of these kinds. The same seed, the same schedule.

    A longer run begins with the schedule of a shorter one. A kind that is left out leaves gaps, and moves no other.
    """
    random = Random(seed)  # noqa: S311 - it has to repeat
    strikes = [
        Strike(
            round((number + random.random()) * EVERY, 2),
            kind,
            target,
            round(random.uniform(*LASTS.get(kind, (0, 0))), 2),
        )
        for number, (kind, target) in enumerate(islice(_deal_for_ever(random), int(seconds / EVERY)))
    ]
    return [strike for strike in strikes if strike.kind in kinds]


def _deal_for_ever(random: Random) -> Iterator[tuple[str, str]]:
    while True:
        yield from random.sample(list(DECK), k=sum(DECK.values()), counts=DECK.values())


def read_kinds(names: str) -> set[str]:
    """Kinds of strikes from names between commas. Raises ArgumentTypeError."""
    kinds = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := sorted(kinds - KINDS.keys()):
        raise ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return kinds
