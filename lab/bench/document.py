"""Writes what was measured into docs/performance.md, between its two marks, and the charts beside it."""

from pathlib import Path

from lab.bench.charts import draw_costs, draw_speed
from lab.bench.figures import Figures
from lab.bench.table import to_table
from lab.stack.var import BASE_DIR

DOCS = BASE_DIR / "docs"
BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"


def write_document(figures: Figures, machine: str, *, docs: Path = DOCS) -> None:
    """Replace the table and the charts; all else in the page stays."""
    page, charts = docs / "performance.md", docs / "charts"
    charts.mkdir(exist_ok=True)
    (charts / "speed.svg").write_text(draw_speed(figures))
    (charts / "costs.svg").write_text(draw_costs(figures))
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{machine}.\n\n{to_table(figures)}\n\n{END}{after}")
