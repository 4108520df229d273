"""The figures, and how they are shown: ratios are taken within a round, before the median."""

from argparse import ArgumentTypeError
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lab.bench.charts import draw_costs, draw_speed
from lab.bench.document import BEGIN, DOCS, END, write_document
from lab.bench.figures import Figures, Name
from lab.bench.options import SCENARIOS, read_scenarios
from lab.bench.table import to_table
from lab.bench.throughput import count_rounds, list_cases

CASE = "many products, 0 ms"


@pytest.fixture
def figures() -> Figures:
    """Three rounds; the machine was twice as slow in the second."""
    figures = Figures()
    for orderly, naive in ((50, 100), (20, 50), (60, 100)):
        figures.add(CASE, "end to end/s", orderly)
        figures.add(CASE, "end to end/s", naive, shop="naive")
        figures.add(f"CPU of {CASE}", "web", orderly / 10)
        figures.add(f"CPU of {CASE}", "postgres <1>", orderly / 20)
    return figures


def test_a_ratio_is_taken_round_by_round(figures: Figures) -> None:
    assert figures.find_ratios(Name(CASE, "end to end/s"), "orderly", "naive") == [0.5, 0.4, 0.6]


def test_the_json_has_medians_spread_and_ratios(figures: Figures) -> None:
    ours, theirs, *_ = figures.to_json()

    assert (ours["shop"], ours["median"], ours["least"], ours["most"]) == ("orderly", 50, 20, 60)
    assert ours["ratios"] == {"naive": {"median": 0.5, "least": 0.4, "most": 0.6, "values": [0.5, 0.4, 0.6]}}
    assert theirs["shop"] == "naive"


def test_the_table_has_a_row_for_each_figure_and_a_column_for_each_process(figures: Figures) -> None:
    whole, processes = to_table(figures).split("\n\n")

    assert "50 (20-60)" in whole
    assert "0.5 x (0.4-0.6)" in whole
    assert "postgres <1>" in processes.splitlines()[0]
    assert len(whole.splitlines()) == len(processes.splitlines()) == 3


def test_the_charts_are_svg_with_a_bar_for_each_value(figures: Figures) -> None:
    for svg, bars in ((draw_speed(figures), 2), (draw_costs(figures), 2)):
        root = ET.fromstring(svg)  # noqa: S314 - our own
        shapes = [shape for shape in root.iter("{http://www.w3.org/2000/svg}rect") if shape.get("height") == "14.0"]
        assert len(shapes) == bars


def test_the_page_is_written_between_its_marks_and_stays_as_it_is_elsewhere(figures: Figures, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"Before\n{BEGIN}\nold figures\n{END}\nafter\n")

    write_document(figures, "Some machine", docs=tmp_path)
    write_document(figures, "Some machine", docs=tmp_path)

    text = page.read_text()
    assert text.startswith(f"Before\n{BEGIN}\n\nSome machine.\n\n| case")
    assert text.endswith(f"|\n\n{END}\nafter\n")
    assert "old figures" not in text
    assert text.count("Some machine") == 1
    assert len(list((tmp_path / "charts").glob("*.svg"))) == 2


def test_the_page_describes_every_scenario() -> None:
    page = (DOCS / "performance.md").read_text()

    assert [letter for letter in SCENARIOS if f"\n| {letter} | " not in page] == []


def test_the_chart_of_costs_has_room_for_any_number_of_processes(figures: Figures) -> None:
    for number in range(20):
        figures.add(f"CPU of {CASE}", f"worker {number}", 1.0)

    assert "worker 19" in draw_costs(figures)


def test_scenarios_are_letters_run_in_one_order_with_history_last() -> None:
    assert read_scenarios("f,b a") == "abf"
    with pytest.raises(ArgumentTypeError, match="no scenario x"):
        read_scenarios("ax")


def test_a_case_that_two_scenarios_have_is_run_once() -> None:
    names = [case.name for case in list_cases("abc")]

    assert len(names) == len(set(names)) == 5
    assert count_rounds("abcd") == 3 + 4 * 2 + 2
