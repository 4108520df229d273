"""A small rush: every unit is sold, and everybody else is told so."""

import json

from tests.lab.commands import run_stack_command


def test_a_rush_sells_every_unit_and_tells_the_others() -> None:
    """Those who wait are answered by a web server of their own, and share the queue with the other one."""
    arguments = ["--visitors", "200", "--units", "10", "--seconds", "2", "--json"]
    done = run_stack_command("rush", *arguments)

    assert done.returncode == 0, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["ends"] == {"bought": 10, "sold out": 190}
    assert (report["confirmed"], report["troubles"], report["audit"]) == (10, {}, "clean")
    assert report["waiting pages"] > 0
    assert report["CPU s, waiting"] > 0
