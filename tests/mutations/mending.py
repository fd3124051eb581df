"""Applies the fixes of findings to the recipes that they are about, and judges again."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests import edits
from tests.fuzz.judging import judge_path

Finding = tuple[str, dict[str, Any]]  # the check's id with it
_Key = tuple[str, str, str]

# What a fix makes untrue elsewhere, which is then told there: pages and benchmarks that count GPUs.
CONSEQUENCES = {"docs.gpus", "perf.gpu-count"}


class Outcome(NamedTuple):
    """What came of a fix: `form` is edit, blank (the reader fills something in), shell, advice or none."""

    form: str
    gone: bool = True
    caused: tuple[str, ...] = ()  # the new findings

    @property
    def is_good(self) -> bool:
        return self.gone and not self.caused


def list_findings(model: Path, folder: Path) -> list[Finding]:
    """The failures and warnings of a recipe."""
    ended = judge_path(model, folder, select="")
    assert not ended.crashes, ended.crashes
    return [
        (verdict["check"], finding)
        for verdict in (ended.report or {"verdicts": ()})["verdicts"]
        for finding in verdict["findings"]
        if finding["outcome"] in ("fail", "warn")
    ]


def find_form(finding: dict[str, Any]) -> str:
    """The form of a finding's fix."""
    fix = finding["fix"]
    if not fix:
        return "none"
    if re.match(r"(kubectl|helm|dynocheck|git|hf) ", fix):
        return "shell"
    found = edits.parse(fix)
    if found is None or not finding["location"]:
        return "advice"
    return "blank" if edits.has_blank(found) else "edit"


def mend(model: Path, folder: Path, each: Finding, present: Iterable[Finding]) -> Outcome:
    """Apply the fix of one of the findings that are there, judge again, and undo it."""
    finding = each[1]
    form, place = find_form(finding), finding["location"]
    if form != "edit":
        return Outcome(form)
    file = Path(place["file"])
    text, found = file.read_text(), edits.parse(finding["fix"]) or []
    before = Counter(map(_identify, present))
    try:
        file.write_text(edits.apply(found, text, place["line"] or 1, place["column"] or 1))
        after = Counter(map(_identify, list_findings(model, folder)))
    finally:
        file.write_text(text)
    caused = [
        f"{key[0]}: {key[2]}" for key in after if after[key] > before[key] and key[0] not in CONSEQUENCES
    ]
    return Outcome(form, after[_identify(each)] < before[_identify(each)], tuple(caused))


def _identify(each: Finding) -> _Key:
    check, finding = each
    file = finding["location"]["file"] if finding["location"] else ""
    return check, file, re.sub(r"line \d+", "line", finding["message"])
