"""The bench runs, every scenario of it, and ends in a clean audit; on one that is not clean it fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.bench.options import SCENARIOS
from lab.stack.var import BASE_DIR
from tests.servers import GIVEN

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


def run_bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "lab.stack", "bench", *arguments],
        cwd=BASE_DIR,
        env=GIVEN,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_a_smoke_run_measures_every_scenario_and_audits_clean(tmp_path: Path) -> None:
    done = run_bench("--smoke", "--json", str(tmp_path / "bench.json"))

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
    done = run_bench(*arguments)

    assert done.returncode == 2
    assert arguments[0] in done.stderr
