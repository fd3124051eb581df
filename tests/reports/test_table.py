import re
from typing import Any

import pytest
from rich.cells import cell_len

from dynocheck.core.outcomes import Location, Report, Subject
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
    report,
    server_down,
    verdict,
)

LONG_FIX = "kubectl annotate storageclass standard " + "storageclass.kubernetes.io/is-default-class=true " * 9


def table(shown: Report, **options: object) -> str:
    return render_report(shown, "table", ReportOptions(**options))  # type: ignore[arg-type]


def test_a_report_at_80_columns() -> None:
    assert table(every_outcome()) == (
        """\
storage
  ✔ pass     storage.default-class  Exactly one StorageClass is the default
  ✘ fail     storage.rwx-class      no StorageClass can give ReadWriteMany
        StorageClass standard: provisioner ebs.csi.aws.com gives ReadWriteOnce
          only
        fix: kubectl get storageclass

recipe
  ✘ fail     recipe.gpus-fit        decode asks for 16 GPUs, the largest node
                                    has 8
        recipes/llama-3-70b/vllm/disagg/deploy.yaml:48:13: DynamoGraphDeployment
          dynamo/llama-3-70b-disagg
        seen: largest.node=gpu-worker-03; nodes=a, b
        fix: kubectl patch dynamographdeployment llama-3-70b-disagg -n dynamo --type=json """
        """-p='[{"op": "replace", "path": "/spec/services/decode/replicas", "value": 2}]'

nodes
  ! warn     nodes.driver           driver 535.104.05 is older than the 570 that
                                    CUDA 12.8 wants (and 1 more)
        Node gpu-worker-01: driver 535.104.05 is older than the 570 that CUDA
          12.8 wants
        Node gpu-worker-02: driver 535.104.05 is older than the 570 that CUDA
          12.8 wants
        fix: update the driver with the GPU Operator: kubectl edit clusterpolicy
  ? unknown  nodes.allocatable      may not list nodes at the cluster scope
        fix: dynocheck rbac

fabric
  - skip     fabric.rdma-resource   no recipe asks for RDMA
  * error    fabric.nccl            crashed: KeyError in fabric.py, line 31

preflight: cluster https://127.0.0.1:6443; context kind-dev; namespace dynamo;
  recipe recipes/llama-3-70b/vllm/disagg
✘ not fit (exit 1): 1 pass, 1 warn, 2 fail, 1 unknown, 1 skip, 1 error in 2.1 s
"""
    )


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_but_a_fix_is_wider_than_the_terminal(width: int) -> None:
    lines = table(every_outcome(), width=width).splitlines()
    assert [line for line in lines if cell_len(line) > width and "fix: " not in line] == []


def test_wide_characters_count_as_two_columns() -> None:
    shown = report(verdict(FAIL, "storage.names", "名前が長すぎます " * 20))
    assert max(cell_len(line) for line in table(shown).splitlines()) <= 80


def test_a_narrow_terminal_puts_the_text_below_the_id() -> None:
    lines = table(every_outcome(), width=50).splitlines()
    assert lines[1:3] == ["  ✔ pass     storage.default-class", "    Exactly one StorageClass is the default"]


def test_an_id_that_is_too_long_for_its_column_keeps_the_others_in_theirs() -> None:
    long = "recipe." + "-".join(["component"] * 6)
    lines = table(report(verdict(PASS, long, "It fits"), verdict(PASS, "recipe.short", "Too"))).splitlines()
    assert lines[1:4] == [f"  ✔ pass  {long}", "    It fits", f"  ✔ pass  {'recipe.short':32}  Too"]


@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_fix_is_on_one_line_whole(width: int) -> None:
    shown = report(verdict(FAIL, "storage.default-class", "none", finding(FAIL, "none", fix=LONG_FIX)))
    assert f"        fix: {LONG_FIX.rstrip()}" in table(shown, width=width).splitlines()


def test_a_fix_that_findings_share_is_said_once() -> None:
    findings = [
        finding(FAIL, f"taint {taint}", subject=Subject("Node", "gpu-1"), fix=fix)
        for taint, fix in (("a", "drain"), ("b", "drain"), ("c", "uncordon"))
    ]
    lines = table(report(verdict(FAIL, "nodes.taints", "taint a (and 2 more)", *findings))).splitlines()
    assert lines[2:7] == [
        "        Node gpu-1: taint a",
        "        Node gpu-1: taint b",
        "        fix: drain",
        "        Node gpu-1: taint c",
        "        fix: uncordon",
    ]


def test_a_long_path_or_image_stays_in_one_piece() -> None:
    image = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:0.6.1@sha256:" + "0123456789abcdef" * 4
    shown = report(verdict(FAIL, "recipe.image", f"the image {image} cannot be pulled"))
    assert image in table(shown)


def test_a_finding_says_where() -> None:
    where = {"location": Location("deploy.yaml", 4), "subject": Subject("Pod", "decode-0", "dynamo")}
    same = verdict(FAIL, "recipe.a", "broken", finding(FAIL, "broken", **where))
    other = verdict(FAIL, "recipe.b", "two things are broken", finding(FAIL, "broken", **where))
    lines = table(report(same, other)).splitlines()
    assert lines[2] == "        deploy.yaml:4: Pod dynamo/decode-0"
    assert lines[4] == "        deploy.yaml:4: Pod dynamo/decode-0: broken"


