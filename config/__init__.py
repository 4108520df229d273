"""The project: settings, the Celery app, URLs and the processes."""

import gc

# Nothing that a start imports is garbage, and to look for some is a fifth of its time: of a killed worker's next start,
# too. ProjectConfig.ready ends this.
gc.disable()

from config.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
