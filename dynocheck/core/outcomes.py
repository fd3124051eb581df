"""Findings, verdicts and the report of a run: the format `dynocheck.report/v1`."""

import enum
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

SCHEMA = "dynocheck.report/v1"
DIFF = "--diff "  # begins what is accepted by a git revision
_SAFE = re.compile(r"[\w@%+=:,./-]*", re.ASCII)  # one word to a shell
_COMMAND = re.compile(r"\b(?:kubectl|helm|dynocheck|hf|git|curl) ")


class Outcome(enum.StrEnum):
    """How a check ended, from the least to the most severe."""

    SKIP = "skip"
    PASS = "pass"  # noqa: S105
    UNJUDGED = "unjudged"
    WARN = "warn"
    UNKNOWN = "unknown"
    ERROR = "error"
    FAIL = "fail"

    @property
    def severity(self) -> int:
        """Its rank; the worst of several outcomes has the highest."""
        return list(Outcome).index(self)


class Subject(msgspec.Struct, frozen=True):
    """The object in the cluster that a finding is about."""

    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        prefix = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {prefix}{self.name}"


class Location(msgspec.Struct, frozen=True):
    """The place in a file that a finding is about; lines and columns count from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class FindingRef(msgspec.Struct, frozen=True):
    """A finding of the same report: the id of its check, and its index among the findings of that check."""

    check: str
    index: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One cause: what was found, where, and the command or edit that fixes it.

    `explained_by` is the finding that it follows from: without that one, this one would not be there.
    """

    outcome: Outcome
    message: str
    fix: str | None = None
    evidence: dict[str, Any] = {}
    subject: Subject | None = None
    location: Location | None = None
    explained_by: FindingRef | None = None

    @property
    def repeats_reason(self) -> bool:
        """Whether an earlier finding gives the same reason why it was not possible to look."""
        return self.outcome is Outcome.UNKNOWN and self.explained_by is not None


