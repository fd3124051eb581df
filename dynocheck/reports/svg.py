"""Charts as inline SVG: no scripts or references, and readable without the style of the page."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple
from xml.etree.ElementTree import Element

from dynocheck.core.outcomes import Chart, Panel, Series
from dynocheck.reports._text import shorten
from dynocheck.reports._xml import make_element

_WIDTH, _HEIGHT = 440, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 30, 34
_COLORS = ("#2166ac", "#b35806", "#1b7837", "#762a83")
_DASHES = (None, "6 3", "2 2", "8 3 2 3")
_LETTER = 6.0  # the approximate width of a letter


class Scale(NamedTuple):
    """Maps values from `low` to `high` to coordinates from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._transform(self.low), self._transform(self.high)
        share = (self._transform(value) - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * share

    def _transform(self, value: float) -> float:
        return math.log(value) if self.log else value


def draw_figures(chart: Chart) -> Iterator[Element]:
    """A figure for each panel that has values."""
    for panel in chart.panels:
        if any(series.y for series in panel.series):
            yield _draw_figure(chart.kind, panel)


def _draw_figure(kind: str, panel: Panel) -> Element:
    along, up = _make_scales(kind, panel)
    inside = [*_draw_grid(along, up, panel), *_draw_values(kind, panel, along, up)]
    if kind == "histogram":
        inside += _draw_marks(panel, along)
    if kind == "curve":
        inside += _draw_labels(panel.series[-1], along, up)
    picture = make_element(
        "svg",
        make_element("title", _describe_panel(kind, panel)),
        *inside,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        class_=kind,
        font_family="sans-serif",
        font_size=10,
    )
    note = make_element("span", f" {shorten(_format_note(panel))}", class_="note")
    caption = make_element(
        "figcaption", make_element("b", shorten(panel.title)), note, *_draw_legend(kind, panel)
    )
    return make_element("figure", caption, picture)


def _format_note(panel: Panel) -> str:
    marks = [f"{mark.name} {mark.at:.4g} {panel.x}" for mark in panel.marks]
    return ", ".join(filter(None, [panel.note, *marks]))


def _describe_panel(kind: str, panel: Panel) -> str:
    """The description of a panel for screen readers."""
    values = [value for series in panel.series for value in series.y]
    text = f"{kind} of {panel.title}: {panel.y}, from {min(values):.4g} to {max(values):.4g}, by {panel.x}"
    marks = "".join(f"; {mark.name} {mark.at:.4g} {panel.x}" for mark in panel.marks)
    return shorten(text + marks)


def _make_scales(kind: str, panel: Panel) -> tuple[Scale, Scale]:
    places = [x for series in panel.series for x in series.x]
    values = [y for series in panel.series for y in series.y]
    low, high = min(places), max(places)
    if kind == "curve":
        low = min(low, 0.0)
    along = Scale(low, high, _LEFT, _WIDTH - _RIGHT, panel.log and low > 0)
    return along, Scale(min(*values, 0.0), max(*values, 0.0) or 1.0, _HEIGHT - _BOTTOM, _TOP)


def _draw_grid(along: Scale, up: Scale, panel: Panel) -> Iterator[Element]:
    for value in _choose_ticks(up, 4):
        y = up(value)
        yield make_element(
            "path", d=f"M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}", class_="grid", stroke="#bbb", fill="none"
        )
        yield _draw_text(f"{value:g}", _LEFT - 5, y + 3.5, "end")
    for value in _choose_ticks(along, 5):
        yield _draw_text(f"{value:g}", along(value), _HEIGHT - _BOTTOM + 14, "middle")
    text = f"{panel.x} (log)" if along.log else panel.x
    yield _draw_text(shorten(text), (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, "middle")
    if panel.y not in panel.title:
        yield _draw_text(shorten(panel.y), 4, 11, "start")


def _draw_text(text: str, x: float, y: float, anchor: str) -> Element:
    return make_element("text", text, x=round(x, 1), y=round(y, 1), text_anchor=anchor, fill="#555")


def _choose_ticks(scale: Scale, many: int) -> list[float]:
    """About `many` round values between the ends of a scale."""
    if scale.log and scale.high / scale.low >= 10:
        powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
        digits = (1,) if len(powers) > 4 else (1, 3) if len(powers) > 3 else (1, 2, 5)
        values = [digit * 10.0**power for power in powers for digit in digits]
    else:
        rough = (scale.high - scale.low) / many
        if rough <= 1e-9 * max(abs(scale.low), abs(scale.high), 1e-9):
            return [scale.low]
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * 0.999)
        first = math.ceil(scale.low / step)
        values = [float(f"{(first + n) * step:.6g}") for n in range(many + 2)]
    return [value for value in values if scale.low <= value <= scale.high]


def _draw_values(kind: str, panel: Panel, along: Scale, up: Scale) -> Iterator[Element]:
    for number, series in enumerate(panel.series):
        if not series.y:
            continue
        if kind == "histogram":
            yield from _draw_bars(series, panel, along, up)
        elif kind == "timeline":
            yield _draw_area(series, along, up)
        else:
            yield from _draw_line(series, panel, along, up, number)


def _draw_bars(series: Series, panel: Panel, along: Scale, up: Scale) -> Iterator[Element]:
    """A bar between each two x, with its range and count as a tooltip."""
    for (left, right), value in zip(pairwise(series.x), series.y, strict=False):
        if value:
            x, top = along(left), up(value)
            text = f"{left:.4g} to {right:.4g} {panel.x}: {value:g} {panel.y}"
            yield make_element(
                "rect",
                make_element("title", shorten(text)),
                x=round(x, 1),
                y=round(top, 1),
                width=round(max(along(right) - x - 0.6, 0.8), 1),
                height=round(max(up(0.0) - top, 0.8), 1),
                class_="bar",
                fill=_COLORS[0],
            )


def _draw_area(series: Series, along: Scale, up: Scale) -> Element:
    """Steps, filled down to zero."""
    base = f"{up(0.0):.1f}"
    steps = "".join(
        f"L{along(left):.1f} {up(value):.1f}H{along(right):.1f}"
        for (left, right), value in zip(pairwise(series.x), series.y, strict=False)
    )
    path = f"M{along(series.x[0]):.1f} {base}{steps}V{base}Z"
    return make_element("path", d=path, class_="area", fill=_COLORS[0], fill_opacity=0.5, stroke=_COLORS[0])


def _draw_line(series: Series, panel: Panel, along: Scale, up: Scale, number: int) -> Iterator[Element]:
    places = [(along(x), up(y)) for x, y in zip(series.x, series.y, strict=False)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    yield make_element("path", d=path, class_=f"line s{number}", **_choose_stroke(number))
    labels: Sequence[str] = series.labels or [series.name] * len(series.y)
    for (x, y), label, along_at, value in zip(places, labels, series.x, series.y, strict=False):
        text = f"{series.name}, {label}: {value:g} {panel.y} at {along_at:g} {panel.x}"
        yield make_element(
            "circle",
            make_element("title", shorten(text)),
            cx=round(x, 1),
            cy=round(y, 1),
            r=3.5,
            class_=f"dot s{number}",
            fill=_COLORS[number % len(_COLORS)],
        )


def _draw_labels(series: Series, along: Scale, up: Scale) -> Iterator[Element]:
    """The labels of a series above its points, except those that would overlap."""
    free = 0.0
    for label, x, y in sorted(zip(series.labels, series.x, series.y, strict=False), key=lambda each: each[1]):
        wide = len(label) * _LETTER
        left = min(along(x) - wide / 2, _WIDTH - wide)
        if left >= free:
            yield _draw_text(shorten(label), left, up(y) - 7, "start")
            free = left + wide + _LETTER


def _choose_stroke(number: int) -> dict[str, str | float | None]:
    """The stroke of a series, distinct by colour and by dashes."""
    return {
        "fill": "none",
        "stroke": _COLORS[number % len(_COLORS)],
        "stroke_width": 2,
        "stroke_dasharray": _DASHES[number % len(_DASHES)],
    }


def _draw_marks(panel: Panel, along: Scale) -> Iterator[Element]:
    """A line at each mark, with its name above, moved to avoid overlaps."""
    free = 0.0
    for mark in sorted(panel.marks, key=lambda mark: mark.at):
        if not along.low <= mark.at <= along.high:
            continue
        x = along(mark.at)
        name = shorten(mark.name)
        yield make_element(
            "path",
            make_element("title", shorten(f"{mark.name} {mark.at:.4g} {panel.x}")),
            d=f"M{x:.1f} {_TOP - 2}V{_HEIGHT - _BOTTOM}",
            class_="mark",
            fill="none",
            stroke="#000",
            stroke_dasharray="3 2",
        )
        wide = len(name) * _LETTER
        left = max(min(x - wide / 2, _WIDTH - _RIGHT - wide), free)
        if left + wide <= _WIDTH:
            yield _draw_text(name, left, _TOP - 5, "start")
            free = left + wide + _LETTER


def _draw_legend(kind: str, panel: Panel) -> Iterator[Element]:
    """The legend of a curve."""
    if kind != "curve":
        return
    for number, series in enumerate(panel.series):
        line = make_element("path", d="M0 5H24", class_=f"line s{number}", **_choose_stroke(number))
        key = make_element("svg", line, viewBox="0 0 24 10", width=24, height=10, aria_hidden="true")
        yield make_element("span", key, f" {shorten(series.name)}", class_="key")
