"""The Markdown, as a reader of GitHub's dialect renders it."""

from __future__ import annotations

import re

import pytest
from lxml import etree
from lxml import html as lxml_html
from markdown_it import MarkdownIt

from dynocheck.core.outcomes import Outcome, Report
from dynocheck.reports import render_report
from dynocheck.reports._text import sanitize
from tests.reports.samples import (
    FAIL,
    PASS,
    SKIP,
    UNREACHABLE,
    every_outcome,
    finding,
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


def test_all_that_is_no_pass_is_in_a_table_and_its_details_are_folded() -> None:
    root = rendered(render_report(every_outcome(), "markdown"))
    assert [text(each) for each in root.iter("h3")] == ["✘ dynocheck preflight: not fit"]
    rows = [[text(cell) for cell in row] for row in root.find(".//table").iter("tr")]  # type: ignore[union-attr]
    assert rows == [
        ["outcome", "check", "what was seen"],
        ["✘ fail", "storage.rwx-class", "no StorageClass can give ReadWriteMany"],
        ["✘ fail", "recipe.gpus-fit", "decode asks for 16 GPUs, the largest node has 8"],
        [
            "! warn",
            "nodes.driver",
            "driver 535.104.05 is older than the 570 that CUDA 12.8 wants (and 1 more)",
        ],
        ["? unknown", "nodes.allocatable", "may not list nodes at the cluster scope"],
        ["* error", "fabric.nccl", "crashed: KeyError in fabric.py, line 31"],
    ]
    assert len(root.findall(".//details")) == 5
    fixes = [block.text_content().strip() for block in root.iter("pre")]  # type: ignore[attr-defined]
    assert fixes == list(
        dict.fromkeys(f.fix for v in every_outcome().verdicts for f in v.findings if f.fix is not None)
    )
    assert "recipes/llama-3-70b/vllm/disagg/deploy.yaml:48:13" in text(root)
    assert "largest.node gpu-worker-03" in text(root)


def test_where_all_is_well_there_is_no_table() -> None:
    root = rendered(render_report(report(verdict(PASS, "a.b", "t"), verdict(SKIP, "a.c", "s")), "markdown"))
    assert "1 pass, 1 skip" in text(root)
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
    root = rendered(render_report(report(verdict(FAIL, "a.b", "m", finding(FAIL, "m", fix=fix))), "markdown"))
    (block,) = root.iter("pre")
    assert text(block) == fix


def test_a_reason_of_many_checks_is_a_row() -> None:
    root = rendered(render_report(server_down(), "markdown"))
    assert [text(cell) for cell in root.iter("td")] == ["? unknown", "16 checks", UNREACHABLE]
    assert [text(each) for each in root.iter("summary")] == ["? unknown 16 checks could not look"]
    assert len(list(root.iter("li"))) == 16


@pytest.mark.parametrize("many", [30, 3000])
def test_a_comment_has_room_for_it(many: int) -> None:
    found = [
        finding(FAIL, f"_pod_ {n} is *gone* " * 5, fix="kubectl get pods", evidence={"n": n})
        for n in range(many)
    ]
    verdicts = [
        verdict(FAIL, f"pods.there-{n}", "a pod is gone", *found[:20], title="t") for n in range(many)
    ]
    made = render_report(report(*verdicts), "markdown")
    assert len(made) < GITHUB_TAKES
    assert re.search(r"^\d+ more details are left out here", made, re.MULTILINE)
    assert (f"and {many - 50} more" in made) is (many > 50)
    assert made.count("<details>") == made.count("</details>")


@pytest.mark.parametrize("made", [report(), server_down()])
def test_what_could_not_be_told_is_said(made: Report) -> None:
    assert "could not tell" in render_report(made, "markdown").splitlines()[0]
