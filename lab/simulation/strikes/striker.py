"""Carries out the schedule of a chaos run: strikes at once, or starts a process for a strike that lasts."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from lab.simulation.strikes.deck import Strike
from lab.simulation.strikes.lasting import LASTING
from lab.simulation.strikes.neighbours import flush_broker
from lab.simulation.strikes.processes import kill_child, kill_process
from lab.simulation.strikes.running_stack import Missed, RunningStack
from lab.stack.var import BASE_DIR

KILLS = {"kills", "child-kills"}
SUDDEN: dict[str, Callable[[RunningStack, str], None]] = {
    "kills": kill_process,
    "child-kills": kill_child,
    "flushes": flush_broker,
}


class Striker:
    """Strikes a stack and the rows of a run on it, and counts what was done and what missed, and why."""

    def __init__(self, stack_file: Path, *, run: str, stopping: Event) -> None:
        self.done: Counter[tuple[str, str]] = Counter()  # by target and kind
        self.missed: Counter[str] = Counter()  # by strike and reason
        self.well_at = datetime.now(UTC)  # when the last strike was over
        self._stack = RunningStack(stack_file, run)
        self._stopping = stopping
        self._lasting: list[tuple[Strike, subprocess.Popen[str]]] = []

    @property
    def kills(self) -> int:
        return sum(count for (_, kind), count in self.done.items() if kind in KILLS)

    def carry_out(self, schedule: Iterable[Strike]) -> None:
        """Strike when each time comes, until the end or until told to stop; return when all is well again."""
        started = time.monotonic()
        try:
            for strike in schedule:
                if self._stopping.wait(max(0, started + strike.second - time.monotonic())):
                    return
                self._strike(strike)
        finally:
            self._end_lasting()
            self.well_at = datetime.now(UTC)

    def _strike(self, strike: Strike) -> None:
        if strike.kind in LASTING:
            self._lasting.append((strike, self._start_lasting(strike)))
            return
        try:
            SUDDEN[strike.kind](self._stack, strike.target)
        except Missed as reason:
            self._count(strike, missed=str(reason))
        else:
            self._count(strike)

    def _start_lasting(self, strike: Strike) -> "subprocess.Popen[str]":
        file, run = str(self._stack.file), self._stack.run
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "lab.simulation.strikes.lasting",
                file,
                run,
                strike.kind,
                strike.target,
                f"{strike.lasts}",
            ],
            cwd=BASE_DIR,
            stdin=subprocess.PIPE,  # it is closed when we stop or are killed, and then the strike ends
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is ours to handle
        )

    def _end_lasting(self) -> None:
        for strike, process in self._lasting:
            while process.poll() is None and not self._stopping.wait(0.1):
                pass
            _, error = process.communicate()
            lines = error.strip().splitlines() or ["it said nothing"]
            self._count(strike, missed=lines[-1] if process.returncode else "")

    def _count(self, strike: Strike, *, missed: str = "") -> None:
        if missed:
            self.missed[f"{strike.kind} of {strike.target}: {missed}"] += 1
        else:
            self.done[strike.target, strike.kind] += 1
