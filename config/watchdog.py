"""Ends a worker that takes no messages any more, or whose task or stop does not end: its supervisor starts it again."""

import logging
import os
from threading import Event, Lock, Thread, Timer
from typing import Any

import structlog
from celery import Task
from celery.signals import task_postrun, task_prerun, worker_shutting_down
from django.conf import settings

logger = structlog.stdlib.get_logger(__name__)

TICK = 1.0  # seconds
LAST_WORDS = 3.0  # seconds that the log has to take why a worker ends
SLOW_START = 60.0  # seconds that a worker may take until it reads its first queue


class Pulse:
    """The worker's signs of life. Time is counted in ticks of its own, so one that was frozen is not taken for dead."""

    def __init__(self) -> None:
        self.concurrency = 1  # tasks that the worker can run at a time
        self._lock = Lock()
        self._silence = -SLOW_START  # seconds since the last sign of life
        self._running: dict[str, tuple[str, float]] = {}  # by id: the task's name, and the seconds it has left
        self._left: float | None = None  # seconds for what is in hand, once the worker was told to stop

    def beat(self) -> None:
        """Note that a queue was read, even if it was empty."""
        self._silence = 0.0

    def start_task(self, task_id: str, name: str, time_limit: float) -> None:
        with self._lock:
            self._running[task_id] = (name, time_limit)

    def end_task(self, task_id: str) -> None:
        with self._lock:
            self._running.pop(task_id, None)
            self._silence = 0.0

    def stop(self) -> None:
        """Note that the worker was told to stop: it reads no queue any more. A signal's handler may call this."""
        self._left = float(settings.STOP_TIMEOUT)

    def tick(self) -> str:
        """Let TICK seconds pass; return why the worker has to end, or nothing.

        A worker that runs as many tasks as it can is silent because it is busy. One that could run more reads its
        queues meanwhile. Each task has a limit of its own.
        """
        if self._left is not None:
            self._left -= TICK
            return "" if self._left > 0 else f"it was told to stop {settings.STOP_TIMEOUT} seconds ago"
        with self._lock:
            self._running = {key: (name, left - TICK) for key, (name, left) in self._running.items()}
            late = [name for name, left in self._running.values() if left <= 0]
            is_busy = len(self._running) >= self.concurrency
            self._silence = 0.0 if is_busy else self._silence + TICK
        if late:
            return f"{late[0]} ran longer than its time limit"
        if self._silence >= settings.WORKER_TIMEOUT:
            return f"no queue was read for {settings.WORKER_TIMEOUT} seconds"
        return ""


pulse = Pulse()


@task_prerun.connect
def note_start(task_id: str, task: "Task[..., Any]", **_: Any) -> None:
    pulse.start_task(task_id, task.name, task.time_limit or settings.TASK_TIME_LIMIT)


@task_postrun.connect
def note_end(task_id: str, **_: Any) -> None:
    pulse.end_task(task_id)


@worker_shutting_down.connect
def note_stop(**_: Any) -> None:
    pulse.stop()


def start_watchdog(sender: Any, **_: Any) -> None:
    """Watch the pulse of this worker from now on."""
    pulse.concurrency = sender.concurrency
    Thread(target=watch, name="watchdog", daemon=True).start()


def watch() -> None:
    """Look at the pulse until there is a reason to end, and end at once: the sweep takes up what was in hand."""
    pause = Event()
    while not pause.wait(TICK):
        if reason := pulse.tick():
            end(reason)


def end(reason: str) -> None:
    try:
        # Whoever reads our log may be what the others hang at: it must not hold us as well.
        timer = Timer(LAST_WORDS, os._exit, [1])
        timer.daemon = True
        timer.start()
        logger.critical("this worker ends, to be started again", reason=reason)
        logging.shutdown()
    finally:
        os._exit(1)  # the main thread may hang, and no exception of ours reaches it
