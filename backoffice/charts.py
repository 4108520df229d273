"""Bar charts as plain figures that a template draws as SVG: no scripts, and every value is there as text too."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

WIDTH, HEIGHT = 720, 160  # of the bars, in the SVG's own units
GAP = 0.25  # of a bar's place


@dataclass(frozen=True)
class Box:
    """Where a bar is; as text, because a localized decimal comma is not SVG."""

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
    """`rows` are what the bars show: a label, and a text for each of the `series`."""

    name: str
    title: str
    description: str
    series: list[tuple[str, str]]  # the kind, and its label
    bars: list[Bar]
    rows: list[tuple[str, list[str]]]
    ticks: list[tuple[str, str]]  # where under the bars, and the label there
    top: str


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
    """A bar for each label and series: on top of each other, or side by side. The highest fills the chart.

    `series` has the values of each kind, `names` what the kinds are called.
    """
    columns = list(zip(*series.values(), strict=True))
    highest = max((sum(column) if stacked else max(column) for column in columns), default=0)
    place = WIDTH / max(len(labels), 1)
    bars = [
        Bar(box=box, series=f"{name}-{kind}", title=f"{label}, {names[kind]}: {format_value(value)}")
        for number, (label, column) in enumerate(zip(labels, columns, strict=True))
        for kind, value, box in _place_column(series, column, number * place, place, highest, stacked=stacked)
    ]
    return Chart(
        name=name,
        title=title,
        description=_("Bars from %(first)s to %(last)s, at most %(most)s. The values are in the table below.")
        % {"first": labels[0], "last": labels[-1], "most": format_value(highest)},
        series=[(kind, names[kind]) for kind in series],
        bars=bars,
        rows=[
            (label, [format_value(value) for value in column]) for label, column in zip(labels, columns, strict=True)
        ],
        ticks=[(_number((number + 0.5) * place), label) for number, label in enumerate(labels) if number % 4 == 0],
        top=format_value(highest),
    )


def _place_column(
    series: Mapping[str, Sequence[float]],
    column: Sequence[float],
    left: float,
    place: float,
    highest: float,
    *,
    stacked: bool,
) -> Iterator[tuple[str, float, Box]]:
    """(series, value, box) of the bars that have a height."""
    width = place * (1 - GAP) / (1 if stacked else len(column))
    x, bottom = left + place * GAP / 2, float(HEIGHT)
    for kind, value in zip(series, column, strict=True):
        height = value / highest * HEIGHT if highest else 0
        if height:
            yield kind, value, Box(_number(x), _number(bottom - height), _number(width), _number(height))
        if stacked:
            bottom -= height
        else:
            x += width


def _number(value: float) -> str:
    return f"{value:.2f}"
