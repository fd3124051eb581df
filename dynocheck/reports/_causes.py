"""Findings by cause: what many places share is one cause, and what follows from another lies below it."""

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeVar

from dynocheck.core.outcomes import Finding, FindingRef, Outcome, Report, Unjudged, Verdict, find_worst
from dynocheck.reports._text import format_place

PROBLEMS = (Outcome.FAIL, Outcome.ERROR, Outcome.UNKNOWN, Outcome.WARN)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_Template = tuple[str, ...]

_NOT_JUDGED = {Outcome.UNKNOWN: "could not look", Outcome.ERROR: "could not judge"}

_SLOT = "*"
_MOST_WORDS = 60
_PLAIN = re.compile(r"[A-Z]?[a-z]+:?|[A-Za-z]+:")
_WORD = re.compile(r"[\w.-]+")
_NUMBER = re.compile(r"\d[\d.]*[A-Za-z%]{0,2}")
_QUOTED = re.compile(r'"[^"]*"|`[^`]*`')
_NAME = re.compile(r".*(\d|[a-z][A-Z]|\w[-_./@]\w)")  # with a digit, capitals inside, or several parts
# A flag, a placeholder, a field of a manifest, a resource: another of these is another cause.
_NOT_A_NAME = re.compile(r"-|<|[Yy]our-|\{|\$|[a-z]+[A-Z]\w*$|rdma/|([\w-]+\.)+[a-z]+/[\w.-]+$")
_ASIDE = re.compile(r" \([^()]*\)")


class Occurrence(NamedTuple):
    """A finding, and the verdict that it belongs to."""

    verdict: Verdict
    finding: Finding


