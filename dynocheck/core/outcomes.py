"""What a check may say, and the report that is made of it: the contract `dynocheck.report/v1`."""

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

SCHEMA = "dynocheck.report/v1"


class Outcome(enum.StrEnum):
    """How a check ended, from best to worst of what decides an exit code."""

    SKIP = "skip"
    PASS = "pass"  # noqa: S105
    WARN = "warn"
    UNKNOWN = "unknown"
    ERROR = "error"
    FAIL = "fail"

    @property
    def severity(self) -> int:
        """A rank: the worst of several outcomes is the one that ranks highest."""
        return list(Outcome).index(self)


class Subject(msgspec.Struct, frozen=True):
    """The object in a cluster that a finding is about."""

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


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One cause: what was seen, on what, and the command or edit that mends it."""

    outcome: Outcome
    message: str
    fix: str | None = None
    evidence: dict[str, Any] = {}
    subject: Subject | None = None
    location: Location | None = None


class SuppressedFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that does not count: a comment says so, a baseline has it, or it was there before a change.

    `reason` is what the comment says, the file of the baseline, or the revision that was changed.
    """

    by: Literal["comment", "baseline", "diff"]
    reason: str
    finding: Finding

    @property
    def description(self) -> str:
        """In words, to follow "a finding"."""
        match self.by:
            case "comment":
                return f"ignored: {self.reason or 'no reason given'}"
            case "baseline":
                return f"in the baseline {self.reason}"
            case "diff":
                return f"there already at {self.reason}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one check said, with the seconds it took to judge; `suppressed` does not count."""

    check: str
    title: str
    area: str
    outcome: Outcome
    message: str
    duration_s: float
    findings: tuple[Finding, ...] = ()
    suppressed: tuple[SuppressedFinding, ...] = ()


Scalar = str | int | float | bool | None
Cell = Scalar | tuple[Scalar, ...]
Row = Mapping[str, Cell]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen, laid out for people; it judges nothing.

    A cell of several values shows them one below another, each beside its like in the row's other cells.
    `note` says what the columns do not, or why there are no rows.
    """

    id: str
    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    note: str | None = None


_MOST = 1e15


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Values `y` along `x`: at each of its places, or between each two of them where it has one more.

    `labels` names the places.

    :raises ValueError: they do not go together, or one is beyond all that can be measured.
    """

    name: str = ""
    x: tuple[float, ...]
    y: tuple[float, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.x) - len(self.y) not in (0, 1) or len(self.labels) not in (0, len(self.y)):
            raise ValueError(f"{len(self.y)} values for {len(self.x)} places and {len(self.labels)} labels")
        if not all(abs(value) <= _MOST for value in (*self.x, *self.y)):
            raise ValueError("a value is not a number that can be drawn")


class Mark(msgspec.Struct, frozen=True):
    """A place along x that is worth knowing, such as a median."""

    name: str
    at: float


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One of the pictures of a chart.

    `x` and `y` say what is along and up, with their units. `log`: x is shown by its logarithm, all of it is
    above 0. `note` is what else there is to know, such as how many values it shows.
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    log: bool = False
    note: str | None = None


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen, drawn for people; it judges nothing.

    Its panels are of one kind. `histogram`: how many are between each two places of x, in one series.
    `timeline`: what happened between each two moments, in one series. `curve`: several series of places
    joined by lines.
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
    """A whole run. `started` is RFC 3339 in UTC, `duration_s` in seconds."""

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
    """Raised by a check that has nothing to judge here; its text is the reason."""


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
        fix=fix,
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
    """It will break, or is broken."""
    return _make_finding(Outcome.FAIL, message, fix, evidence, subject, location)


def warn(
    message: str,
    *,
    fix: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    subject: Subject | None = None,
    location: Location | None = None,
) -> Finding:
    """It holds, but will hurt."""
    return _make_finding(Outcome.WARN, message, fix, evidence, subject, location)


def unknown(
    message: str,
    *,
    fix: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    subject: Subject | None = None,
    location: Location | None = None,
) -> Finding:
    """It could not be looked at."""
    return _make_finding(Outcome.UNKNOWN, message, fix, evidence, subject, location)


def find_worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome that decides; a pass when there is none to decide."""
    return max(outcomes, key=lambda outcome: outcome.severity, default=Outcome.PASS)


def summarize_findings(findings: Iterable[Finding], outcome: Outcome) -> str:
    """The first message of this outcome, and how many more there are."""
    first, *others = [finding.message for finding in findings if finding.outcome is outcome]
    return f"{first} (and {len(others)} more)" if others else first


def describe_suppressed(suppressed: Iterable[SuppressedFinding]) -> Iterator[str]:
    """How many findings do not count, and why, a line for each why."""
    for how, many in Counter(each.description for each in suppressed).items():
        yield f"{many} finding{'s' if many > 1 else ''} {how}"


def count_outcomes(verdicts: Iterable[Verdict]) -> dict[Outcome, int]:
    """How many verdicts ended in each outcome, every outcome named."""
    counts = dict.fromkeys(
        (Outcome.PASS, Outcome.WARN, Outcome.FAIL, Outcome.UNKNOWN, Outcome.SKIP, Outcome.ERROR), 0
    )
    for verdict in verdicts:
        counts[verdict.outcome] += 1
    return counts


def compute_exit_code(report: Report, *, strict: bool = False) -> int:
    """0 fit, 1 not fit, 3 could not tell. `strict` counts a warning as not fit.

    A run in which nothing was judged could not tell. What was judged and found only what does not count, was.
    """
    seen = {outcome for outcome, count in report.summary.items() if count}
    if Outcome.FAIL in seen or (strict and Outcome.WARN in seen):
        return 1
    if seen & {Outcome.UNKNOWN, Outcome.ERROR}:
        return 3
    judged = seen & {Outcome.PASS, Outcome.WARN} or any(verdict.suppressed for verdict in report.verdicts)
    return 0 if judged else 3
