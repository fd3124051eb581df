import re
from typing import Any

import pytest
from rich.cells import cell_len

from dynocheck.core.outcomes import (
    FindingRef,
    Location,
    Outcome,
    Report,
    Subject,
    SuppressedFinding,
    unjudged,
)
from dynocheck.reports import ReportOptions, render_report
from tests.reports.samples import (
    ERROR,
    FAIL,
    PASS,
    SKIP,
    UNKNOWN,
    UNREACHABLE,
    WARN,
    every_outcome,
    finding,
    lone,
    partly_judged,
    report,
    server_down,
    verdict,
)

LONG_FIX = "kubectl annotate storageclass standard " + "storageclass.kubernetes.io/is-default-class=true " * 9


def table(shown: Report, **options: object) -> str:
    return render_report(shown, "table", ReportOptions(**options))  # type: ignore[arg-type]


def test_quiet_is_the_verdict_alone() -> None:
    assert table(report(verdict(PASS, "a.b", "It holds")), detail="quiet") == (
        "✔ fit (exit 0): 1 check passed; 2.1s\n"
    )


def test_verbose_lists_every_check_by_area() -> None:
    lines = table(every_outcome(), detail="verbose").splitlines()
    start = lines.index("storage")
    assert lines[start : start + 4] == [
        "storage",
        "  ✔ pass     storage.default-class  Exactly one StorageClass is the default",
        "  ✘ fail     storage.rwx-class      no StorageClass can give ReadWriteMany",
        "",
    ]
    assert "  - skip     fabric.rdma-resource   no recipe asks for RDMA" in lines


@pytest.mark.parametrize("detail", ["normal", "verbose"])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_but_a_fix_or_a_path_is_wider_than_the_terminal(width: int, detail: str) -> None:
    lines = table(every_outcome(), width=width, detail=detail).splitlines()
    wide = [line for line in lines if cell_len(line) > width and "fix: " not in line]
    assert [line for line in wide if len(line.split()) > 1] == []


def test_lines_after_the_first_are_aligned_with_its_text() -> None:
    lines = table(every_outcome(), width=40).splitlines()
    starts = {len(line) - len(line.lstrip()) for line in lines if line and line[0] == " "}
    assert starts == {2, 4, 6}


@pytest.mark.parametrize(("height", "repeated"), [(20, False), (19, True)])
def test_what_is_longer_than_a_screen_ends_in_the_verdict(height: int, repeated: bool) -> None:
    lines = table(every_outcome(), height=height, width=200).splitlines()
    assert (lines[0] == lines[-1]) is repeated


def test_wide_characters_count_as_two_columns() -> None:
    shown = report(verdict(FAIL, "storage.names", "名前が長すぎます " * 20))
    assert max(cell_len(line) for line in table(shown).splitlines()) <= 80


def test_a_narrow_terminal_puts_the_text_below_the_id() -> None:
    lines = table(every_outcome(), width=50, detail="verbose").splitlines()
    start = lines.index("  ✔ pass     storage.default-class")
    assert lines[start + 1] == "    Exactly one StorageClass is the default"


def test_an_id_that_is_too_long_for_its_column_keeps_the_others_in_theirs() -> None:
    long = "recipe." + "-".join(["component"] * 6)
    shown = report(verdict(PASS, long, "It fits"), verdict(PASS, "recipe.short", "Too"))
    lines = table(shown, detail="verbose").splitlines()
    start = lines.index("recipe")
    assert lines[start + 1 : start + 4] == [
        f"  ✔ pass  {long}",
        "    It fits",
        f"  ✔ pass  {'recipe.short':32}  Too",
    ]


@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_fix_is_on_one_line_whole(width: int) -> None:
    shown = report(lone(FAIL, "storage.default-class", "none", fix=LONG_FIX))
    assert f"    fix: {LONG_FIX.rstrip()}" in table(shown, width=width).splitlines()


def test_a_cause_has_three_places_and_one_fix() -> None:
    findings = [
        finding(FAIL, "has no timeout", location=Location(f"{'long/' * 5}deploy-{n}.yaml", n), fix="add one")
        for n in range(1, 8)
    ]
    shown = report(verdict(FAIL, "perf.bounded", "has no timeout (and 6 more)", *findings))
    lines = table(shown).splitlines()
    assert lines[3:8] == [
        "✘ has no timeout (perf.bounded, 7 times)",
        *(f"    {'long/' * 5}deploy-{n}.yaml:{n}" for n in (1, 2)),
        f"    {'long/' * 5}deploy-3.yaml:3 +4",
        "    fix: add one",
    ]
    every = table(shown, detail="verbose")
    assert [n for n in range(1, 8) if f"deploy-{n}.yaml:{n}\n" not in every] == []


