"""The Markdown, as a reader of GitHub's dialect renders it."""

import re
from itertools import product
from string import ascii_lowercase

import pytest
from lxml import etree
from lxml import html as lxml_html
from markdown_it import MarkdownIt

from dynocheck.core.outcomes import Location, Outcome, Report
from dynocheck.reports import render_report
from dynocheck.reports._text import sanitize
from tests.reports.samples import (
    FAIL,
    PASS,
    SKIP,
    UNREACHABLE,
    WARN,
    every_outcome,
    finding,
    lone,
    partly_judged,
    report,
    server_down,
    verdict,
    with_charts,
)
from tests.reports.test_hostile import HOSTILE, filled

GITHUB_TAKES = 65_536
SHORT = {name: text for name, text in HOSTILE.items() if len(text) < 1000}  # what is long, is left out


def rendered(markdown: str) -> etree._Element:
    """What a reader sees, links made of addresses too, as GitHub makes them."""
    reader = MarkdownIt("gfm-like")
    assert reader.linkify is not None
    reader.linkify.set({"fuzzy_link": False})
    return lxml_html.fromstring(f"<div>{reader.render(markdown)}</div>")


def text(element: etree._Element) -> str:
    return " ".join("".join(element.itertext()).split())  # type: ignore[arg-type]


def test_the_causes_are_in_a_table_worst_first_and_their_details_are_folded() -> None:
    root = rendered(render_report(every_outcome(), "markdown"))
    assert [text(each) for each in root.iter("h3")] == ["✘ dynocheck preflight: not fit"]
    rows = [[text(cell) for cell in row] for row in root.find(".//table").iter("tr")]  # type: ignore[union-attr]
    assert rows[0] == ["outcome", "what was seen", "check", "where"]
    assert [(row[0], row[2]) for row in rows[1:]] == [
        ("✘ fail", "storage.rwx-class"),
        ("✘ fail", "recipe.gpus-fit"),
        ("* error", "fabric.nccl"),
        ("? unknown", "nodes.allocatable"),
        ("! warn", "nodes.driver, 2 times"),
    ]
    assert rows[2][3].startswith("recipes/llama-3-70b/vllm/disagg/deploy.yaml:48:13")
    assert rows[5][3] == "Node gpu-worker-01 +1"
    assert len(root.findall(".//details")) == 5
    fixes = {block.text_content().strip() for block in root.iter("pre")}  # type: ignore[attr-defined]
    assert fixes == {f.fix for v in every_outcome().verdicts for f in v.findings if f.fix is not None}
    assert "largest.node gpu-worker-03" in text(root)


def test_what_was_not_judged_is_a_row_with_what_would_let_us() -> None:
    root = rendered(render_report(report(partly_judged()), "markdown"))
    assert "judged: 1 of 2 images" in text(root)
    assert [text(cell) for cell in root.iter("td")] == [
        "~ unjudged",
        "1 not judged: no table for it (a.part)",
        "",
        "image a:1",
    ]
    assert "needs: the release of a:1" in text(root)


def test_where_all_is_well_there_is_no_table() -> None:
    root = rendered(render_report(report(verdict(PASS, "a.b", "t"), verdict(SKIP, "a.c", "s")), "markdown"))
    assert "1 check passed, 1 skipped" in text(root)
    assert root.findall(".//table") == root.findall(".//details") == []


def test_tables_and_charts_are_folded() -> None:
    root = rendered(render_report(with_charts(), "markdown"))
    assert [text(each) for each in root.iter("summary")] == [
        "What each variant asks for",
        "How latencies are spread",
        "What went on meanwhile",
    ]
    cells = [text(cell) for cell in root.iter("td")]
    assert cells[:4] == ["llama-3-70b/vllm/disagg-single-node-of-eight", "8", "prefilldecode", "21"]
    blocks = [block.text_content() for block in root.iter("pre")]  # type: ignore[attr-defined]
    assert "█" in blocks[0]
    assert "▄" in blocks[1]
    assert "mean 4.667 over 3 s" in blocks[1]


