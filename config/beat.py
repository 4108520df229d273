"""Beat's schedule, with a file that is only a cache of when each task ran last."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from celery.beat import PersistentScheduler, ScheduleEntry

logger = structlog.stdlib.get_logger(__name__)

CLOCK_JUMP = timedelta(seconds=1)


class Scheduler(PersistentScheduler):
    schedule_filename: str
    schedule: dict[str, ScheduleEntry]
    _heap: list[Any] | None
    _remove_db: Callable[[], None]

    def setup_schedule(self) -> None:
        """Read the file, or throw it away: Celery 5.7 does so for some kinds of damage and ends at others."""
        try:
            super().setup_schedule()
        except Exception as error:  # whatever unpickling a damaged file can raise
            logger.warning(
                "the schedule can't be read and begins anew", file=self.schedule_filename, reason=repr(error)
            )
            self._remove_db()
            super().setup_schedule()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due. After a clock that was ahead is set right, Celery would wait for that time."""
        ahead = [entry for entry in self.schedule.values() if is_ahead(entry)]
        if ahead:
            logger.warning("the clock went back: its schedule begins anew")
            for entry in ahead:
                entry.last_run_at = entry.default_now()
            self._heap = None  # it holds the times of before
        delay: float = super().tick(*args, **kwargs)
        return delay


def is_ahead(entry: ScheduleEntry) -> bool:
    return bool(entry.last_run_at and entry.last_run_at > entry.default_now() + CLOCK_JUMP)
