#!/usr/bin/env python
"""Django's command line; while `make run` runs, on its servers."""

import fcntl
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError

VAR = Path(__file__).resolve().parent / "var"


def join_running_stack() -> None:
    """Take the environment of the stack that runs in this checkout, unless DATABASE_URL says what to use."""
    if "DATABASE_URL" not in os.environ:
        with suppress(FileNotFoundError, ValueError, KeyError), (VAR / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # so one runs
                os.environ.update(json.loads((VAR / "stack.json").read_bytes())["environment"])


if __name__ == "__main__":
    join_running_stack()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None):  # it answered
            raise
        sys.exit(f"The database of DATABASE_URL can't be reached: {error}")