@dataclass(frozen=True)
class Cause:
    """Findings that have the same cause and are fixed in the same way, and what follows from them.

    `occurrences` are in the order of the report, and have the same outcome. They are of one check, but for
    unknown ones: many checks fail to look for the same reason. A cause is as severe as the worst of both.
    """

    occurrences: tuple[Occurrence, ...]
    effects: tuple["Cause", ...] = ()

    @property
    def first(self) -> Finding:
        return self.occurrences[0].finding

    @property
    def outcome(self) -> Outcome:
        return find_worst([self.first.outcome, *(effect.outcome for effect in self.effects)])

    @property
    def message(self) -> str:
        """The message of the first finding."""
        return self.first.message

    @property
    def fix(self) -> str | None:
        """The fix of the first finding, since others differ in names and numbers only; of those that could
        not look, the most frequent.
        """
        if self.outcome not in _NOT_JUDGED:
            return self.first.fix
        return Counter(each.finding.fix for each in self.occurrences).most_common(1)[0][0]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts that its findings belong to, each once."""
        return tuple({each.verdict.check: each.verdict for each in self.occurrences}.values())

    @property
    def size(self) -> int:
        """The number of findings, with those that follow."""
        return len(self.occurrences) + sum(effect.size for effect in self.effects)

    @property
    def headline(self) -> str:
        """What is wrong, led by the object if only the place names it."""
        first, named = self.first, ""
        if first.location is None and first.subject and first.subject.name not in self.message:
            named = f"{first.subject}{f' +{len(self.places) - 1}' if len(self.places) > 1 else ''}: "
        if self.outcome not in _NOT_JUDGED:
            return f"{named}{self.message}"
        checks = f"{len(self.verdicts)} checks " if len(self.verdicts) > 1 else ""
        others = len({each.finding.message for each in self.occurrences}) - 1
        more = f" (+{others} more reasons)" if others else ""
        return f"{checks}{_NOT_JUDGED[self.outcome]}: {named}{self.message}{more}"

    @property
    def is_placed(self) -> bool:
        """Whether the headline names its only place."""
        return len(self.places) == 1 and self.first.location is None

    @cached_property
    def places(self) -> tuple[str, ...]:
        """Where it was found, each place once, with the names in which its message differs from the first."""
        return tuple(dict.fromkeys(filter(None, map(self._describe_place, self.occurrences))))

    def _describe_place(self, occurrence: Occurrence) -> str:
        finding = occurrence.finding
        place = format_place(finding)
        if finding.outcome in _NOT_JUDGED:
            return place
        known = {*_list_words(self.message), *_list_words(place)}
        others = " ".join(
            word for word in _list_words(finding.message) if word not in known and not _NUMBER.fullmatch(word)
        )
        return f"{place} ({others})" if place and others else place or others


class UnjudgedGroup(NamedTuple):
    """What was not judged for the same reason: `needs` is what would let us judge it."""

    why: str
    needs: str | None
    items: tuple[Unjudged, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def headline(self) -> str:
        return f"{len(self.items)} not judged: {self.why} ({', '.join(v.check for v in self.verdicts)})"

    @property
    def things(self) -> tuple[str, ...]:
        """What was not judged, each once."""
        return tuple(dict.fromkeys(each.what for each in self.items))


def group_causes(report: Report) -> tuple[Cause, ...]:
    """The warnings, failures, errors and unknown findings by cause: the worst first, then the largest."""
    roots: list[Occurrence] = []
    consequences: dict[int, list[Occurrence]] = {}  # by the identity of the finding that explains them
    verdicts = {verdict.check: verdict for verdict in report.verdicts}
    for occurrence in _list_occurrences(report):
        root = _find_root(occurrence.finding, verdicts)
        if root is occurrence.finding:
            roots.append(occurrence)
        else:
            consequences.setdefault(id(root), []).append(occurrence)
    causes = [
        Cause(
            group,
            tuple(map(Cause, _group([e for each in group for e in consequences.get(id(each.finding), ())]))),
        )
        for group in _group(roots)
    ]
    return tuple(sorted(causes, key=lambda cause: (-cause.outcome.severity, -cause.size)))


def group_unjudged(report: Report) -> tuple[UnjudgedGroup, ...]:
    """What was not judged, by the reason; the largest group first."""
    items = ((verdict, each) for verdict in report.verdicts for each in verdict.unjudged)
    groups = _group_by(((each.why, each.needs), (verdict, each)) for verdict, each in items)
    found = [
        UnjudgedGroup(
            why,
            needs,
            tuple(each for _, each in pairs),
            tuple({verdict.check: verdict for verdict, _ in pairs}.values()),
        )
        for (why, needs), pairs in groups.items()
    ]
    return tuple(sorted(found, key=lambda group: -len(group.items)))


def describe_counts(report: Report, causes: Collection[Cause]) -> str:
    """The findings of a report in numbers, and the checks that passed or were skipped."""
    findings = Counter(finding.outcome for verdict in report.verdicts for finding in verdict.findings)
    roots = Counter(cause.outcome for cause in causes)
    parts = []
    for outcome, noun in ((Outcome.FAIL, "failure"), (Outcome.WARN, "warning")):
        count = max(findings[outcome], roots[outcome])
        if count:
            of = f" ({_count(roots[outcome], 'cause')})" if roots[outcome] not in (0, count) else ""
            parts.append(_count(count, noun) + of)
    for outcome, what in _NOT_JUDGED.items():
        found = {v.check for cause in causes if cause.outcome is outcome for v in cause.verdicts}
        parts += [f"{_count(len(found), 'check')} {what}"] if found else []
    unjudged = sum(len(verdict.unjudged) for verdict in report.verdicts)
    parts += [f"{unjudged} not judged"] if unjudged else []
    suppressed = sum(len(verdict.suppressed) for verdict in report.verdicts)
    parts += [f"{_count(suppressed, 'finding')} suppressed"] if suppressed else []
    passed, skipped = report.summary.get(Outcome.PASS, 0), report.summary.get(Outcome.SKIP, 0)
    parts += [f"{_count(passed, 'check')} passed"] if report.verdicts else ["no checks"]
    parts += [f"{skipped} skipped"] if skipped else []
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def list_coverage(report: Report) -> list[str]:
    """How much of what was seen could be judged, as in "59 of 235 images (engine.flags-known)"."""
    checks: dict[str, list[str]] = {}
    for verdict in report.verdicts:
        if verdict.coverage:
            checks.setdefault(verdict.coverage.removesuffix(" judged"), []).append(verdict.check)
    return [f"{coverage} ({', '.join(names)})" for coverage, names in checks.items()]


def describe_checks(cause: Cause) -> str:
    """The check of a cause, and how often; of many checks, their number by area."""
    if len(cause.verdicts) > 1:
        return count_areas(cause.verdicts)
    times = len(cause.occurrences)
    return f"{cause.verdicts[0].check}, {times} times" if times > 1 else cause.verdicts[0].check


def count_areas(verdicts: Iterable[Verdict]) -> str:
    """Their number by area, as in "gpu 4, storage 1"."""
    areas = Counter(verdict.area for verdict in verdicts)
    return ", ".join(f"{area} {count}" for area, count in areas.items())


def _list_occurrences(report: Report) -> Iterator[Occurrence]:
    """The problems; a verdict that is one without findings stands for itself."""
    for verdict in report.verdicts:
        if not verdict.findings and verdict.outcome in PROBLEMS:
            yield Occurrence(verdict, Finding(outcome=verdict.outcome, message=verdict.message))
        for finding in verdict.findings:
            if finding.outcome in PROBLEMS:
                yield Occurrence(verdict, finding)


def _find_root(finding: Finding, verdicts: Mapping[str, Verdict]) -> Finding:
    """The finding from which this one follows, maybe over others; itself when nothing explains it, or when it
    could not be looked at for the same reason: both are occurrences of one cause.
    """
    if finding.outcome is Outcome.UNKNOWN:
        return finding
    passed: set[FindingRef] = set()
    while (ref := finding.explained_by) is not None and ref not in passed:
        passed.add(ref)
        findings = verdicts[ref.check].findings if ref.check in verdicts else ()
        if ref.index >= len(findings):
            break
        finding = findings[ref.index]
    return finding


def _group(occurrences: Iterable[Occurrence]) -> list[tuple[Occurrence, ...]]:
    """The occurrences by cause, in the order of the first of each."""
    groups = _group_by((_make_key(each), each) for each in occurrences)
    return [tuple(group) for group in _join_alike(groups).values()]


class _Key(NamedTuple):
    """What findings of one cause share. Names and numbers are slots in `message` and `fix`."""

    check: str | None
    outcome: Outcome
    message: _Template
    fix: _Template


def _make_key(occurrence: Occurrence) -> _Key:
    verdict, finding = occurrence
    match finding.outcome:
        case Outcome.UNKNOWN if finding.fix:
            words = finding.fix.split()
            # One run of a verb, as dynocheck rbac, mends all, whoever its options name.
            fix = words[:2] if words[:1] == ["dynocheck"] else words
            return _Key(None, finding.outcome, (), tuple(fix))
        case Outcome.UNKNOWN:
            return _Key(None, finding.outcome, _mask_message(finding.message, ())[0], ())
        case Outcome.ERROR:
            return _Key(None, finding.outcome, (finding.message,), ())
    own = _list_own_names(finding)
    message, names = _mask_message(finding.message, own)
    return _Key(verdict.check, finding.outcome, message, _mask_fix(finding.fix or "", {*own, *names}))


def _list_own_names(finding: Finding) -> tuple[str, ...]:
    subject, location = finding.subject, finding.location
    named = (subject.name, subject.namespace or "") if subject else ()
    return (*named, *_WORD.findall(location.file)) if location else named


def _mask_message(text: str, own: Iterable[str]) -> tuple[_Template, list[str]]:
    """The words of a message with names and numbers as slots, lists as one, and the words of those names.

    What stands in parentheses, and the s of a plural, is left out.
    """
    words: list[str] = []
    names: list[str] = []
    first, *rest = _QUOTED.sub(_SLOT, _ASIDE.sub("", text)).split() or ("",)
    for word, core, parts in (_mask_path(first), *map(_mask_word, rest)):
        is_name = word == _SLOT or core in own
        if is_name or parts:
            names += parts or [core]
        if not is_name or words[-1:] != [_SLOT]:
            words.append(_SLOT if is_name else word)
    return tuple(words), names


def _mask_path(word: str) -> tuple[str, str, list[str]]:
    """The same for the first word, which may be the path of a field: the field counts, not where it is."""
    parts = _WORD.findall(word.replace(".", " "))
    return (f".{parts[-1]}", word, parts) if word.endswith(":") and len(parts) > 1 else _mask_word(word)


@lru_cache(maxsize=1 << 14)
def _mask_word(word: str) -> tuple[str, str, list[str]]:
    """The word, or a slot for a name; the word without punctuation; and the words of the name."""
    core = word.strip(".,:;()'")
    if word == _SLOT or (_NAME.match(core) and not _NOT_A_NAME.match(core)):
        return _SLOT, core, _WORD.findall(core)
    return word.removesuffix("s"), core, []


def _list_words(text: str) -> list[str]:
    return [word.strip(".,:;()") for word in _ASIDE.sub("", text).split()]


def _mask_fix(text: str, names: set[str]) -> _Template:
    """The words of a fix, with these names and numbers as slots."""
    words = _WORD.findall(text)
    return tuple(_SLOT if word.strip(".") in names or _NUMBER.fullmatch(word) else word for word in words)


def _join_alike(groups: Mapping[_Key, list[Occurrence]]) -> dict[_Key, list[Occurrence]]:
    """The groups, with those joined whose fix is the same and whose messages differ in plain words only at
    their start and in one other place: such a word is the name of a component, as decode or prefill.
    """
    joined: dict[_Key, list[Occurrence]] = {}
    known: dict[tuple[_Key, int], _Key] = {}
    for key, group in groups.items():
        slots = list(_open_slots(key)) if key.fix and len(key.message) <= _MOST_WORDS else []
        home = next((known[slot] for slot in slots if slot in known), key)
        joined.setdefault(home, []).extend(group)
        known.update((slot, home) for slot in slots)
    return joined


def _open_slots(key: _Key) -> Iterator[tuple[_Key, int]]:
    """The key with the first word of its message as a slot, and one more plain word, in each way."""
    start, *rest = key.message or ("",)
    start = _SLOT if _PLAIN.fullmatch(start) else start
    for place, word in enumerate(rest):
        if _PLAIN.fullmatch(word):
            yield key._replace(message=(start, *rest[:place], _SLOT, *rest[place + 1 :])), place


def _group_by(pairs: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    groups: dict[K, list[V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