class Unjudged(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a check saw and lacks the knowledge to judge.

    `what` is the thing, as in "image vllm-runtime:1.7.0-dev"; `why` is the reason, in the same words for all
    that share it; `needs` is what would let us judge it; `accepted` is what accepts that it is not judged:
    the file of a baseline, or `--diff` and its revision.
    """

    what: str
    why: str
    needs: str | None = None
    subject: Subject | None = None
    location: Location | None = None
    accepted: str | None = None

    @property
    def acceptance(self) -> str:
        """What accepts it, as a phrase that follows "1 not judged"; empty without that."""
        if self.accepted is None:
            return ""
        if self.accepted.startswith(DIFF):
            return f"there already at {self.accepted.removeprefix(DIFF)}"
        return f"accepted in the baseline {self.accepted}"

    @property
    def description(self) -> str:
        """It on one line, as in "not judged: image x: no table for its release"."""
        return f"not judged: {self.what}: {self.why}"


class Judged(msgspec.Struct, frozen=True):
    """How many things a check judged, and their plural noun, as in 59 "images"."""

    count: int
    noun: str


Result = Finding | Judged | Unjudged  # what a check yields


class SuppressedFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that does not count, and why.

    `reason` is the text of the comment, the file of the baseline, or the git revision. `place` is that of the
    comment.
    """

    by: Literal["comment", "baseline", "diff"]
    reason: str
    finding: Finding
    place: Location | None = None

    @property
    def description(self) -> str:
        """Why it does not count, as a phrase that follows "1 finding"."""
        match self.by:
            case "comment":
                by = f" by {self.place}" if self.place else ""
                return f"ignored{by}: {self.reason or 'no reason given'}"
            case "baseline":
                return f"in the baseline {self.reason}"
            case "diff":
                return f"there already at {self.reason}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check, and the seconds it took; `suppressed` findings do not count.

    `judged` of the `of` things that the check saw, named by `noun`, could be judged; None where it does not
    count them. `unjudged` lists the others.
    """

    check: str
    title: str
    area: str
    outcome: Outcome
    message: str
    duration_s: float
    findings: tuple[Finding, ...] = ()
    suppressed: tuple[SuppressedFinding, ...] = ()
    judged: int | None = None
    of: int | None = None
    noun: str | None = None
    unjudged: tuple[Unjudged, ...] = ()

    @property
    def coverage(self) -> str:
        """Such as "59 of 235 images judged"; empty where all were, or the check does not count."""
        if self.judged is None or not self.unjudged:
            return ""
        return f"{self.judged} of {self.of} {self.noun} judged"


Scalar = str | int | float | bool | None
Cell = Scalar | tuple[Scalar, ...]
Row = Mapping[str, Cell]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Facts for people to read; it judges nothing.

    A cell of several values shows them on lines of their own, aligned with those of the row's other cells.
    `note` stands below the table.
    """

    id: str
    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    note: str | None = None


_MAX_VALUE = 1e15


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Values `y` along `x`: at each x, or between each two where there is one more x than y.

    `labels` are the names of the values.

    :raises ValueError: the lengths do not match, or a value is not finite or not below 1e15.
    """

    name: str = ""
    x: tuple[float, ...]
    y: tuple[float, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.x) - len(self.y) not in (0, 1) or len(self.labels) not in (0, len(self.y)):
            raise ValueError(f"{len(self.y)} values for {len(self.x)} places and {len(self.labels)} labels")
        if not all(abs(value) <= _MAX_VALUE for value in (*self.x, *self.y)):
            raise ValueError("a value is not a number that can be drawn")


class Mark(msgspec.Struct, frozen=True):
    """A marked x, such as a median."""

    name: str
    at: float


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One plot of a chart.

    `x` and `y` are the names of the axes, with units. `log`: x is logarithmic, and all of it above 0. `note`
    stands beside the title, as in "32 requests".
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    log: bool = False
    note: str | None = None


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Facts drawn for people; it judges nothing.

    All panels are of one kind. `histogram`: one series, counts between each two x. `timeline`: one series,
    values between each two moments. `curve`: several series of points joined by lines.
    """

    id: str
    title: str
    kind: Literal["histogram", "timeline", "curve"]
    panels: tuple[Panel, ...] = ()
    note: str | None = None


class Tool(msgspec.Struct, frozen=True):
    name: str
    version: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `started` is RFC 3339 in UTC, `duration_s` in seconds."""

    schema: str = SCHEMA
    tool: Tool
    command: str
    started: str
    duration_s: float
    target: dict[str, Any]
    summary: dict[Outcome, int]
    verdicts: tuple[Verdict, ...]
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()


class Skip(Exception):
    """Raised by a check that has nothing to judge; its text is the reason."""


def _quote_names(
    fix: str, subject: Subject | None, location: Location | None, evidence: Mapping[str, Any]
) -> str:
    """The fix, with the names in it that mean something to a shell quoted, since people paste it."""
    if not _COMMAND.search(fix):
        return fix
    names = [subject.name, subject.namespace] if subject else []
    names += [location.file] if location else []
    for name in (*names, *evidence.values()):
        if isinstance(name, str) and name in fix and not _SAFE.fullmatch(name):
            quoted = shlex.quote(name)
            fix = fix if quoted in fix else fix.replace(name, quoted)
    return fix


def _make_finding(
    outcome: Outcome,
    message: str,
    fix: str | None,
    evidence: Mapping[str, Any] | None,
    subject: Subject | None,
    location: Location | None,
) -> Finding:
    return Finding(
        outcome=outcome,
        message=message,
        fix=_quote_names(fix, subject, location, evidence or {}) if fix else fix,
        evidence=dict(evidence or {}),
        subject=subject,
        location=location,
    )


def fail(
    message: str,
    *,
    fix: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    subject: Subject | None = None,
    location: Location | None = None,
) -> Finding:
    """A finding: it is broken, or will break."""
    return _make_finding(Outcome.FAIL, message, fix, evidence, subject, location)


def warn(
    message: str,
    *,
    fix: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    subject: Subject | None = None,
    location: Location | None = None,
) -> Finding:
    """A finding: it works, but costs performance or safety."""
    return _make_finding(Outcome.WARN, message, fix, evidence, subject, location)


def unknown(
    message: str,
    *,
    fix: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    subject: Subject | None = None,
    location: Location | None = None,
) -> Finding:
    """A finding: it could not be determined."""
    return _make_finding(Outcome.UNKNOWN, message, fix, evidence, subject, location)


def unjudged(
    what: str,
    *,
    why: str,
    needs: str | None = None,
    subject: Subject | None = None,
    location: Location | None = None,
) -> Unjudged:
    """What a check saw and cannot judge: `why`, and what would let us (`needs`)."""
    return Unjudged(what=what, why=why, needs=needs, subject=subject, location=location)


def judged(count: int, noun: str) -> Judged:
    """How many things a check judged. A check that yields `unjudged` says so too; several counts add up."""
    return Judged(count, noun)


def find_worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The most severe outcome; pass when there is none."""
    return max(outcomes, key=lambda outcome: outcome.severity, default=Outcome.PASS)


def summarize_findings(findings: Iterable[Finding], outcome: Outcome) -> str:
    """The first message of this outcome, and the number of others."""
    first, *others = [finding.message for finding in findings if finding.outcome is outcome]
    return f"{first} (and {len(others)} more)" if others else first


def describe_suppressed(suppressed: Iterable[SuppressedFinding]) -> Iterator[str]:
    """A line for each reason for which findings do not count, with their number."""
    for reason, count in Counter(finding.description for finding in suppressed).items():
        yield f"{count} finding{'s' if count > 1 else ''} {reason}"


def describe_silenced(report: Report) -> Iterator[str]:
    """A line for each reason for which findings do not count, with their number and their checks."""
    checks: dict[str, Counter[str]] = {}
    for verdict in report.verdicts:
        for finding in verdict.suppressed:
            checks.setdefault(finding.description, Counter())[verdict.check] += 1
    for reason, counts in checks.items():
        many = counts.total()
        yield f"{many} finding{'s' if many > 1 else ''} {reason} ({', '.join(counts)})"
    accepted = Counter(item.acceptance for verdict in report.verdicts for item in verdict.unjudged)
    for acceptance, many in accepted.items():
        if acceptance:
            yield f"{many} not judged, {acceptance}"


def count_outcomes(verdicts: Iterable[Verdict]) -> dict[Outcome, int]:
    """The number of verdicts by outcome, for every outcome."""
    counts = dict.fromkeys(
        (
            Outcome.PASS,
            Outcome.WARN,
            Outcome.FAIL,
            Outcome.UNKNOWN,
            Outcome.UNJUDGED,
            Outcome.SKIP,
            Outcome.ERROR,
        ),
        0,
    )
    for verdict in verdicts:
        counts[verdict.outcome] += 1
    return counts


def has_unjudged(report: Report) -> bool:
    """Whether something that the run saw was not judged."""
    return any(verdict.unjudged for verdict in report.verdicts)


def list_undecided(verdicts: Iterable[Verdict]) -> list[tuple[Verdict, Unjudged]]:
    """What was not judged and nothing accepts: `strict` counts it."""
    return [(v, item) for v in verdicts for item in v.unjudged if item.accepted is None]


def compute_exit_code(report: Report, *, strict: bool = False) -> int:
    """0 fit, 1 not fit, 3 could not tell: something is unknown, or nothing was judged.

    `strict` counts a warning as a failure, and what is neither judged nor accepted as unknown. A check all
    of whose findings are suppressed was judged.
    """
    seen = {outcome for outcome, count in report.summary.items() if count}
    if Outcome.FAIL in seen or (strict and Outcome.WARN in seen):
        return 1
    if seen & {Outcome.UNKNOWN, Outcome.ERROR}:
        return 3
    if strict and list_undecided(report.verdicts):
        return 3
    judged = seen & {Outcome.PASS, Outcome.WARN} or any(verdict.suppressed for verdict in report.verdicts)
    return 0 if judged else 3
