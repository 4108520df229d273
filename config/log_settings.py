"""The settings of the log: lines on the console, for whoever runs the processes to keep."""

import config.dotenv  # noqa: F401
from config.environment import read_choice

LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
# They write some lines for each call, task or use of a connection. Failures are logged all the same.
QUIET_LOGGERS = ["stripe", "psycopg.pool", "celery.app.trace", "celery.worker.strategy"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {name: {"level": "WARNING"} for name in QUIET_LOGGERS},
    "root": {"handlers": ["console"], "level": read_choice("LOG_LEVEL", "INFO", LOG_LEVELS)},
}
