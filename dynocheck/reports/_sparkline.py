"""The charts of a report, in the characters of a terminal."""

import math
from collections.abc import Callable, Iterator, Sequence

from rich.cells import cell_len

from dynocheck.core.outcomes import Chart, Panel
from dynocheck.reports._wrapping import wrap

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " ..::||##"
_HIGH = 4
_FEW = 4
_SHAPE = 10
_WIDTH = 40
_NARROWEST = 20
_GAP = 2


def draw_lines(chart: Chart, width: int, show: Callable[[str], str]) -> Iterator[str]:
    """Its panels as lines that the width holds; nothing of a curve, which a line of text cannot show.

    :param width: in cells of the terminal.
    :param show: makes foreign text harmless, in the encoding of the terminal.
    """
    if chart.kind == "curve":
        return
    levels = _BLOCKS if show(_BLOCKS) == _BLOCKS else _ASCII
    panels = [panel for panel in chart.panels if panel.series and panel.series[0].y]
    titles = [show(panel.title) for panel in panels]
    column = max(map(cell_len, titles), default=0) + _GAP
    for panel, title in zip(panels, titles, strict=True):
        tail = show(_describe_axis(chart.kind, panel))
        beside = f"{title}{' ' * (column - cell_len(title))}", f"{' ' * _GAP}{tail}"
        room = width - sum(map(cell_len, beside))
        if room < _NARROWEST:
            yield from wrap(f"{title}: {tail}", width)
            beside, room = (" " * _GAP, ""), width - _GAP
        *above, last = _draw_columns(
            panel, chart.kind, min(room, _WIDTH), _choose_height(chart, panel), levels
        )
        yield from (" " * cell_len(beside[0]) + line for line in above)
        yield last.join(beside)


def _choose_height(chart: Chart, panel: Panel) -> int:
    """How many lines high a panel is: several where there is a shape to see, and not too many of them."""
    shaped = chart.kind == "histogram" and len(panel.series[0].y) >= _SHAPE
    return _HIGH if shaped and len(chart.panels) <= _FEW else 1


def _describe_axis(kind: str, panel: Panel) -> str:
    """What is along a line of blocks, in numbers."""
    series = panel.series[0]
    if kind == "timeline":
        mean = sum(series.y) / len(series.y)
        return f"mean {mean:.4g} over {series.x[-1] - series.x[0]:.4g} {panel.x}"
    along = f"{series.x[0]:.4g} to {series.x[-1]:.4g} {panel.x}"
    return f"{along}, log" if panel.log else along


def _draw_columns(panel: Panel, kind: str, room: int, high: int, levels: str) -> list[str]:
    """The values as columns of blocks, so many lines high; the highest fills them all."""
    values = _fit_values(panel.series[0].y, room, mean=kind == "timeline")
    top = max(values)
    eighths = [math.ceil(value / top * 8 * high) if top > 0 < value else 0 for value in values]
    return [
        "".join(levels[min(max(size - 8 * line, 0), 8)] for size in eighths) for line in reversed(range(high))
    ]


def _fit_values(values: Sequence[float], room: int, *, mean: bool) -> list[float]:
    """Neighbours put together where there is no room for each, or drawn wider where there is for more."""
    together = math.ceil(len(values) / room)
    groups = [values[start : start + together] for start in range(0, len(values), together)]
    merged = [sum(group) / len(group) if mean else sum(group) for group in groups]
    wide = max(room // len(merged), 1)
    return [value for value in merged for _ in range(wide)]
