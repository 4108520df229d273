"""What one order was measured to cost, and what the bench found: from the bench's page and from a file of our own."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.bench.document import BEGIN, DOCS, END

FILE = Path(__file__).with_name("measured.json")  # `python -m lab.stack growth --measure` writes it
PAGE = DOCS / "performance.md"
CPU_CASE = "many products, 0 ms"

# From docs/performance/place.md, November 2026: seconds of PostgreSQL for the statement that places an order, and for
# the one that ends it. They lock the stock in their course, so for not longer than this and the commit.
PLACE_STATEMENT, END_STATEMENT = 0.87e-3, 0.69e-3
# From docs/performance.md, 2026-11-29: ms of CPU an order, where the provider sends webhook events.
EVENTS = {"web": 2.0, "postgres": 1.0}
# From docs/performance/products.md and place.md, 2026-11-29: ms of CPU of a kept page, with the web server's own.
PAGE_CPU = 2.4 + 0.6
# From docs/performance/history.md, November 2026: seconds of an audit for each order there ever was.
AUDIT_SECONDS = 15e-6


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Costs of one order, and the rates that were found. CPU is in ms, by process; all other times in seconds."""

    cpu: Mapping[str, float]
    generator: float  # ms of CPU a request, on the same cores
    log_bytes: float  # of PostgreSQL's log, without the images of pages that follow a checkpoint
    log_bytes_after_checkpoint: float
    disk_bytes: float  # of tables and indexes
    commits: float
    fsync: float
    bench: Mapping[tuple[str, str, str], float]  # by case, figure and shop
    rounds: Mapping[str, float]  # of measuring.py
    machine: str
    date: str  # of measured.json

    @property
    def order_cpu(self) -> float:
        """Seconds of CPU, load generator and provider included, as they are in the bench."""
        return (sum(self.cpu.values()) + self.generator) / 1000


def read_measured(*, page: Path = PAGE, file: Path = FILE) -> Measured:
    own: dict[str, Any] = json.loads(file.read_text())
    machine, bench = read_page(page.read_text())
    case = f"CPU of {CPU_CASE}"
    return Measured(
        cpu={process: value for (name, process, shop), value in bench.items() if (name, shop) == (case, "orderly")},
        generator=bench["load generator", "CPU ms/request", "orderly"],
        log_bytes=own["log_bytes"],
        log_bytes_after_checkpoint=own["log_bytes_after_checkpoint"],
        disk_bytes=own["disk_bytes"],
        commits=own["commits"],
        fsync=own["fsync_seconds"],
        bench=bench,
        rounds=own["rounds"],
        machine=machine,
        date=own["date"],
    )


def read_page(text: str) -> tuple[str, dict[tuple[str, str, str], float]]:
    """On which machine and when the bench ran last, and the medians in its tables."""
    written = text.partition(BEGIN)[2].partition(END)[0].strip()
    machine, *tables = written.split("\n\n")
    return machine, {key: value for table in tables for key, value in _read_table(table)}


def _read_table(table: str) -> Iterator[tuple[tuple[str, str, str], float]]:
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    for row in rows:
        for column, cell in list(zip(head, row, strict=True))[1:]:
            if not cell[:1].isdigit():
                continue
            value = float(cell.split()[0].replace(",", ""))
            if head[1] == "figure":
                yield (row[0], row[1], column), value
            else:
                yield (head[0].rpartition(", ms")[0] or head[0], column, row[0]), value
