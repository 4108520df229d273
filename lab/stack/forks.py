"""Programs of Python as forks of one process that has imported the libraries: most of what they cost is their start."""

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from tempfile import TemporaryDirectory
from threading import Lock

from lab.stack.child import ask_for_signal, set_priority
from lab.stack.var import BASE_DIR, open_private

# One server for this process, started when first asked. It knows no setting, so its forks can have any.
SERVER = get_context("forkserver")
SERVER.set_forkserver_preload(["lab.stack.libraries"])
# Python's own bookkeeping reads an exit code once, and does not expect two threads to ask for it.
LOCK = Lock()


class Fork:
    """A running `python ARGUMENTS`, with the methods of a Popen. It dies when this process does.

    It leads a session of its own, and appends what it prints to the two files.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        output: Path,
        errors: Path,
        nice: int = 0,
        death_signal: Signals = SIGKILL,
    ) -> None:
        self.args = arguments
        for path in (output, errors):
            open_private(path).close()  # there from now on, as with a Popen
        given = (list(arguments), dict(env), output, errors, nice, death_signal)
        self._process = SERVER.Process(target=execute, args=given, daemon=True)
        with LOCK:
            self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid  # noqa: S101 - for mypy; it was started
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        with LOCK:
            return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        connection.wait([self._process.sentinel], timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, sent: Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, sent)

    def terminate(self) -> None:
        self.send_signal(SIGTERM)


def run_fork(
    arguments: Sequence[str], *, env: Mapping[str, str], timeout: float | None = None
) -> "subprocess.CompletedProcess[str]":
    """What `subprocess.run` of `python ARGUMENTS` in the environment returns, with its output.

    One that is not done in time is killed. Raises subprocess.TimeoutExpired.
    """
    with TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        fork = Fork(arguments, env=env, output=output, errors=errors)
        try:
            code = fork.wait(timeout)
        finally:
            fork.send_signal(SIGKILL)
        return subprocess.CompletedProcess(arguments, code, output.read_text(), errors.read_text())


def execute(
    arguments: Sequence[str], env: Mapping[str, str], output: Path, errors: Path, nice: int, death_signal: Signals
) -> None:
    """Be the program, in the fork."""
    os.setsid()
    if nice:
        set_priority(str(nice))
    ask_for_signal(death_signal)
    parent = parent_process()
    if parent is None or not parent.is_alive():  # it died before we asked to be told
        return
    os.chdir(BASE_DIR)
    os.environ.clear()
    os.environ.update(env)
    open_files(output, errors)
    sys.path.insert(0, str(BASE_DIR))
    first, *others = arguments
    if first == "-m":
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *others]
        runpy.run_path(first, run_name="__main__")


def open_files(output: Path, errors: Path) -> None:
    """Print to these, each line as soon as it is whole, since others read along. Nothing else stays open."""
    # Every fork is given an end of the pipe by which the server knows that it is needed. Where one kept it, the server
    # would not end when the process that started it dies.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for number, path in ((1, output), (2, errors)):
        with open_private(path) as file:
            os.dup2(file.fileno(), number)
    sys.stdout = os.fdopen(1, "w", buffering=1)
