"""Baselines, files of accepted findings: the format `dynocheck.baseline/v1`.

The file holds the messages of findings whole, for people to read; `dynocheck.core.fingerprints` says what of
them counts.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from dynocheck.core.documents import Document, read_document
from dynocheck.core.errors import UsageError
from dynocheck.core.fingerprints import Fingerprint, Fingerprints
from dynocheck.core.outcomes import Finding, Outcome, SuppressedFinding, Verdict
from dynocheck.suppression.known_findings import KnownFindings, accept_unjudged, to_finding

SCHEMA = "dynocheck.baseline/v1"

_RECORDED_OUTCOMES = (Outcome.WARN, Outcome.FAIL, Outcome.UNJUDGED)
_COULD_NOT_JUDGE = (Outcome.UNKNOWN, Outcome.ERROR)


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
        counts: Counter[Fingerprint] = Counter()
        for entry in findings:
            counts[Fingerprint(entry.check, entry.file, entry.subject, entry.message)] += entry.count
        self.path = path
        self._known = KnownFindings(_resolve_parent(path), counts)

    def suppress(self, check: str, findings: Sequence[Finding]) -> list[SuppressedFinding | None]:
        """Each finding of a check as suppressed by the baseline, as often as the file counts it."""
        reason = self.path.as_posix()
        return [
            SuppressedFinding(by="baseline", reason=reason, finding=finding) if known else None
            for finding, known in zip(findings, self._known.recognize(check, findings), strict=True)
        ]

    def accept(self, verdict: Verdict) -> Verdict:
        """The verdict, with what was not judged accepted as often as the file counts it."""
        known = self._known.recognize(verdict.check, [*map(to_finding, verdict.unjudged)])
        return accept_unjudged(verdict, known, self.path.as_posix())

    def find_stale(
        self, verdicts: Iterable[Verdict], paths: Collection[str]
    ) -> Iterator[tuple[str, str, str]]:
        """The findings of the file that no longer occur, as check, place and message.

        Findings of checks and paths that this run did not judge are left out.

        :param paths: the files and directories that were judged.
        """
        judged = list_judged(verdicts)
        roots = [os.path.realpath(path) for path in paths]
        for entry in self._known.list_left():
            place = os.path.realpath(Path(_resolve_parent(self.path), entry.file))
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
    """Write the warnings and failures that count, and what was not judged, to a baseline file.

    :raises UsageError: the file cannot be written.
    """
    fingerprints = Fingerprints(_resolve_parent(path))
    counts = Counter(
        fingerprints.compute(verdict.check, finding)
        for verdict in verdicts
        for finding in (*verdict.findings, *map(to_finding, verdict.unjudged))
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
