#!/usr/bin/env python
"""Django's command line; while `make run` runs, on its servers."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from config.var import join_running_stack

if __name__ == "__main__":
    join_running_stack()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")