@pytest.mark.parametrize("said", SHORT.values(), ids=SHORT)
@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.UNKNOWN, Outcome.SKIP])
def test_nothing_from_outside_is_markup(said: str, outcome: Outcome) -> None:
    """Whatever the names are, the elements are those of harmless names, and the text is there."""
    root = rendered(render_report(filled(said, outcome), "markdown"))
    harmless = rendered(render_report(filled("harm less" if said.strip() else said, outcome), "markdown"))
    assert elements(root) == elements(harmless)
    if said.strip():
        assert text(root).count(" ".join(sanitize(said).split())) >= 10


def elements(root: etree._Element) -> list[str]:
    """The tags, less those that say how a name is written."""
    return [str(each.tag) for each in root.iter() if each.tag not in ("span", "code")]


@pytest.mark.parametrize(
    "reference",
    [
        "@octocat",
        "octo/cat#12",
        "#12",
        "GH-12",
        "!12",
        "~label",
        "%mile",
        "&1",
        "$x$",
        "https://e.x",
        "www.e.x",
    ],
)
def test_nobody_is_mentioned_and_nothing_is_referred_to(reference: str) -> None:
    """A forge looks for these in the text of one element at a time, where it is no code."""
    root = rendered(render_report(filled(f"see {reference} there"), "markdown"))
    for element in root.iter():
        if element.tag not in ("code", "pre"):
            for part in (element.text, *(child.tail for child in element)):
                assert reference not in (part or "")
    assert f"see {reference} there" in text(root)


def test_a_fix_with_fences_in_it_stays_one_block() -> None:
    fix = "echo '```' '````' </details>"
    root = rendered(render_report(report(lone(FAIL, "a.b", "m", fix=fix)), "markdown"))
    (block,) = root.iter("pre")
    assert text(block) == fix


def test_a_reason_of_many_checks_is_a_row() -> None:
    root = rendered(render_report(server_down(), "markdown"))
    outcome, seen, checks, _ = (text(cell) for cell in root.iter("td"))
    assert (outcome, checks) == ("? unknown", "storage 4, nodes 4, operator 4, recipe 4")
    assert UNREACHABLE in seen
    assert len(list(root.iter("li"))) == 16


NAMES = ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]  # no digits: each is a cause


def test_a_comment_has_room_for_the_worst_of_many_causes() -> None:
    found = {
        name: finding(WARN, f"_pod_ {name} is *gone* " * 20, fix=f"kubectl get {name}") for name in NAMES
    }
    verdicts = [verdict(WARN, f"pods.there-{name}", "m", each, each, each) for name, each in found.items()]
    worst = lone(FAIL, "z.worst", "the worst", location=Location("a/worst.yaml", 3))
    made = render_report(report(*verdicts, worst), "markdown")
    assert len(made) < GITHUB_TAKES
    assert "a/worst.yaml:3" in text(rendered(made)).partition("pods.there")[0]
    assert re.search(r"^\d+ more details are left out here", made, re.MULTILINE)
    assert re.search(r"^and \d+ more$", made, re.MULTILINE)
    assert made.count("<details>") == made.count("</details>") > 10


def test_a_cause_in_thousands_of_places_names_those_there_is_room_for() -> None:
    found = [
        finding(FAIL, f"w{n}: TP 4 needs 4 GPUs", location=Location(f"recipes/m{n}/vllm/deploy.yaml", n, 7))
        for n in range(10_200)
    ]
    made = render_report(report(verdict(FAIL, "parallelism.gpus-match", "m", *found)), "markdown")
    assert len(made) < GITHUB_TAKES
    assert made.count("/deploy.yaml:") > 200
    assert "and 9900 more" in made


def test_even_one_cause_that_does_not_fit_is_named() -> None:
    huge = finding(FAIL, "<gone> " * 10_000, location=Location("a.yaml", 3), fix="kubectl " * 10_000)
    made = render_report(report(verdict(FAIL, "a.b", "m", huge)), "markdown")
    assert len(made) < GITHUB_TAKES
    assert "a.yaml:3" in made
    assert "1 more details are left out here" in made


@pytest.mark.parametrize("made", [report(), server_down()])
def test_what_could_not_be_told_is_said(made: Report) -> None:
    assert "could not tell" in render_report(made, "markdown").splitlines()[0]
