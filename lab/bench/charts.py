"""The charts: bars in SVG, from plain strings."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from statistics import median

from lab.bench.figures import Figures

WIDTH, LABEL, BAR, GAP, HEAD = 720, 190, 18, 6, 40
COLORS = {"orderly": "#2f6f4f", "naive": "#b5651d", "typical": "#6b7a99"}
SHADES = ("#2f6f4f", "#b5651d", "#6b7a99", "#8c2f39", "#c9a227", "#4a90a4", "#7b5e7b", "#999999", "#3d3d3d")
SHOPS = tuple(COLORS)


def draw_speed(figures: Figures) -> str:
    """Orders a second from the first POST to the last end, by case and shop."""
    bars = [
        (name.case if shop == "orderly" else "", shop, [(COLORS[shop], median(values))])
        for name, shops in figures.values.items()
        if name.figure == "end to end/s"
        for shop, values in shops.items()
    ]
    return draw_bars("Orders a second, end to end (median)", bars, dict(COLORS))


def draw_costs(figures: Figures) -> str:
    """CPU ms an order, by process, with many products and no latency."""
    case = "CPU of many products, 0 ms"
    processes = [name.figure for name in figures.values if name.case == case]
    legend = dict(zip(processes, cycle(SHADES), strict=False))
    bars = []
    for shop in SHOPS:
        parts = [(legend[name], median(values)) for name in processes if (values := figures.find(case, name, shop))]
        if parts:
            bars.append((shop, "", parts))
    return draw_bars("CPU of an order in ms, by process (median)", bars, legend)


def draw_bars(
    title: str, bars: Sequence[tuple[str, str, Sequence[tuple[str, float]]]], legend: Mapping[str, str]
) -> str:
    """Each bar: a label before it, a word after it, and its parts as (colour, value)."""
    most = max((sum(value for _, value in parts) for _, _, parts in bars), default=0) or 1
    scale = (WIDTH - LABEL - 150) / most
    shapes, x, y = [text(0, 16, title, weight="bold")], 0.0, HEAD
    for name, color in legend.items():
        shapes += [box(x, 24, 10, 10, color), text(x + 14, 33, name)]
        x += 24 + 7 * len(name)
    for label, word, parts in bars:
        y += GAP if label and word else 0
        shapes.append(text(0, y + 13, label))
        x = LABEL
        for color, value in parts:
            shapes.append(box(x, y, value * scale, BAR - 4, color))
            x += value * scale
        shapes.append(text(x + 6, y + 12, f"{sum(value for _, value in parts):.3g} {word}".strip()))
        y += BAR
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 {WIDTH + 16} {y + 8}" font-family="sans-serif" font-size="12">\n<rect x="-8" width="{WIDTH + 16}" height="{y + 8}" fill="#fff"/>\n' + "\n".join(shapes) + "\n</svg>\n"  # fmt: skip # noqa: E501


def box(x: float, y: float, width: float, height: float, color: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>'


def text(x: float, y: float, words: str, *, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}">{escape(words)}</text>'
