"""The settings of the log: lines on the console, for whoever runs the processes to keep."""

import config.dotenv  # noqa: F401
from config.addresses import read_service_url
from config.environment import read_bool, read_choice
from config.logs import configure_structlog

LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LOG_FORMAT = read_choice("LOG_FORMAT", "line" if read_bool("ORDERLY_LOCAL") else "json", ["json", "line"])
# They write some lines for each call, task or use of a connection. Failures are logged all the same.
QUIET_LOGGERS = ["stripe", "psycopg.pool", "celery.app.trace", "celery.worker.strategy"]
# Each comes with handlers of its own, which would write its lines in another form.
FOREIGN_LOGGERS = ["django", "django.server", "gunicorn.error", "py.warnings"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "config.logs.Formatter", "form": LOG_FORMAT}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        **{name: {"level": "WARNING"} for name in QUIET_LOGGERS},
        **{name: {"handlers": [], "propagate": True} for name in FOREIGN_LOGGERS},
    },
    "root": {"handlers": ["console"], "level": read_choice("LOG_LEVEL", "INFO", LOG_LEVELS)},
}
# Each needs an extra: see pyproject.toml. Empty: nowhere, and nothing of it is loaded.
OTEL_EXPORTER_OTLP_ENDPOINT = read_service_url(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    example="http://127.0.0.1:4318",
    form=r"https?://[^\s/]+(/\S*)?",
    package="opentelemetry.instrumentation.django",
    extra="otel",
)
SENTRY_DSN = read_service_url(
    "SENTRY_DSN",
    example="https://key@sentry.example.com/1",
    form=r"https?://\w+@[^\s/@]+(/\S+)?/\d+",
    package="sentry_sdk",
    extra="sentry",
)
DJANGO_STRUCTLOG_CELERY_TASK_START_LOG_LEVEL = 10  # DEBUG: a line for each task says nothing that its own do not
configure_structlog()
