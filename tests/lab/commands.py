"""Runs a command of the stack in a process of its own, as a developer does."""

import subprocess
import sys
from collections.abc import Mapping

from lab.stack.var import BASE_DIR
from tests.servers import GIVEN


def run_stack_command(
    *arguments: str, clocks: Mapping[str, str] | None = None, timeout: float = 400
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "lab.stack", *arguments],
        cwd=BASE_DIR,
        env={**GIVEN, **(clocks or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
