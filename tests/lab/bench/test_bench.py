"""The bench runs, every scenario of it, and ends in a clean audit; on one that is not clean it fails."""

import json
from pathlib import Path

import pytest

from lab.bench.options import SCENARIOS
from tests.lab.commands import run_stack_command

CASES = {
    "a": "many products, 0 ms",
    "b": "one hot product, 0 ms",
    "c": "many products, 300 ms",
    "d": "sold-out rush",
    "e": "overload",
    "f": "history",
    "g": "repair",
    "h": "page: checkout POST",
    "i": "memory after 20 orders",
}


def test_a_smoke_run_measures_every_scenario_and_audits_clean(tmp_path: Path) -> None:
    done = run_stack_command("bench", "--smoke", "--json", str(tmp_path / "bench.json"))

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    measured = {figure["case"] for figure in report["figures"]}
    assert {letter for letter in SCENARIOS if CASES[letter] not in measured} == set()
    rates = [
        figure for figure in report["figures"] if (figure["case"], figure["figure"]) == (CASES["a"], "end to end/s")
    ]
    assert {figure["shop"] for figure in rates} == {"orderly", "naive", "typical"}
    assert all(figure["median"] > 0 for figure in rates)
    assert "| history" in done.stdout


@pytest.mark.parametrize("arguments", [["--scenarios", "x"], ["--rounds", "0"], ["--against", "/nowhere"]])
def test_what_can_not_be_run_is_refused_at_once(arguments: list[str]) -> None:
    done = run_stack_command("bench", *arguments)

    assert done.returncode == 2
    assert arguments[0] in done.stderr
