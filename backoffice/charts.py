"""Bar charts that a template draws as SVG. They need no script, and every value stands in a table too."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

WIDTH, HEIGHT = 720, 160  # of the bars, in the SVG's own units
GAP = 0.25  # the part of a column that stays empty


@dataclass(frozen=True)
class Box:
    """Where a bar is. The numbers are text, because a template would write them with the reader's decimal comma."""

    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True, kw_only=True)
class Bar:
    box: Box
    series: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart, ready to be drawn. `rows` is its table: a label, and a text for each of the `series`."""

    name: str
    title: str
    description: str
    series: list[tuple[str, str]]  # a kind, and what it is called
    bars: list[Bar]
    rows: list[tuple[str, list[str]]]
    ticks: list[tuple[str, str]]  # a place under the bars, and the label there
    top: str  # the value that the height of the chart stands for


def draw_chart(
    *,
    name: str,
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    names: Mapping[str, str],
    stacked: bool = True,
    format_value: Callable[[float], str] = str,
) -> Chart:
    """Draw a column of bars for each label: stacked, or side by side. The highest column is as high as the chart.

    `series` has the values of each kind of bar, in the order of the labels; `names` says what the kinds are called.
    """
    columns = [dict(zip(series, values, strict=True)) for values in zip(*series.values(), strict=True)]
    highest = max((sum(column.values()) if stacked else max(column.values()) for column in columns), default=0)
    width = WIDTH / max(len(labels), 1)
    bars = [
        Bar(box=box, series=f"{name}-{kind}", title=f"{label}, {names[kind]}: {format_value(column[kind])}")
        for number, (label, column) in enumerate(zip(labels, columns, strict=True))
        for kind, box in _place_bars(column, left=number * width, width=width, highest=highest, stacked=stacked)
    ]
    description = _("Bars from %(first)s to %(last)s, at most %(highest)s. The values are in the table below.")
    return Chart(
        name=name,
        title=title,
        description=description % {"first": labels[0], "last": labels[-1], "highest": format_value(highest)},
        series=[(kind, names[kind]) for kind in series],
        bars=bars,
        rows=[
            (label, [format_value(value) for value in column.values()])
            for label, column in zip(labels, columns, strict=True)
        ],
        ticks=[(_to_svg((number + 0.5) * width), labels[number]) for number in range(0, len(labels), 4)],
        top=format_value(highest),
    )


def _place_bars(
    column: Mapping[str, float], *, left: float, width: float, highest: float, stacked: bool
) -> Iterator[tuple[str, Box]]:
    """The box of each kind of bar in a column. A value of 0 has none."""
    bar_width = width * (1 - GAP) / (1 if stacked else len(column))
    x, bottom = left + width * GAP / 2, float(HEIGHT)
    for kind, value in column.items():
        height = value / highest * HEIGHT if highest else 0
        if height:
            yield kind, Box(_to_svg(x), _to_svg(bottom - height), _to_svg(bar_width), _to_svg(height))
        if stacked:
            bottom -= height
        else:
            x += bar_width


def _to_svg(number: float) -> str:
    return f"{number:.2f}"
