"""Management commands as forks of one process in which Django is ready: most of what a command costs is its start."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing import get_context
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Self

import django
from django.conf import settings

from lab.stack.processes import ProcessFailed, child_command
from lab.stack.var import BASE_DIR

MANAGE = str(BASE_DIR / "manage.py")


class Forks:
    """Runs manage.py in the environment, one command at a time. It dies with the thread that makes it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._lock = Lock()
        command = child_command([sys.executable, "-m", "lab.stack.forks"])
        self._parent = subprocess.Popen(
            command, cwd=BASE_DIR, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate()  # the end of its input is its end

    def run(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """What `subprocess.run` of manage.py with these arguments returns, with its output. Raises ProcessFailed."""
        assert self._parent.stdin  # noqa: S101 - for mypy; they are pipes
        assert self._parent.stdout  # noqa: S101
        with self._lock:
            print(json.dumps(arguments), file=self._parent.stdin, flush=True)
            answer = self._parent.stdout.readline()
        if not answer:
            raise ProcessFailed("The process that management commands are forked from has died.")
        code, output, errors = json.loads(answer)
        return subprocess.CompletedProcess([MANAGE, *arguments], code, output, errors)


def execute(arguments: list[str], output: int, errors: int) -> None:
    os.dup2(output, sys.stdout.fileno())
    os.dup2(errors, sys.stderr.fileno())
    sys.argv = [MANAGE, *arguments]
    runpy.run_path(MANAGE, run_name="__main__")


def read_all(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def main() -> None:
    """Execute each line of the input, a list of arguments. Open no connection: the forks would share it."""
    django.setup()
    import_module(settings.ROOT_URLCONF)
    for line in sys.stdin:
        with TemporaryFile("w+") as output, TemporaryFile("w+") as errors:
            told = (json.loads(line), output.fileno(), errors.fileno())
            command = get_context("fork").Process(target=execute, args=told)
            command.start()
            command.join()
            print(json.dumps([command.exitcode, read_all(output), read_all(errors)]), flush=True)


if __name__ == "__main__":
    main()
