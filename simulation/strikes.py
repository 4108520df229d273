"""What happens to the processes in a chaos run: killed, frozen, emptied, doubled, on a schedule that a seed decides."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random, choice
from threading import Event, Timer
from typing import Any, Literal

import redis
from django.conf import settings

from config.processes import child_command

Action = Literal["kill", "kill_child", "freeze", "flush", "double"]

EVERY = 2.0  # seconds from one strike to the next, on average
WITHIN = 6.0  # seconds that a strike waits for its process: the supervisor starts a dead one again within 5
FREEZES = (1.0, 7.0)  # seconds: shorter than the timeouts of whoever waits for it, and longer
KILLS: set[Action] = {"kill", "kill_child"}

# So many of each are dealt in a new order, again and again: two thirds are kills, and every process has its share.
DECK: dict[tuple[str, Action], int] = {
    ("payments", "kill"): 3,
    ("payments", "freeze"): 1,
    ("orders", "kill"): 3,
    ("orders", "freeze"): 1,
    ("provider", "kill"): 2,
    ("provider", "freeze"): 1,
    ("web", "kill"): 1,
    ("web", "kill_child"): 2,
    ("web", "freeze"): 1,
    ("mails", "kill"): 1,
    ("mails", "freeze"): 1,
    ("beat", "kill"): 1,
    ("beat", "freeze"): 1,
    ("beat", "double"): 1,
    ("postgres", "kill"): 1,
    ("postgres", "kill_child"): 1,  # one backend: PostgreSQL ends all the others and recovers
    ("postgres", "freeze"): 1,
    ("valkey", "kill"): 1,
    ("valkey", "flush"): 1,
    ("valkey", "freeze"): 1,
}


@dataclass(frozen=True)
class Strike:
    """What is done to which process of stack.json, when, and for how long where it lasts; in seconds."""

    second: float
    process: str
    action: Action
    lasts: float


def make_schedule(*, seed: int, seconds: float) -> list[Strike]:
    """The strikes of a run that lasts so long. The same seed, the same schedule; a longer run begins with it."""
    random = Random(seed)  # noqa: S311 - it has to repeat
    deals = _deal_for_ever(random)
    return [
        Strike(round((number + random.random()) * EVERY, 2), process, action, round(random.uniform(*FREEZES), 2))
        for number, (process, action) in enumerate(islice(deals, int(seconds / EVERY)))
    ]


def _deal_for_ever(random: Random) -> Iterator[tuple[str, Action]]:
    while True:
        yield from random.sample(list(DECK), k=sum(DECK.values()), counts=DECK.values())


class Killer:
    """Carries out a schedule on the processes of stack.json and their children, and on no other."""

    def __init__(self, stack_file: Path, *, stopping: Event) -> None:
        self.done: Counter[tuple[str, Action]] = Counter()
        self.missed = 0  # the process did not run, or is a server that was given to us
        self._stack_file = stack_file
        self._stopping = stopping
        self._exits = ExitStack()

    @property
    def kills(self) -> int:
        return sum(count for (_, action), count in self.done.items() if action in KILLS)

    def carry_out(self, schedule: Iterable[Strike]) -> None:
        """Strike when each time comes, until the end or until told to stop; return when nothing is frozen any more."""
        started = time.monotonic()
        with self._exits:
            for strike in schedule:
                if self._stopping.wait(max(0, started + strike.second - time.monotonic())):
                    return
                if self._strike(strike):
                    self.done[strike.process, strike.action] += 1
                else:
                    self.missed += 1

    def _strike(self, strike: Strike) -> bool:
        deadline = time.monotonic() + WITHIN
        while not self._stopping.is_set() and time.monotonic() < deadline:
            stack = self._read_stack()
            if strike.process not in stack["processes"]:
                return False
            pid = stack["processes"][strike.process]["pid"]
            if is_child(pid, stack["pid"]):  # the pid of one that died may be a stranger's by now
                with suppress(ProcessLookupError, IndexError, redis.RedisError):
                    self._act(strike, pid, stack)
                    return True
            time.sleep(0.05)
        return False

    def _act(self, strike: Strike, pid: int, stack: dict[str, Any]) -> None:
        match strike.action:
            case "kill":
                os.kill(pid, signal.SIGKILL)
            case "kill_child":
                os.kill(choice(find_children(pid)), signal.SIGKILL)  # noqa: S311 - any of them
            case "freeze":
                self._freeze(pid, strike.lasts)
            case "flush":
                with redis.Redis.from_url(stack["urls"]["redis"], socket_timeout=1) as client:
                    client.flushall()
            case "double":
                self._start_second_beat(Path(stack["folder"]), strike.lasts)

    def _freeze(self, pid: int, seconds: float) -> None:
        os.kill(pid, signal.SIGSTOP)  # first: now it starts no more children
        family = [pid, *find_children(pid)]
        # We may be killed before it ends, so another process sees to the end: a frozen one would stay for ever.
        thaw = f"sleep {seconds}; kill -CONT {' '.join(map(str, family))}"
        waker = subprocess.Popen(["sh", "-c", thaw], start_new_session=True, stderr=subprocess.DEVNULL)
        self._exits.callback(waker.wait)
        for child in family[1:]:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)

    def _start_second_beat(self, folder: Path, seconds: float) -> None:
        command = [sys.executable, "-m", "celery", "-A", "config", "beat", "--schedule", str(folder / "second-beat")]
        with (folder / "log" / "second-beat.log").open("ab") as log:
            beat = subprocess.Popen(
                child_command(command), cwd=settings.BASE_DIR, stdout=log, stderr=log, start_new_session=True
            )
        self._exits.callback(beat.wait)
        self._exits.callback(beat.kill)
        end = Timer(seconds + WITHIN, beat.kill)  # it takes some seconds to its first tick
        end.daemon = True
        end.start()

    def _read_stack(self) -> dict[str, Any]:
        stack: dict[str, Any] = json.loads(self._stack_file.read_text())
        return stack


def is_child(pid: int | None, parent: int) -> bool:
    """Whether the process runs (frozen or not), and is a child of `parent`."""
    try:
        state, ppid, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and int(ppid) == parent


def find_children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for task in tasks for child in map(int, task.read_text().split()) if is_child(child, pid)]
