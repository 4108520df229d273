"""The figures as tables in Markdown: medians, how far they spread, and ratios within the rounds."""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from lab.bench.figures import Figures, Name

BY_PROCESS = ("CPU of ", "memory")


def to_table(figures: Figures) -> str:
    """Figures of whole shops; then the CPU of their processes in the first case that ran; then their memory."""
    whole = [name for name in figures.values if not name.case.startswith(BY_PROCESS)]
    cases = list(dict.fromkeys(name.case for name in figures.values if name.case.startswith(BY_PROCESS)))
    by_process = [case for case in cases if not case.startswith("CPU")]
    by_process[:0] = [case for case in cases if case.startswith("CPU")][:1]
    return "\n\n".join([draw_table(figures, whole), *(draw_processes(figures, case) for case in by_process)])


def draw_table(figures: Figures, names: Iterable[Name]) -> str:
    """A row a figure; the ratios are the first shop's to each other's, round by round."""
    shops = list_shops(figures)
    ours, *others = shops
    rows = []
    for name in names:
        values = figures.values[name]
        rows.append(
            [
                name.case,
                name.figure,
                *(describe(values.get(shop, [])) for shop in shops),
                *(describe(figures.find_ratios(name, ours, other), suffix=" x") for other in others),
            ]
        )
    return draw(["case", "figure", *shops, *(f"x {other}" for other in others)], rows)


def list_shops(figures: Figures) -> list[str]:
    """In the order in which they were first measured: ours is the first."""
    return list(dict.fromkeys(shop for shops in figures.values.values() for shop in shops))


def draw_processes(figures: Figures, case: str) -> str:
    """A column a process."""
    processes = [name.figure for name in figures.values if name.case == case]
    rows = [
        [shop, *(describe(figures.find(case, process, shop)) for process in processes)] for shop in list_shops(figures)
    ]
    unit = "ms an order" if case.startswith("CPU") else "MB, the largest process of that name"
    return draw([f"{case}, {unit}", *processes], [row for row in rows if any(row[1:])])


def describe(values: Sequence[float], suffix: str = "") -> str:
    """The median, and the least and the most where there is more than one value."""
    if not values:
        return ""
    middle = f"{show(median(values))}{suffix}"
    return middle if len(values) == 1 else f"{middle} ({show(min(values))}-{show(max(values))})"


def show(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def draw(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    return "\n".join(_draw_lines(head, rows, widths))


def _draw_lines(head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    for row in [head, ["-" * width for width in widths], *rows]:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
