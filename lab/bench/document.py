"""Writes what was measured into docs/performance.md, between its two marks, and the charts beside it."""

from lab.bench.charts import draw_costs, draw_speed
from lab.bench.figures import Figures
from lab.bench.table import to_table
from lab.stack.var import BASE_DIR

DOCUMENT = BASE_DIR / "docs" / "performance.md"
CHARTS = BASE_DIR / "docs" / "charts"
BEGIN, END = "<!-- make bench writes from here -->", "<!-- to here -->"


def write_document(figures: Figures, machine: str) -> None:
    """Replace the table and the charts; all else in the page stays."""
    CHARTS.mkdir(exist_ok=True)
    (CHARTS / "speed.svg").write_text(draw_speed(figures))
    (CHARTS / "costs.svg").write_text(draw_costs(figures))
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{machine}.\n\n{to_table(figures)}\n\n{END}{after}")
