"""Reports what nobody expected to Sentry, or to whoever speaks its protocol. Needs the extra `sentry`."""

from typing import Any

import sentry_sdk
from django.conf import settings
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger
from sentry_sdk.types import Event, Hint
from structlog.contextvars import get_contextvars

from config.redaction import redact
from config.refusals import REFUSALS

KEPT = ("method", "url")  # of a request; its headers, cookies, body and query may have anything in them
PATIENCE = 2  # seconds that a process which ends may take for its last reports


def start_reports() -> None:
    """From now on an error that nobody handles, and every line of the level ERROR, is an event; from forks as well."""
    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        release=settings.VERSION,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        shutdown_timeout=PATIENCE,
        before_send=prepare,
        default_integrations=True,
        auto_enabling_integrations=False,
        integrations=[
            DjangoIntegration(),
            CeleryIntegration(propagate_traces=False),
            LoggingIntegration(level=None),
        ],
    )
    ignore_logger("opentelemetry.*")  # a collector that is away is no error of the shop's
    ignore_logger("django.security.*")  # such as a stranger's Host header


def prepare(event: Event, hint: Hint) -> Event | None:
    """Say whose request and order it was, and nothing about a person. None: it is no event."""
    error = (hint.get("exc_info") or (None, None, None))[1]
    if isinstance(error, REFUSALS):
        return None
    told: dict[str, Any] = dict(event)
    told["tags"] = {**told.get("tags", {}), **get_contextvars()}
    told["request"] = {name: told["request"][name] for name in KEPT if name in told.get("request", {})}
    for name in ("user", "breadcrumbs", "server_name"):
        told.pop(name, None)
    return redact(told)  # type: ignore[no-any-return]
