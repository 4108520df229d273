"""A program that is forked does and says what it does when Python starts for it, and dies with who started it."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.stack.forks import Fork, run_fork
from lab.stack.stack import Stack
from lab.stack.var import BASE_DIR
from tests.waiting import wait_for

# Says that it has begun, and sleeps for longer than a test waits.
SLEEP = ["-m", "timeit", "-n", "1", "-s", "import time; print('asleep')", "time.sleep(3600)"]
# Prints the pid of a fork that sleeps, and waits for the end of its input.
STARTS = """
from pathlib import Path
from lab.stack.forks import Fork
log = Path({log!r})
print(Fork({arguments}, env={{}}, output=log, errors=log).pid, flush=True)
input()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit"],
        ["no_such_command"],
        ["load_catalog", "no-such-file.csv"],
        ["shell", "--no-imports", "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"],
        ["shell", "--no-imports", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"],
    ],
    ids=lambda arguments: arguments[-1].split(";")[0],
)
def test_a_forked_command_ends_as_one_of_its_own(stack: Stack, arguments: list[str]) -> None:
    forked, alone = stack.manage(*arguments), replace(stack, forking=False).manage(*arguments)

    assert forked.returncode == alone.returncode
    assert forked.stderr == alone.stderr
    if arguments != ["audit"]:  # which says how long it took
        assert forked.stdout == alone.stdout


def test_no_fork_knows_of_the_one_before(stack: Stack) -> None:
    leave = "import builtins; builtins.left = 1"
    look = "import builtins, os; print(os.getpid(), hasattr(builtins, 'left'))"
    pids = set()
    for _ in range(2):
        assert stack.manage("shell", "--no-imports", "-c", leave).returncode == 0
        pid, is_left = stack.manage("shell", "--no-imports", "-c", look).stdout.split()
        pids.add(pid)
        assert is_left == "False"
    assert len(pids) == 2


def test_a_fork_has_the_settings_of_its_own_environment(stack: Stack) -> None:
    show = ["shell", "--no-imports", "-c", "from django.conf import settings; print(settings.SHOP_NAME)"]
    renamed = replace(stack, environment={**stack.environment, "SHOP_NAME": "Another"})
    assert renamed.manage(*show).stdout.strip() == "Another" != stack.manage(*show).stdout.strip()


def test_a_fork_has_the_libraries_from_its_start(tmp_path: Path) -> None:
    """Python's fork server says nothing of one that can't be imported. Each start would cost what it did without it."""
    look = tmp_path / "look.py"
    look.write_text("import sys; print('lab.stack.libraries' in sys.modules, 'django.conf' in sys.modules)")

    assert run_fork([str(look)], env={}).stdout == "True True\n"


def test_a_fork_that_is_not_done_in_time_is_killed(tmp_path: Path) -> None:
    sleep = tmp_path / "sleep.py"
    pid = tmp_path / "pid"
    sleep.write_text(f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(3600)")

    with pytest.raises(subprocess.TimeoutExpired):
        run_fork([str(sleep)], env={}, timeout=3)

    wait_for(lambda: not is_there(int(pid.read_text())), "the end of the fork")


def test_a_fork_is_waited_for_and_signalled_as_a_popen_is(tmp_path: Path) -> None:
    fork = Fork(SLEEP, env={}, output=tmp_path / "log", errors=tmp_path / "log")

    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(0.1)
    assert fork.poll() is None
    fork.terminate()
    assert fork.wait() == fork.returncode == -signal.SIGTERM
    fork.terminate()  # nobody


def test_a_fork_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    starts = [sys.executable, "-c", STARTS.format(arguments=SLEEP, log=str(log))]
    with subprocess.Popen(starts, cwd=BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout
        pid = int(starter.stdout.readline())
        wait_for(lambda: "asleep" in log.read_text(), "the program")

        starter.kill()

    wait_for(lambda: not is_there(pid), "the end of the fork")


def is_there(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
