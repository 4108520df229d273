"""Strikes that kill, freeze or double the processes of a stack and their children, and no others."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import choice

from lab.simulation.strikes.running_stack import Missed, RunningStack, find_children
from lab.stack.processes import child_command
from lab.stack.var import BASE_DIR, open_private

SKEW = 30  # seconds


def kill_process(stack: RunningStack, name: str) -> None:
    with suppress(ProcessLookupError):
        os.kill(stack.find_process(name), signal.SIGKILL)


def kill_child(stack: RunningStack, name: str) -> None:
    children = find_children(stack.find_process(name))
    if not children:
        raise Missed(f"{name} had no child")
    with suppress(ProcessLookupError):
        os.kill(choice(children), signal.SIGKILL)  # noqa: S311 - any of them


@contextmanager
def freeze_process(stack: RunningStack, name: str) -> Iterator[None]:
    family = [stack.find_process(name)]
    try:
        signal_all(family, signal.SIGSTOP)  # first: now it starts no more children
        family += find_children(family[0])
        signal_all(family, signal.SIGSTOP)
        yield
    finally:
        signal_all(family, signal.SIGCONT)  # the children also where their parent was killed meanwhile


def signal_all(pids: list[int], sent: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sent)


@contextmanager
def start_second_beat(stack: RunningStack, name: str) -> Iterator[None]:
    schedule = Path(stack.read()["folder"]) / "second-beat"
    with _run_second(stack, name, [*_read_command(stack, name), "--schedule", str(schedule)]):
        yield


@contextmanager
def start_skewed_worker(stack: RunningStack, name: str) -> Iterator[None]:
    """A second worker of the same queues, whose clock is SKEW seconds ahead. Timeouts are as long as before."""
    command, environment = skew_clock(_read_command(stack, name), seconds=SKEW)
    with _run_second(stack, name, [*command, "-n", f"skewed-{name}@%h"], environment=environment):
        yield


def skew_clock(command: Sequence[str], *, seconds: int) -> tuple[list[str], dict[str, str]]:
    """The command `python -m ...` with a clock that is ahead, and what its environment needs. Raises Missed."""
    module = command.index("-m") + 1
    environment = {"LD_PRELOAD": find_faketime(), "FAKETIME": f"+{seconds}s"}
    environment |= {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # its name changed
    return [*command[:module], "lab.simulation.strikes.skewed_clock", *command[module:]], environment


def find_faketime() -> str:
    """The path of libfaketime. Raises Missed where it is not installed."""
    for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"):
        return str(path)
    raise Missed("libfaketime is not installed")


def _read_command(stack: RunningStack, name: str) -> list[str]:
    """As the stack started the process; what is added at the end wins over what it says before."""
    return Path(f"/proc/{stack.find_process(name)}/cmdline").read_text().rstrip("\0").split("\0")


@contextmanager
def _run_second(
    stack: RunningStack, name: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    log = Path(stack.read()["folder"]) / "log" / f"second-{name}.log"
    with open_private(log) as output:
        second = subprocess.Popen(
            child_command(command),
            cwd=BASE_DIR,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(second.pid, signal.SIGKILL)
        second.wait()
