"""A stack seen from another process, through its stack.json: who runs, and where the servers are."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import redis

T = TypeVar("T")
WITHIN = 6.0  # seconds that a strike waits for its process: the supervisor starts a dead one again within 5
PAUSE = 0.05  # seconds
FAILURES = (redis.RedisError, psycopg.Error, OSError)  # of a server that is killed or frozen at the same time


class Missed(Exception):
    """The strike hit nothing; says why."""


@dataclass(frozen=True)
class RunningStack:
    """The stack that `file` describes, and the run whose products and orders are struck."""

    file: Path
    run: str

    def read(self) -> dict[str, Any]:
        stack: dict[str, Any] = json.loads(self.file.read_text())
        return stack

    def find_name(self, name: str) -> str:
        """The name of the process that does the work of this one: RabbitMQ carries the messages where it runs."""
        return "rabbitmq" if name == "valkey" and "rabbitmq" in self.read()["processes"] else name

    def require(self, name: str) -> dict[str, Any]:
        """What stack.json says, if it has the process. Raises Missed, also for a server that was given to the stack."""
        stack = self.read()
        if name not in stack["processes"]:
            raise Missed(f"the stack has no {name} of its own")
        return stack

    def find_process(self, name: str) -> int:
        """The pid of the process, once it runs. Raises Missed where the stack has none, or none within seconds."""
        deadline, name = time.monotonic() + WITHIN, self.find_name(name)
        while time.monotonic() < deadline:
            stack = self.require(name)
            pid: int | None = stack["processes"][name]["pid"]
            if pid and is_child(pid, stack["pid"]):  # the pid of one that died may be a stranger's by now
                return pid
            time.sleep(PAUSE)
        raise Missed(f"{name} did not run")

    def attempt(self, change: Callable[[], T]) -> T:
        """Make a change to a server, again and again for some seconds. Raises Missed."""
        deadline = time.monotonic() + WITHIN
        while True:
            try:
                return change()
            except FAILURES as error:
                if time.monotonic() > deadline:
                    raise Missed(str(error)) from error
                time.sleep(PAUSE)

    def insist(self, change: Callable[[], object]) -> None:
        """Make a change to a server, however long it takes: until it is made, or the stack is gone."""
        while self.is_running():
            with suppress(*FAILURES):
                change()
                return
            time.sleep(PAUSE)

    def is_running(self) -> bool:
        try:
            os.kill(self.read()["pid"], 0)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return True


def is_child(pid: int, parent: int) -> bool:
    """Whether the process runs (frozen or not), and is a child of `parent`."""
    try:
        state, ppid, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z" and int(ppid) == parent


def find_children(pid: int) -> list[int]:
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            children += map(int, task.read_text().split())
    return [child for child in children if is_child(child, pid)]
