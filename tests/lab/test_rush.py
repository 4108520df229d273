"""A small rush: everybody is served or told, in the order of their arrival, with the waiting room and without it."""

import json
import subprocess
import sys

import pytest

from lab.stack.var import BASE_DIR
from tests.servers import GIVEN


@pytest.mark.parametrize("without", [[], ["--without-waiting-room"]])
def test_a_rush_sells_every_unit_and_tells_the_others(without: list[str]) -> None:
    arguments = ["--visitors", "200", "--units", "10", "--seconds", "2", "--json", *without]
    done = subprocess.run(
        [sys.executable, "-m", "lab.stack", "rush", *arguments],
        cwd=BASE_DIR,
        env=GIVEN,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["ends"] == {"bought": 10, "sold out": 190}
    assert (report["confirmed"], report["troubles"], report["audit"]) == (10, {}, "clean")
    assert (report["waiting pages"] > 0) == (not without)
