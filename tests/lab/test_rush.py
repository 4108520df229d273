"""A small rush: every unit is sold, and everybody else is told so."""

import json
import subprocess
import sys

from lab.stack.var import BASE_DIR
from tests.servers import GIVEN


def test_a_rush_sells_every_unit_and_tells_the_others() -> None:
    arguments = ["--visitors", "200", "--units", "10", "--seconds", "2", "--json"]
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
    assert report["waiting pages"] > 0
