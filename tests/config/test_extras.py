"""What a shop may have beside it is not there, and costs nothing, until a setting asks for it."""

import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.addresses import read_service_url
from config.tracing import start_tracing

LOADED = """
import sys, config.wsgi, config.celery
extras = ("sentry_sdk", "opentelemetry.exporter", "opentelemetry.instrumentation", "config.tracing", "config.reports")
print([name for name in sys.modules if name.startswith(extras)])
"""


def test_nothing_of_the_extras_is_imported_without_their_settings() -> None:
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "", "SENTRY_DSN": ""}

    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("timeout", ["soon", "0", "-1", "nan"])
def test_an_export_of_traces_that_may_take_no_number_of_seconds_is_refused_in_words(
    timeout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_DJANGO_EXCLUDED_URLS", "")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", timeout)

    with pytest.raises(ImproperlyConfigured, match="OTEL_EXPORTER_OTLP_TIMEOUT is a number of seconds, more than 0"):
        start_tracing()


@pytest.mark.parametrize("package", ["no_such_package", "no_such.package"])
def test_a_setting_whose_packages_are_missing_says_how_to_install_them(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.example.com/1")

    with pytest.raises(ImproperlyConfigured, match=r"SENTRY_DSN needs packages .* uv sync --extra sentry"):
        read_service_url("SENTRY_DSN", example="", form=".*", package=package, extra="sentry")
