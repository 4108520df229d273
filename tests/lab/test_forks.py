"""A management command that is forked does and says what it does as a program of its own."""

import signal
from dataclasses import replace

import pytest

from lab.stack.forks import Forks
from lab.stack.processes import ProcessFailed
from lab.stack.stack import Stack


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
def test_a_fork_ends_as_a_program_of_its_own(stack: Stack, arguments: list[str]) -> None:
    forked, alone = stack.manage(*arguments), replace(stack).manage(*arguments)

    assert forked.returncode == alone.returncode
    assert forked.stderr.replace(forked.args[0], "manage.py") == alone.stderr
    if arguments != ["audit"]:  # which says how long it took
        assert forked.stdout == alone.stdout


def test_no_command_knows_of_the_one_before(stack: Stack) -> None:
    leave = "import builtins; builtins.left = 1"
    look = "import builtins, os; print(os.getpid(), hasattr(builtins, 'left'))"
    with Forks(stack.full_environment) as forks:
        pids = set()
        for _ in range(2):
            assert forks.run(["shell", "--no-imports", "-c", leave]).returncode == 0
            pid, is_left = forks.run(["shell", "--no-imports", "-c", look]).stdout.split()
            pids.add(pid)
            assert is_left == "False"
    assert len(pids) == 2


def test_a_command_of_a_parent_that_died_is_an_error(stack: Stack) -> None:
    with Forks(stack.full_environment) as forks:
        end_parent = f"import os; os.kill(os.getppid(), {int(signal.SIGKILL)})"
        with pytest.raises(ProcessFailed, match="has died"):
            forks.run(["shell", "--no-imports", "-c", end_parent])


def test_another_environment_is_not_that_of_the_fork(stack: Stack) -> None:
    show = ["shell", "--no-imports", "-c", "from django.conf import settings; print(settings.SHOP_NAME)"]
    renamed = replace(stack, environment={**stack.environment, "SHOP_NAME": "Another"})
    assert renamed.manage(*show).stdout.strip() == "Another" != stack.manage(*show).stdout.strip()
