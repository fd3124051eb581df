"""Charts in the characters of a terminal."""

import pytest
from rich.cells import cell_len

from dynocheck.core.outcomes import Chart, Panel, Series
from dynocheck.reports import ReportOptions, render_report
from tests.reports.samples import CHARTS, report


def lines(chart: Chart, **options: object) -> list[str]:
    """What a terminal shows of it, less its title."""
    shown = render_report(report(charts=(chart,)), "table", ReportOptions(**options))  # type: ignore[arg-type]
    drawn = shown.splitlines()
    return drawn[drawn.index(chart.title) + 1 :]


def timeline(*values: float, title: str = "in flight") -> Panel:
    places = tuple(float(n) for n in range(len(values) + 1))
    return Panel(title=title, x="s", y="requests", series=(Series(x=places, y=values),))


def over_time(*panels: Panel) -> Chart:
    return Chart(id="a.b", title="Over time", kind="timeline", panels=panels)


RISING = over_time(timeline(1, 2, 3, 4, 5, 6, 7, 8), timeline(0, 0.001, 8, title="failed/s"))


def test_a_histogram_has_columns_as_high_as_its_counts() -> None:
    """One that has a shape is four lines high, here a stair."""
    stair = Series(x=tuple(map(float, range(17))), y=tuple(map(float, range(1, 17))))
    panel = Panel(title="ttft", x="ms", y="requests", series=(stair,))
    assert lines(Chart(id="a.b", title="T", kind="histogram", panels=(panel,))) == [
        "                                ▂▂▄▄▆▆██",
        "                        ▂▂▄▄▆▆██████████",
        "                ▂▂▄▄▆▆██████████████████",
        "  ttft  ▂▂▄▄▆▆██████████████████████████  0 to 16 ms",
    ]
    assert (
        lines(Chart(id="a.b", title="T", kind="histogram", panels=(panel,) * 5))
        == ["  ttft  ▁▁▁▁▂▂▂▂▃▃▃▃▄▄▄▄▅▅▅▅▆▆▆▆▇▇▇▇████  0 to 16 ms"] * 5
    )


def test_a_histogram_of_few_bins_takes_a_line() -> None:
    assert lines(CHARTS[0]) == [
        f"  ttft  {'▄' * 10}{'█' * 10}{' ' * 10}{'▁' * 10}  10 to 160 ms, log",
        "  What the client blurred is not drawn.",
    ]


def test_a_timeline_is_a_line_a_panel() -> None:
    assert lines(RISING) == [
        "  in flight  ▁▁▁▁▁▂▂▂▂▂▃▃▃▃▃▄▄▄▄▄▅▅▅▅▅▆▆▆▆▆▇▇▇▇▇█████  mean 4.5 over 8 s",
        "  failed/s                ▁▁▁▁▁▁▁▁▁▁▁▁▁█████████████  mean 2.667 over 3 s",
    ]


def test_what_is_little_is_not_what_is_nothing() -> None:
    (line,) = lines(over_time(timeline(0, 1, 10_000)))
    assert line.split("  ")[-2].strip() == "▁" * 13 + "█" * 13


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "cp1252"])
def test_an_encoding_without_blocks_gets_ascii(encoding: str) -> None:
    drawn = lines(RISING, encoding=encoding)
    assert all(line.isascii() for line in drawn)
    assert drawn[0].split("  ")[2] == "".join(5 * each for each in "..::||##")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("many", [1, 7, 60, 1000])
def test_no_line_is_wider_than_the_terminal(width: int, many: int) -> None:
    long = over_time(timeline(*range(many), title="名" * 12), timeline(*range(many)))
    drawn = lines(long, width=width)
    assert all(cell_len(line) <= width for line in drawn)
    assert all("█" in line for line in drawn if "▁" in line)


def test_a_narrow_terminal_has_the_numbers_above() -> None:
    above, line = lines(over_time(timeline(1, 2, title="requests in flight")), width=40)
    assert above == "  requests in flight: mean 1.5 over 2 s"
    assert line == f"    {'▄' * 18}{'█' * 18}"


def test_neighbours_are_put_together_where_there_is_no_room() -> None:
    """Counts are added, and what lasts is averaged, so an empty moment beside a full one is half full."""
    places = tuple(float(n) for n in range(81))
    values = (0.0, 2.0) * 39 + (4.0, 4.0)
    series = Series(x=places, y=values)
    panel = Panel(title="t", x="s", y="n", series=(series,))
    (line,) = lines(over_time(panel))
    assert line.split("  ")[2] == "▂" * 39 + "█"
    many = Chart(id="a.b", title="T", kind="histogram", panels=(panel,) * 5)
    assert lines(many)[0].split("  ")[2] == "▂" * 39 + "█"


def test_a_curve_is_left_to_pages() -> None:
    assert "costs" not in render_report(report(charts=(CHARTS[2],)), "table")


def test_values_that_cannot_be_drawn_are_refused() -> None:
    for x, y, labels in (
        ((1.0,), (1.0, 2.0), ()),
        ((1.0, 2.0, 3.0), (1.0,), ()),
        ((1.0,), (float("nan"),), ()),
        ((float("inf"),), (1.0,), ()),
        ((1.0,), (1.0,), ("a", "b")),
    ):
        with pytest.raises(ValueError, match=r"values for|can be drawn"):
            Series(x=x, y=y, labels=labels)
