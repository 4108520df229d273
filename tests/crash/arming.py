"""The app of the crash tests' settings: it sets the traps once everything is imported."""

from importlib import import_module

from django.apps import AppConfig


class Arming(AppConfig):
    name = "tests.crash.arming"

    def ready(self) -> None:
        import_module("tests.crash.traps").set_traps()  # not before: it imports models
