"""The shop's settings, and the app that lets a test end a process at a named point of an order's life."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.crash.arming.Arming"]
LIVENESS_PATIENCE = 10  # seconds; the test of liveness waits that long
