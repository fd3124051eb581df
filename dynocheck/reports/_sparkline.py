"""Charts as block characters, for a terminal."""

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
    """The panels of a chart as lines of text; none for a curve, which text cannot show.

    :param width: in terminal cells.
    :param show: sanitizes text for the encoding of the terminal.
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
    """The height of a panel in lines: several for a few histograms with a shape to see, else one."""
    shaped = chart.kind == "histogram" and len(panel.series[0].y) >= _SHAPE
    return _HIGH if shaped and len(chart.panels) <= _FEW else 1


def _describe_axis(kind: str, panel: Panel) -> str:
    """The range and unit of the x axis, or the mean of a timeline."""
    series = panel.series[0]
    if kind == "timeline":
        mean = sum(series.y) / len(series.y)
        return f"mean {mean:.4g} over {series.x[-1] - series.x[0]:.4g} {panel.x}"
    along = f"{series.x[0]:.4g} to {series.x[-1]:.4g} {panel.x}"
    return f"{along}, log" if panel.log else along


def _draw_columns(panel: Panel, kind: str, room: int, high: int, levels: str) -> list[str]:
    """The values as columns of blocks; the highest value fills all lines."""
    values = _fit_values(panel.series[0].y, room, mean=kind == "timeline")
    top = max(values)
    eighths = [math.ceil(value / top * 8 * high) if top > 0 < value else 0 for value in values]
    return [
        "".join(levels[min(max(size - 8 * line, 0), 8)] for size in eighths) for line in reversed(range(high))
    ]


def _fit_values(values: Sequence[float], room: int, *, mean: bool) -> list[float]:
    """The values merged with their neighbours, or repeated, to fit the room."""
    together = math.ceil(len(values) / room)
    groups = [values[start : start + together] for start in range(0, len(values), together)]
    merged = [sum(group) / len(group) if mean else sum(group) for group in groups]
    wide = max(room // len(merged), 1)
    return [value for value in merged for _ in range(wide)]
