"""Whatever a cluster, a manifest or a file name holds, a report stays a report."""

import json
from typing import Any

import pytest

from dynocheck.core.outcomes import (
    Chart,
    Finding,
    Location,
    Mark,
    Outcome,
    Panel,
    Report,
    Series,
    Subject,
    SuppressedFinding,
    Table,
    Tool,
)
from dynocheck.reports import FORMATS, ReportOptions, render_report
from dynocheck.reports._text import MARKS
from tests.reports.samples import report, verdict
from tests.reports.schemas import valid_junit, valid_report, valid_sarif

HOSTILE = {
    "markup": "[red]x[/red][link=http://evil]",
    "escape": "\x1b[2J\x1b]0;title\x07\x9b31m",
    "newline": "a\n  ✔ pass  storage.fake  All is well\r\nb\x85\u2028c",
    "script": """<script>alert(1)</script><img src=//e.x onerror=alert(1)>"'><svg onload=alert(1)>&lt;""",
    "style": "</style></title></svg></pre></code></details><style>*{background:url(//e.x)}",
    "markdown": "|`x`| @me #12 GH-1 <b>[l](http://e.x) ![p](//e.x) https://e.x www.e.x a@b.cd $T$ *a* _b_",
    "fence": "```\n</details> ~~~ ```` \n---",
    "cdata": "]]>--><![CDATA[<failure/>&amp;&#27;",
    "rtl": "gpj.\u202egnp\u2066\u200f",
    "invisible": "admin\u200b\u00ad\ufeff",
    "surrogate": "\udcff\ud83d",
    "nonchar": "\x00\ufffe\uffff\U0001fffe",
    "huge": "x" * 100_000,
    "empty": "",
    "blank": " \t ",
}


def filled(text: str, outcome: Outcome = Outcome.FAIL) -> Report:
    """A report that says the text wherever a report can hold text."""
    found = Finding(
        outcome=outcome,
        message=text,
        fix=text,
        evidence={text: text, "list": [text], "nested": {text: {text: text}}},
        subject=Subject(text, text, text),
        location=Location(text, 1, 2),
    )
    suppressed = tuple(SuppressedFinding(by=by, reason=text, finding=found) for by in ("comment", "baseline"))
    one = verdict(outcome, text, text, found, found, area=text, suppressed=suppressed)
    whole = Table(id=text, title=text, columns=(text, text), rows=((text, (text, 1)),), note=text)
    tables = whole, Table(id=text, title=text, note=text)
    kinds = {"histogram": 1, "timeline": 1, "curve": 2}
    charts = tuple(_chart(text, kind, many) for kind, many in kinds.items())
    said: dict[str, Any] = {
        "tool": Tool(text, text),
        "command": text,
        "target": {text: text, "recipe": [text]},
    }
    return report(one, one, tables=tables, charts=charts, **said)


def _chart(text: str, kind: Any, many: int) -> Chart:
    return Chart(id=text, title=text, kind=kind, panels=(_panel(text, many),), note=text)


def _panel(text: str, many: int) -> Panel:
    """With so many values for two places."""
    series = Series(name=text, x=(1.0, 2.0), y=(3.0, 1.0)[:many], labels=(text,) * many)
    return Panel(title=text, x=text, y=text, series=(series,), marks=(Mark(text, 1.5),), note=text)


@pytest.fixture(params=list(HOSTILE.values()), ids=list(HOSTILE))
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("format", FORMATS)
def test_nothing_reaches_a_terminal_but_printable_text(
    text: str,
    outcome: Outcome,
    format: str,  # noqa: A002
) -> None:
    rendered = render_report(filled(text, outcome), format)
    unprintable = {char for char in rendered if not char.isprintable()} - {"\n", "\t"}
    assert unprintable == set()
    rendered.encode()


@pytest.mark.parametrize("outcome", Outcome)
def test_the_formats_for_programs_stay_valid(text: str, outcome: Outcome) -> None:
    valid_report(render_report(filled(text, outcome), "json"))
    valid_sarif(render_report(filled(text, outcome), "sarif"))
    root = valid_junit(render_report(filled(text, outcome), "junit"))
    assert len(root) == 1
    assert len(root[0].findall("testcase")) == 2


def test_a_name_cannot_add_a_line_to_the_table(text: str) -> None:
    lines = render_report(filled(text), "table", ReportOptions(detail="verbose")).splitlines()
    starts = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert starts.count("✘") == 2
    assert "✔" not in starts
    assert [line[0] for line in lines if line[:1] in MARKS.values()].count("✘") == 3


def test_what_was_there_can_be_seen() -> None:
    shown = render_report(filled("a\x1b\n\u202e\udcff[red]b"), "table")
    assert r"fix: a\x1b\n\u202e\udcff[red]b" in shown
    assert r'name="a\x1b\n\u202e\udcff[red]b"' in render_report(filled("a\x1b\n\u202e\udcff[red]b"), "junit")


def test_json_gives_back_every_character_it_can_carry() -> None:
    said = (
        "".join(chr(code) for code in range(0x3000) if not 0xD800 <= code < 0xE000) + "\U000e0001\U0001f600"
    )
    read: Any = json.loads(render_report(filled(said), "json"))
    assert read["verdicts"][0]["message"] == said


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "gbk", "shift_jis"])
def test_every_encoding_can_carry_the_table(text: str, encoding: str) -> None:
    render_report(filled(text + "名ü✔"), "table", ReportOptions(encoding=encoding)).encode(encoding)
