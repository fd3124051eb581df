"""What lines of logs mean: the rows of log_rules.json, and which of them a log shows."""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from dynocheck.data import read_table
from dynocheck.data.text_rules import TextRule

# The last line of a traceback, which a logger may have put its own words before.
_EXCEPTION = re.compile(
    r"(?:^|[\]) ])(?P<words>(?:[a-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Enabled)(?:: .*)?)$"
)
# What Rust, Go and C++ say first when a program ends itself; Rust says why on the next line.
_PANIC = re.compile(r"\bpanicked at |^(?:panic|fatal error): |^\s*what\(\): ")
_CODE = re.compile(r'\b(?:raise|except|return)\b|File "')
# What a program says of an error that it survives.
_SURVIVED = re.compile(
    r"^.{0,80}(?<!NCCL )\b(?:WARN|WARNING|INFO|DEBUG)\b|\b[Rr]etry|\b[Ff]all(?:ing|s|ed)? ?back"
)
_ERROR = re.compile(r"^E\d{4} |^.{0,80}\bERROR\b")
_OF_PYDANTIC = "validation error"  # the next line says which
_DETAIL = re.compile(r"(?:Value error, |Input should |Field required|Extra inputs ).*")
_END = 20


class LogRule(TextRule, frozen=True, kw_only=True):
    """A line of a log and what it means.

    `level` is cause for what ends a program, generic for what may end it and may be mentioned in passing,
    secondary for what follows from a cause that stands elsewhere, and hint for what a program survives.
    `pattern` is for the part of the line that stays from release to release.
    """

    id: str
    level: Literal["cause", "generic", "secondary", "hint"]


class LogMatch(NamedTuple):
    """A line, and the rule that knows it."""

    rule: LogRule
    line: str

    @property
    def is_survived(self) -> bool:
        """Whether the program logs it as a warning, or says that it tries again."""
        return _SURVIVED.search(self.line) is not None


@cache
def load_log_rules() -> tuple[LogRule, ...]:
    """Every rule. Where several know a line, the first one counts."""
    return msgspec.json.decode(read_table("log_rules.json"), type=tuple[LogRule, ...])


@lru_cache(maxsize=1 << 15)
def match_line(line: str) -> LogMatch | None:
    """What is known of a line."""
    if not _compile_any().search(line):
        return None
    return next((LogMatch(rule, line) for rule in load_log_rules() if rule.expression.search(line)), None)


@cache
def _compile_any() -> re.Pattern[str]:
    """What every line has that a rule knows: most lines are known by none, and are searched once."""
    return re.compile("|".join(f"(?:{rule.pattern})" for rule in load_log_rules()))


def find_cause(lines: Sequence[str]) -> LogMatch | None:
    """The line that says why a program ended.

    The first cause counts, since what follows from it is reported by others after it: but not one that is
    logged as a warning or tried again while an error stands elsewhere, and a generic one only near the end.
    """
    lines = _unfold(lines)
    matches = [match for match in map(match_line, lines) if match is not None]
    causes = [match for match in matches if match.rule.level == "cause"]
    errors = [match for match in causes if not match.is_survived]
    generic = [m for m in map(match_line, lines[-_END:]) if m is not None and m.rule.level == "generic"]
    survived = [] if _find_exceptions(lines) else causes
    secondary = [match for match in matches if match.rule.level == "secondary"]
    return next(iter([*errors, *reversed(generic), *survived, *secondary]), None)


def find_hints(lines: Sequence[str]) -> list[LogMatch]:
    """The lines that tell of trouble that a program survives, one for each rule."""
    matches = (match for match in map(match_line, lines) if match is not None)
    return list({match.rule.id: match for match in matches if match.rule.level == "hint"}.values())


def find_last_words(lines: Sequence[str], *, ended: bool = False) -> str:
    """The line in which a program says why it ends: the last exception of its own, else the last line.

    :param ended: it has ended, so that without an exception its last error counts.
    """
    lines = _unfold(lines)
    own = _find_exceptions(lines) or _find_panics(lines)[:1]
    if ended and not own:
        own = [line.strip() for line in lines[-_END:] if _is_own_error(line)]
    return (own or [line.strip() for line in lines if line.strip()] or [""])[-1]


def _is_own_error(line: str) -> bool:
    """Whether a program logs a line as an error that neither follows from another one nor is survived."""
    known = match_line(line)
    own = known is None or known.rule.level != "secondary"
    return own and _ERROR.search(line) is not None and not _SURVIVED.search(line)


def _unfold(lines: Sequence[str]) -> list[str]:
    """The lines, where a logger that writes JSON has put a traceback into one of them."""
    return [part for line in lines for part in (line.split("\\n") if line.startswith("{") else (line,))]


def _find_panics(lines: Sequence[str]) -> list[str]:
    """The panics of programs that are not written in Python; the first one leads to the others."""
    pairs = pairwise([*lines, ""])
    found = ((line.strip(), following.strip()) for line, following in pairs if _PANIC.search(line))
    return [f"{line} {following}".strip() if line.endswith(":") else line for line, following in found]


def _find_exceptions(lines: Sequence[str]) -> list[str]:
    """The exceptions in which tracebacks end, but for those that follow from others."""
    found = []
    for line, following in pairwise([*lines, ""]):
        match = None if _CODE.search(line) else _EXCEPTION.search(line.strip())
        if match is not None:
            detail = _DETAIL.search(following) if _OF_PYDANTIC in match["words"] else None
            words = f"{match['words']}: {detail[0]}" if detail else match["words"]
            known = match_line(match["words"])
            found += [words] if known is None or known.rule.level != "secondary" else []
    return found