def test_a_finding_milder_than_its_verdict_says_so() -> None:
    shown = verdict(FAIL, "recipe.a", "broken", finding(FAIL, "broken"), finding(WARN, "and slow"))
    assert "        warn: and slow" in table(report(shown)).splitlines()


def test_evidence_is_one_line_of_what_is_not_said_already() -> None:
    evidence: dict[str, Any] = {
        "driver": "535",
        "empty": [],
        "none": None,
        "cuda": {"wanted": [12, True]},
        "log": "x" * 200,
    }
    shown = report(
        verdict(FAIL, "nodes.a", "driver 535 is old", finding(FAIL, "driver 535 is old", evidence=evidence))
    )
    line = table(shown).splitlines()[2]
    assert line.startswith("        seen: cuda.wanted=12, true; log=xxx")
    assert line.endswith("...")
    assert len(line) == 80


def test_a_message_nobody_reads_to_its_end_is_cut_and_says_so() -> None:
    shown = report(verdict(FAIL, "nodes.a", "word " * 20_000))
    text = table(shown)
    assert len(text) < 5000
    assert "(98000 characters more in -o json)" in " ".join(text.split())


def test_one_reason_for_every_check_is_said_once() -> None:
    lines = table(server_down(), width=100).splitlines()
    assert f"? 16 checks could not look: {UNREACHABLE}" in lines
    assert sum("cannot reach" in line for line in lines) == 1
    assert sum(line.startswith("  ? unknown  ") for line in lines) == 16
    assert "  ? unknown  storage.check-0   Something holds" in lines
    assert lines[-1] == "? could not tell (exit 3): 16 unknown in 2.1 s"


def test_each_of_several_shared_reasons_says_which_checks_it_covers() -> None:
    forbidden = finding(UNKNOWN, "may not list nodes", fix="dynocheck rbac")
    crashed = finding(ERROR, "probe nodes: crashed: KeyError in nodes.py, line 3")
    shown = report(
        verdict(UNKNOWN, "nodes.a", forbidden.message, forbidden, title="A"),
        verdict(UNKNOWN, "nodes.b", forbidden.message, forbidden, title="B"),
        verdict(ERROR, "nodes.c", crashed.message, crashed, title="C"),
        verdict(ERROR, "nodes.d", crashed.message, crashed, title="D"),
        verdict(UNKNOWN, "nodes.e", "timed out", finding(UNKNOWN, "timed out"), title="E"),
    )
    assert table(shown).splitlines()[1:13] == [
        "  ? unknown  nodes.a  A [1]",
        "  ? unknown  nodes.b  B [1]",
        "  * error    nodes.c  C [2]",
        "  * error    nodes.d  D [2]",
        "  ? unknown  nodes.e  timed out",
        "",
        "? [1] 2 checks could not look: may not list nodes",
        "  fix: dynocheck rbac",
        "",
        "* [2] 2 checks could not judge: probe nodes: crashed: KeyError in nodes.py, line",
        "  3",
        "",
    ]


def test_reasons_with_different_fixes_are_not_merged() -> None:
    shown = report(
        *(
            verdict(UNKNOWN, f"nodes.{fix}", "forbidden", finding(UNKNOWN, "forbidden", fix=f"grant {fix}"))
            for fix in "ab"
        )
    )
    assert "checks could not look" not in table(shown)
    assert "fix: grant b" in table(shown)


@pytest.mark.parametrize(
    ("outcomes", "strict", "said"),
    [
        ([PASS, WARN, SKIP], False, "✔ fit (exit 0): 1 pass, 1 warn, 1 skip in 2.1 s"),
        ([PASS, WARN], True, "✘ not fit, warnings count here (exit 1): 1 pass, 1 warn in 2.1 s"),
        ([FAIL, WARN, UNKNOWN], True, "✘ not fit (exit 1): 1 warn, 1 fail, 1 unknown in 2.1 s"),
        ([PASS, UNKNOWN], False, "? could not tell (exit 3): 1 pass, 1 unknown in 2.1 s"),
        ([ERROR], False, "? could not tell (exit 3): 1 error in 2.1 s"),
        ([SKIP], False, "? could not tell, nothing was judged (exit 3): 1 skip in 2.1 s"),
        ([], False, "? could not tell, nothing was judged (exit 3): no checks in 2.1 s"),
    ],
)
def test_the_last_line_says_what_the_exit_code_means(outcomes: list[str], strict: bool, said: str) -> None:
    verdicts = (verdict(outcome, f"area.check-{n}", "m") for n, outcome in enumerate(outcomes))  # type: ignore[arg-type]
    assert table(report(*verdicts), strict=strict).splitlines()[-1] == said


def test_colour_changes_nothing_that_is_said() -> None:
    plain, coloured = table(every_outcome()), table(every_outcome(), color=True)
    assert "\x1b" not in plain
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_an_encoding_without_the_marks_gets_ascii_ones() -> None:
    shown = report(verdict(PASS, "a.a", "Grüße"), verdict(FAIL, "a.b", "名"))
    assert table(shown, encoding="ascii").splitlines()[1:3] == [
        "  + pass  a.a  Gr\\xfc\\xdfe",
        "  x fail  a.b  \\u540d",
    ]
    assert table(shown, encoding="latin-1").splitlines()[1] == "  + pass  a.a  Grüße"