def test_places_that_fit_share_a_line() -> None:
    findings = [finding(FAIL, "is full", location=Location("a.yaml", n)) for n in (1, 2)]
    assert "    a.yaml:1; a.yaml:2" in table(report(verdict(FAIL, "a.b", "m", *findings))).splitlines()


def test_what_follows_is_told_below_its_cause() -> None:
    cause = FindingRef("gpu.operator", 0)
    shown = report(
        verdict(
            FAIL, "gpu.nodes", "m", *(finding(FAIL, "0 GPUs", explained_by=cause, fix="f") for _ in range(2))
        ),
        lone(FAIL, "gpu.operator", "no operator", fix="install it"),
    )
    lines = table(shown).splitlines()
    assert lines[0].startswith("✘ not fit (exit 1): 3 failures (1 cause)")
    assert lines[3:6] == [
        "✘ no operator (gpu.operator)",
        "    leads to: 0 GPUs (gpu.nodes, 2 times)",
        "    fix: install it",
    ]
    assert "    fix: f" in table(shown, detail="verbose").splitlines()


@pytest.mark.parametrize(("outcome", "most"), [(FAIL, 20), (WARN, 10)])
def test_more_causes_than_anybody_reads_are_counted(outcome: Outcome, most: int) -> None:
    names = [chr(97 + n) * 4 for n in range(most + 2)]
    verdicts = [lone(outcome, f"a.{name}", name, fix=name) for name in names]
    text = table(report(*verdicts))
    assert f"2 more causes, which -v lists: a.{names[-2]}, a.{names[-1]}" in text
    assert text.count("fix: ") == most
    assert table(report(*verdicts), detail="verbose").count("fix: ") == most + 2


def test_a_long_path_or_image_stays_in_one_piece() -> None:
    image = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.6.1@sha256:" + "0123456789abcdef" * 4
    shown = report(verdict(FAIL, "recipe.image", f"the image {image} cannot be pulled"))
    assert image in table(shown)


def test_a_finding_says_where() -> None:
    pod = Subject("Pod", "decode-0", "dynamo")
    shown = report(
        lone(FAIL, "a.a", "broken", location=Location("deploy.yaml", 4), subject=pod),
        lone(FAIL, "a.b", "is broken", subject=pod),
        lone(FAIL, "a.c", "decode-0 is broken", subject=pod),
    )
    assert table(shown).splitlines()[3:7] == [
        "✘ broken (a.a)",
        "    deploy.yaml:4: Pod dynamo/decode-0",
        "✘ Pod dynamo/decode-0: is broken (a.b)",
        "✘ decode-0 is broken (a.c)",
    ]


def test_a_finding_milder_than_its_verdict_stands_with_its_like() -> None:
    shown = verdict(FAIL, "recipe.a", "broken", finding(FAIL, "broken"), finding(WARN, "and slow"))
    assert "! and slow (recipe.a)" in table(report(shown)).splitlines()


def test_evidence_is_one_line_of_what_is_not_said_already() -> None:
    evidence: dict[str, Any] = {
        "driver": "535",
        "empty": [],
        "none": None,
        "cuda": {"wanted": [12, True]},
        "log": "x" * 200,
    }
    found = finding(FAIL, "driver 535 is old", evidence=evidence)
    shown = report(verdict(FAIL, "nodes.a", "driver 535 is old", found))
    (line,) = [line for line in table(shown, detail="verbose").splitlines() if "seen:" in line]
    assert line.startswith("    seen: cuda.wanted=12, true; log=xxx")
    assert line.endswith("...")
    assert len(line) == 80


def test_a_message_nobody_reads_to_its_end_is_cut_and_says_so() -> None:
    shown = report(verdict(FAIL, "nodes.a", "word " * 20_000))
    text = table(shown)
    assert len(text) < 5000
    assert "characters more in -o json)" in " ".join(text.split())


