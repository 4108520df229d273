"""Beat's schedule, with a file that is only a cache of when each task ran last."""

import logging
from collections.abc import Callable

from celery.beat import PersistentScheduler

logger = logging.getLogger(__name__)


class Scheduler(PersistentScheduler):
    schedule_filename: str
    _remove_db: Callable[[], None]

    def setup_schedule(self) -> None:
        """Read the file, or throw it away: Celery 5.7 does so for some kinds of damage and ends at others."""
        try:
            super().setup_schedule()
        except Exception as error:  # whatever unpickling a damaged file can raise
            logger.warning("the schedule in %s can't be read and begins anew: %r", self.schedule_filename, error)
            self._remove_db()
            super().setup_schedule()
