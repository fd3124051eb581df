"""Findings recognized in a later run, whatever else has changed there."""

import ast
import random
import re
from pathlib import Path

import pytest

from dynocheck.core.fingerprints import Fingerprint, Fingerprints
from dynocheck.core.outcomes import Location, Subject, fail
from dynocheck.suppression.known_findings import KnownFindings

WORDING = Path(__file__).parent.parent / "wording.txt"
MESSAGES = [
    (line.split()[0], ast.literal_eval(line.partition(": ")[2]))
    for line in WORDING.read_text().splitlines()
    if re.match(r"\S+ \w+: ['\"]", line)
]


def print_of(message: str, check: str = "a.b", line: int = 1, name: str = "n") -> Fingerprint:
    finding = fail(message, location=Location("/r/f.yaml", line), subject=Subject("Node", name))
    return Fingerprints("/r").compute(check, finding)


def recognized(old: list[str], new: list[str]) -> list[str]:
    """Those of the new messages that were there before."""
    counts: dict[Fingerprint, int] = {}
    for message in old:
        counts[print_of(message)] = counts.get(print_of(message), 0) + 1
    found = [fail(m, location=Location("/r/f.yaml"), subject=Subject("Node", "n")) for m in new]
    known = KnownFindings("/r", counts).recognize("a.b", found)
    return [message for message, same in zip(new, known, strict=True) if same]


def test_a_fingerprint_has_no_line() -> None:
    assert print_of("stands here and at line 3", line=1) == print_of("stands here and at line 9", line=7)
    assert print_of("m", name="a") != print_of("m", name="b")
    assert print_of("m").file == "f.yaml"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("none of 1 nodes has a GPU label", "none of 2 nodes has a GPU label"),
        ("decode: 1 of 1 replica cannot be scheduled", "decode: 2 of 3 replicas cannot be scheduled"),
        ("the best node, gpu-2, has 6 free", "the best node, gpu-17, has 0 free"),
        ("w: TP 4 needs 4 GPUs", "w: TP 16 needs 16 GPUs"),
        ("claim c requests 100Gi", "claim c requests 1.5Ti"),
        ("driver 570.86.15 is older than 575", "driver 570.90 is older than 580"),
        ("the recipe declares weights", "the recipe declares model-cache, weights"),
        ("the recipe declares a, b", "the recipe declares b, a"),
        ("requests for objects in a are rejected", "requests for objects in a, b are rejected"),
        ("the token comes from 2 Secrets: a, b", "the token comes from 3 Secrets: a, b, c"),
        ("its graph serves a or c", "its graph serves a, b or c"),
        ("worse by -1% to +2%", "worse by 3% to 4%"),
    ],
)
def test_what_other_objects_change_is_forgiven(old: str, new: str) -> None:
    assert recognized([old], [new]) == [new]
    assert recognized([new], [old]) == [old]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("w: vLLM 0.23.0 has no --typo", "w: vLLM 0.23.0 has no --tpyo"),
        ("worker-1 has no tag", "worker-2 has no tag"),
        ("component w1 is privileged", "component w2 is privileged"),
        ("the recipe declares weights", "the recipe declares model-cache"),
        ("p has --kv-cache-dtype auto", "p has --page-size auto"),
        ("is cordoned", "is not Ready"),
        ("w is privileged", "w is privileged, and mounts / of its node"),
    ],
)
def test_another_fault_is_new(old: str, new: str) -> None:
    assert recognized([old], [new]) == []


def test_of_those_that_are_alike_the_changed_one_is_new() -> None:
    assert recognized(["a is 1", "a is 2"], ["a is 3", "a is 2", "a is 1"]) == ["a is 2", "a is 1"]
    assert recognized(["a is 1"], ["a is 3", "a is 3"]) == ["a is 3"]


def test_every_message_survives_other_numbers_and_each_stays_one() -> None:
    rng = random.Random(12)
    for _, message in MESSAGES:
        other = re.sub(r"(?<![\w.-])\d+(?![\w.])", lambda _: str(rng.randrange(2, 10**6)), message)
        assert recognized([message], [other]) == [other]
        assert recognized([message], [other, other]) == [other], "one more than there was"
    assert len(MESSAGES) > 500
