"""Draws the points of `bench scale` as SVG: `python growth_plot.py docs/growth.json docs/growth.svg`."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

PARTS = (
    ("aggregator_us", "aggregators", "#2f6db5"),
    ("postgres_us", "Postgres", "#8db6e2"),
    ("kafka_us", "Kafka", "#c9c9c9"),
)
PANEL_WIDTH, PANEL_HEIGHT = 460, 240
LEFT, TOP, BAR_AREA = 40, 44, 140
COLUMNS = 2
BAR_SHARE = 0.55
"""Width of a bar as a share of its place."""


def draw(points: Iterable[Mapping[str, Any]]) -> str:
    """A panel for each axis. A bar is the processor time per event by process; above it are the events per second."""
    panels: dict[str, list[Mapping[str, Any]]] = {}
    for point in points:
        panels.setdefault(point["axis"], []).append(point)
    highest = max((cpu_of(point) for panel in panels.values() for point in panel), default=1.0)
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * PANEL_WIDTH, rows * PANEL_HEIGHT + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (axis, panel) in enumerate(panels.items()):
        left, top = number % COLUMNS * PANEL_WIDTH, number // COLUMNS * PANEL_HEIGHT
        parts += [f'<g transform="translate({left} {top})">', *draw_panel(axis, panel, highest), "</g>"]
    parts += [*draw_legend(height - 18), "</svg>"]
    return "\n".join(parts) + "\n"


def draw_panel(axis: str, panel: list[Mapping[str, Any]], highest: float) -> Iterator[str]:
    place = (PANEL_WIDTH - LEFT - 20) / len(panel)
    base = TOP + BAR_AREA
    yield f'<text x="{LEFT}" y="22" font-weight="bold">{escape(axis)}: µs of processor per event</text>'
    for number, point in enumerate(panel):
        x, bottom = LEFT + place * (number + (1 - BAR_SHARE) / 2), float(base)
        middle = x + place * BAR_SHARE / 2
        for name, _, color in PARTS:
            size = point[name] / highest * (BAR_AREA - 16)
            bottom -= size
            yield f'<rect x="{x:.1f}" y="{bottom:.1f}" width="{place * BAR_SHARE:.1f}" height="{size:.1f}" fill="{color}"/>'
        yield f'<text x="{middle:.1f}" y="{bottom - 5:.1f}" text-anchor="middle">{cpu_of(point):.1f}</text>'
        yield f'<text x="{middle:.1f}" y="{base + 16}" text-anchor="middle">{point["value"]:,}</text>'
        speed = f"{point['events_per_second']:,.0f}/s"
        yield f'<text x="{middle:.1f}" y="{base + 32}" text-anchor="middle" fill="#666">{speed}</text>'
    yield f'<line x1="{LEFT}" y1="{base}" x2="{PANEL_WIDTH - 20}" y2="{base}" stroke="#222"/>'


def draw_legend(y: int) -> Iterator[str]:
    for number, (_, name, color) in enumerate(PARTS):
        x = LEFT + number * 120
        yield f'<rect x="{x}" y="{y}" width="11" height="11" fill="{color}"/><text x="{x + 17}" y="{y + 10}">{name}</text>'


def cpu_of(point: Mapping[str, Any]) -> float:
    return float(sum(point[name] for name, _, _ in PARTS))


if __name__ == "__main__":
    source, target = sys.argv[1:]
    Path(target).write_text(draw(json.loads(Path(source).read_text())))