def test_one_reason_for_every_check_is_said_once() -> None:
    lines = table(server_down(), width=200).splitlines()
    assert lines[0] == "? could not tell (exit 3): 16 checks could not look, 0 checks passed; 2.1s"
    assert lines[3] == (
        f"? 16 checks could not look: {UNREACHABLE} (storage 4, nodes 4, operator 4, recipe 4)"
    )
    assert len(lines) == 4


def test_reasons_that_one_fix_mends_are_one() -> None:
    kinds = ("pods", "nodes", "claims")
    shown = (lone(UNKNOWN, f"nodes.{kind}", f"may not list {kind}", fix="grant") for kind in kinds)
    assert table(report(*shown)).splitlines()[3:] == [
        "? 3 checks could not look: may not list pods (+2 more reasons) (nodes 3)",
        "    fix: grant",
    ]


def test_reasons_with_different_fixes_are_not_merged() -> None:
    shown = report(*(lone(UNKNOWN, f"nodes.{fix}", "forbidden", fix=f"grant {fix}") for fix in "ab"))
    assert table(shown).count("? could not look: forbidden") == 2
    assert "fix: grant b" in table(shown)


def test_what_was_not_judged_says_what_it_takes() -> None:
    images = [
        unjudged(f"image vllm-runtime:{n}", why="no release in its tag", needs="a tag of a release")
        for n in range(5)
    ]
    assert table(report(partly_judged(*images))).splitlines() == [
        "✔ fit as far as judged (exit 0): 5 not judged, 1 check passed; 2.1s",
        "  preflight",
        "  judged: 1 of 6 images (a.part)",
        "",
        "~ 5 not judged: no release in its tag (a.part)",
        "    image vllm-runtime:0; image vllm-runtime:1; image vllm-runtime:2 +2",
        "    needs: a tag of a release",
        "",
        "✔ 1 passed: a 1",
    ]


def test_what_is_suppressed_is_counted_with_its_reason() -> None:
    old = SuppressedFinding(by="baseline", reason="old.json", finding=finding(FAIL, "m"))
    lines = table(report(verdict(SKIP, "a.b", "m", suppressed=(old, old)))).splitlines()
    assert "2 findings suppressed" in lines[0]
    assert lines[-1] == "- 2 findings in the baseline old.json (a.b)"


@pytest.mark.parametrize(
    ("outcomes", "strict", "said"),
    [
        ([PASS, WARN, SKIP], False, "✔ fit (exit 0): 1 warning, 1 check passed, 1 skipped; 2.1s"),
        (
            [PASS, WARN],
            True,
            "✘ not fit, warnings count here (exit 1): 1 warning, 1 check passed; 2.1s",
        ),
        (
            [FAIL, WARN, UNKNOWN],
            True,
            "✘ not fit (exit 1): 1 failure, 1 warning, 1 check could not look, 0 checks passed; 2.1s",
        ),
        (
            [PASS, UNKNOWN],
            False,
            "? could not tell (exit 3): 1 check could not look, 1 check passed; 2.1s",
        ),
        ([ERROR], False, "? could not tell (exit 3): 1 check could not judge, 0 checks passed; 2.1s"),
        ([SKIP], False, "? could not tell, nothing was judged (exit 3): 0 checks passed, 1 skipped; 2.1s"),
        ([], False, "? could not tell, nothing was judged (exit 3): no checks; 2.1s"),
    ],
)
def test_the_first_line_says_what_the_exit_code_means(outcomes: list[str], strict: bool, said: str) -> None:
    verdicts = (verdict(outcome, f"area.check-{n}", "m") for n, outcome in enumerate(outcomes))  # type: ignore[arg-type]
    assert table(report(*verdicts), strict=strict, width=200).splitlines()[0] == said


def test_colour_changes_nothing_that_is_said() -> None:
    plain, coloured = table(every_outcome()), table(every_outcome(), color=True)
    assert "\x1b" not in plain
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_an_encoding_without_the_marks_gets_ascii_ones() -> None:
    shown = report(verdict(PASS, "a.a", "Grüße"), verdict(FAIL, "a.b", "名"))
    lines = table(shown, encoding="ascii", detail="verbose").splitlines()
    assert "  + pass  a.a  Gr\\xfc\\xdfe" in lines
    assert "x \\u540d (a.b)" in lines
    assert "  + pass  a.a  Grüße" in table(shown, encoding="latin-1", detail="verbose").splitlines()
