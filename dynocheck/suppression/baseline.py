"""Baselines, files of accepted findings: the format `dynocheck.baseline/v1`.

A finding is identified by its check, file, object and message, not by its line, so that it stays the same
when the text above it moves.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from dynocheck.core.documents import Document, read_document
from dynocheck.core.errors import UsageError
from dynocheck.core.outcomes import Finding, Outcome, SuppressedFinding, Verdict
from dynocheck.secrets import hide

SCHEMA = "dynocheck.baseline/v1"

_RECORDED_OUTCOMES = (Outcome.WARN, Outcome.FAIL)
_COULD_NOT_JUDGE = (Outcome.UNKNOWN, Outcome.ERROR)
_LINE = re.compile(r"\bline \d+")


class Fingerprint(NamedTuple):
    """What identifies a finding."""

    check: str
    file: str
    subject: str
    message: str


def compute_fingerprint(check: str, finding: Finding, root: str) -> Fingerprint:
    """The fingerprint of a finding, with its file relative to `root`."""
    place = finding.location
    message = hide(_LINE.sub("line", finding.message)).encode(errors="backslashreplace").decode()
    file = os.path.relpath(os.path.realpath(place.file), os.path.realpath(root)) if place else ""
    subject = str(finding.subject) if finding.subject else ""
    return Fingerprint(check, Path(file).as_posix() if file else "", subject, message)


def list_judged(verdicts: Iterable[Verdict]) -> set[str]:
    """The ids of the checks that could judge."""
    return {verdict.check for verdict in verdicts if verdict.outcome not in _COULD_NOT_JUDGE}


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    check: str
    message: str
    file: str = ""
    subject: str = ""
    count: Annotated[int, msgspec.Meta(ge=1)] = 1


class _Document(Document, frozen=True, forbid_unknown_fields=True):
    findings: tuple[_Entry, ...]


class Baseline:
    """The findings of a baseline file, each with the number of times that it may occur."""

    def __init__(self, path: Path, findings: Iterable[_Entry]) -> None:
        self._path = path
        self._left: Counter[Fingerprint] = Counter()
        for entry in findings:
            self._left[Fingerprint(entry.check, entry.file, entry.subject, entry.message)] += entry.count

    def suppress(self, verdict: Verdict, finding: Finding) -> SuppressedFinding | None:
        """The finding as suppressed by the baseline, as often as the file counts it."""
        fingerprint = compute_fingerprint(verdict.check, finding, _resolve_parent(self._path))
        if self._left[fingerprint] < 1:
            return None
        self._left[fingerprint] -= 1
        return SuppressedFinding(by="baseline", reason=self._path.as_posix(), finding=finding)

    def find_stale(
        self, verdicts: Iterable[Verdict], paths: Collection[str]
    ) -> Iterator[tuple[str, str, str]]:
        """The findings of the file that no longer occur, as check, place and message.

        Findings of checks and paths that this run did not judge are left out.

        :param paths: the files and directories that were judged.
        """
        judged = list_judged(verdicts)
        roots = [os.path.realpath(path) for path in paths]
        for entry in sorted(+self._left):
            place = os.path.realpath(Path(_resolve_parent(self._path), entry.file))
            covered = not entry.file or any(place == root or place.startswith(f"{root}/") for root in roots)
            if entry.check in judged and covered:
                about = ": ".join(part for part in (entry.file, entry.subject) if part)
                yield entry.check, about, entry.message


def read_baseline(path: Path) -> Baseline:
    """Read a baseline file.

    :raises UsageError: it cannot be read, or is not a baseline.
    """
    return Baseline(path, read_document(path, _Document, SCHEMA).findings)


def write_baseline(path: Path, verdicts: Iterable[Verdict]) -> None:
    """Write the warnings and failures that count to a baseline file.

    :raises UsageError: the file cannot be written.
    """
    counts = Counter(
        compute_fingerprint(verdict.check, finding, _resolve_parent(path))
        for verdict in verdicts
        for finding in verdict.findings
        if finding.outcome in _RECORDED_OUTCOMES
    )
    entries = tuple(_Entry(p.check, p.message, p.file, p.subject, counts[p]) for p in sorted(counts))
    encoded = msgspec.json.encode(_Document(SCHEMA, entries))
    try:
        path.write_bytes(msgspec.json.format(encoded, indent=2) + b"\n")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _resolve_parent(path: Path) -> str:
    return str(path.resolve().parent)
