"""Child processes that die with us, and the supervisor that starts them again when they die alone."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Self

from lab.stack.forks import Fork
from lab.stack.var import BASE_DIR, open_private

logger = logging.getLogger(__name__)

TICK = 0.05  # seconds from one look at the processes to the next
SETTLED = 5.0  # seconds; a process that dies sooner waits before its next start, longer each time
PAUSE_MIN, PAUSE_MAX = 0.2, 5.0  # seconds
FAILURES_MAX = 3  # then a process starts without its cache, which may be damaged
STOP_WITHIN = 5.0  # seconds, then SIGKILL
LOG_MAX = 5 * 2**20  # bytes, and as much again in NAME.log.1


class ProcessFailed(Exception):
    """A process ended, or answered nothing for a minute, before it was ever ready."""


def child_command(
    command: Sequence[str], *, death_signal: signal.Signals = signal.SIGKILL, user: str = "", nice: int = 0
) -> list[str]:
    """The command line that runs `command` and sends it `death_signal` when the thread that starts it ends."""
    child = str(Path(__file__).with_name("child.py"))
    return [sys.executable, "-I", "-S", child, str(os.getpid()), str(int(death_signal)), user, str(nice), *command]


@dataclass(kw_only=True, eq=False)
class Process:
    """A program to be kept running: how to start it, see that it is ready, and stop it."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    is_ready: Callable[[], bool] = lambda: True
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL  # what it gets when we die
    user: str = ""  # whom it runs as when we are root
    nice: int = 0  # of its session, for the scheduler; below 0 if we are root
    forking: bool = False  # it is a program for this Python, and starts as a fork: see lab/stack/forks.py
    cache: Path | None = None  # a folder that it can do without: thrown away when it does not start with it
    failures: int = 0  # starts in a row that it ended by itself within seconds
    restarts: int = 0
    popen: subprocess.Popen[bytes] | Fork | None = field(default=None, repr=False)
    started_at: float = -1e9
    pause: float = 0.0

    @property
    def pid(self) -> int | None:
        return self.popen.pid if self.popen else None

    def is_alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def is_due(self) -> bool:
        return not self.is_alive() and time.monotonic() >= self.started_at + self.pause

    def start(self) -> None:
        """Start it, or start it again."""
        now = time.monotonic()
        settled = now - self.started_at > self.pause + SETTLED
        self.pause = PAUSE_MIN if settled else min(2 * self.pause, PAUSE_MAX)
        self.started_at = now
        if self.popen:
            self.restarts += 1
            self.failures = 0 if settled or (self.popen.returncode or 0) <= 0 else self.failures + 1
            self.kill_group()
        if self.cache and self.failures >= FAILURES_MAX:
            shutil.rmtree(self.cache, ignore_errors=True)
        self.popen = self.fork() if self.forking else self.execute()

    def execute(self) -> subprocess.Popen[bytes]:
        with open_private(self.log) as log:
            return subprocess.Popen(
                child_command(self.command, death_signal=self.death_signal, user=self.user, nice=self.nice),
                cwd=BASE_DIR,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours to handle; and a group of its own for `kill_group`
            )

    def fork(self) -> Fork:
        python, *arguments = self.command
        assert python == sys.executable  # noqa: S101 - nothing else can be forked
        return Fork(
            arguments, env=self.env, output=self.log, errors=self.log, nice=self.nice, death_signal=self.death_signal
        )

    def send(self, sent: signal.Signals) -> None:
        """Signal the process alone, if it is alive."""
        if self.popen:
            self.popen.send_signal(sent)

    def kill_group(self) -> None:
        """SIGKILL whatever the process started and left behind: gunicorn's workers would keep its port."""
        if self.popen:
            with suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)

    def wait(self, timeout: float) -> None:
        """Wait for its end, and SIGKILL what is left of it after `timeout` seconds."""
        if self.popen:
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(max(timeout, 0))
            self.kill_group()
            self.send(signal.SIGKILL)  # a fork that has no group of its own yet
            self.popen.wait()

    def trim_log(self) -> None:
        """Empty a long log; the process appends, so it goes on at the new end."""
        if self.log.stat().st_size > LOG_MAX:
            shutil.copy2(self.log, f"{self.log}.1")
            os.truncate(self.log, 0)

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Supervisor:
    """Keeps processes running, all started by one thread of its own: a process dies with the thread that started it."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.on_change: Callable[[], None] = lambda: None
        self._lock = Lock()
        self._ending = Event()
        self._thread = Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(*self.processes)
        self._ending.set()
        self._thread.join()

    def start(self, *processes: Process, timeout: float = 60) -> None:
        """Keep these running from now on; return when all are ready. Raises ProcessFailed."""
        with self._lock:
            self.processes.extend(processes)
        deadline = time.monotonic() + timeout
        for process in processes:
            while not (process.is_alive() and process.is_ready()):
                if process.restarts > FAILURES_MAX or time.monotonic() > deadline:
                    raise ProcessFailed(f"{process.name} does not start:\n{process.log_tail()}")
                time.sleep(TICK)

    def stop(self, *processes: Process) -> None:
        """Stop these for good, all at the same time, within seconds."""
        with self._lock:
            self.processes = [process for process in self.processes if process not in processes]
        for process in processes:
            process.send(process.stop_signal)
        deadline = time.monotonic() + STOP_WITHIN
        for process in processes:
            process.wait(deadline - time.monotonic())

    def _run(self) -> None:
        while not self._ending.wait(TICK):
            with self._lock:
                try:
                    self._look_after_all()
                except OSError:  # no memory for a fork, no log folder: this thread must outlive it
                    logger.exception("Could not look after the processes")

    def _look_after_all(self) -> None:
        due = [process for process in self.processes if process.is_due()]
        for process in due:
            if process.popen:
                logger.warning("%s died (exit code %s): starting it again", process.name, process.popen.returncode)
            process.start()
        for process in self.processes:
            process.trim_log()
        if due:
            self.on_change()
