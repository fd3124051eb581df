"""The page in a real browser, where one is installed."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dynocheck.reports import render_report
from tests.reports import test_golden
from tests.reports.browser import Page, browser, chromium
from tests.reports.samples import every_outcome, with_charts
from tests.reports.test_hostile import HOSTILE, filled

_BOXES = """
[...document.querySelectorAll('figure > svg')].map(picture => {
  const box = picture.getBoundingClientRect();
  const parts = [...picture.querySelectorAll('rect, path, circle, text')].filter(part => {
    const own = part.getBoundingClientRect();
    return own.width + own.height > 0 && own.left >= box.left - 2 && own.right <= box.right + 2;
  });
  return [box.width, box.height, parts.length, picture.querySelectorAll('rect, path, circle, text').length];
})
"""
_COLORS = """
[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && [...e.childNodes].some(
    n => n.nodeType === 3 && n.data.trim())).map(e => {
  const back = part => {
    const own = getComputedStyle(part).backgroundColor;
    return own === 'rgba(0, 0, 0, 0)' && part.parentElement ? back(part.parentElement) : own;
  };
  const style = getComputedStyle(e);
  return [e.namespaceURI.endsWith('svg') ? style.fill : style.color, back(e), e.tagName];
})
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser."""
    with browser(chromium(), tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with something of everything."""
    file = tmp_path / "report.html"
    seen = with_charts()
    whole = msgspec.structs.replace(every_outcome(), tables=seen.tables, charts=seen.charts)
    file.write_text(render_report(whole, "html"), encoding="utf-8")
    return file


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_shows_without_a_complaint_and_asks_for_nothing(shown: Page, page: Path, dark: bool) -> None:
    shown.open(page, dark=dark)
    assert shown.trouble == []
    assert shown.requests == [page.as_uri()]
    assert shown.run("document.querySelector('h1').innerText") == "✘ not fit"


@pytest.mark.parametrize("width", [1100, 390], ids=["desk", "telephone"])
def test_charts_have_boxes_that_hold_all_their_parts(shown: Page, page: Path, width: int) -> None:
    shown.open(page, width=width)
    boxes = shown.run(_BOXES)
    assert len(boxes) == 3
    for wide, high, inside, parts in boxes:
        assert wide > 250
        assert high > 100
        assert inside == parts > 8
    assert shown.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("name", ["one-failure", "many-of-one-cause", "no-rights", "large", "smoke", "load"])
def test_the_first_problem_and_its_fix_are_there_without_scrolling(
    shown: Page, tmp_path: Path, name: str, width: int
) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_report(test_golden.run(name), "html"), encoding="utf-8")
    shown.open(file, width=width)
    place = "document.querySelector('article .fix').getBoundingClientRect()"
    assert 0 < shown.run(f"{place}.top") < shown.run(f"{place}.bottom") < 700
    assert shown.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(shown: Page, page: Path, dark: bool) -> None:
    """By 4.5 to 1, as WCAG 2 asks of text (level AA)."""
    shown.open(page, dark=dark)
    found = shown.run(_COLORS)
    assert len(found) > 60
    assert [each for each in found if contrast(each[0], each[1]) < 4.5] == []
    behind = {each[1] for each in found}
    assert all((luminance(color) < 0.2) is dark for color in behind)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    """The relative luminance of `rgb(r, g, b)`, as WCAG 2 defines it."""
    shares = [int(part) / 255 for part in color.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize("name", ["script", "style", "markdown", "cdata"])
def test_names_that_would_do_something_do_nothing(shown: Page, tmp_path: Path, name: str) -> None:
    file = tmp_path / "hostile.html"
    file.write_text(render_report(filled(HOSTILE[name]), "html"), encoding="utf-8")
    shown.open(file)
    assert shown.trouble == []
    assert shown.requests == [file.as_uri()]
    assert shown.run("document.querySelector('pre').innerText") == HOSTILE[name]


def test_on_paper_what_is_folded_is_there(shown: Page, tmp_path: Path) -> None:
    file = tmp_path / "folded.html"
    file.write_text(render_report(filled("text"), "html"), encoding="utf-8")
    shown.open(file)
    text = "document.querySelector('details li').innerText"
    assert shown.run(text) == ""
    shown.call("Emulation.setEmulatedMedia", media="print")
    assert "ignored: text" in shown.run(text)
    shown.call("Emulation.setEmulatedMedia", media="")


def test_without_its_style_it_is_still_readable(shown: Page, page: Path) -> None:
    """As in a mail client that takes the style out."""
    shown.open(page)
    shown.run("document.querySelector('style').remove()")
    boxes = shown.run(_BOXES)
    assert all(wide > 250 and high > 100 for wide, high, *_ in boxes)
    lines = "[...document.querySelectorAll('figure path.grid, path.line')].map(e => getComputedStyle(e).fill)"
    assert set(shown.run(lines)) == {"none"}
