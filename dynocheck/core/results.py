"""What a check yields, made sure of: a custom check may yield anything."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from dynocheck.core.crashes import find_source, show_place
from dynocheck.core.declarations import Check
from dynocheck.core.errors import PluginError
from dynocheck.core.outcomes import Finding, Judged, Location, Outcome, Result, Subject, Unjudged
from dynocheck.facts import Fact

_LONGEST = 200


def iterate_results(check: Check, facts: Mapping[str, Fact | None]) -> Iterator[Result]:
    """The results of a check, one by one.

    :raises PluginError: the check returns or yields something else.
    """
    results: Any = check(**facts)
    if results is None:
        return
    if not isinstance(results, Iterable) or isinstance(results, str | bytes | Mapping):
        raise PluginError(f"the check returned {_show(results)}, not findings ({locate(check.function)})")
    for result in results:
        if not _is_valid(result):
            frame = getattr(results, "gi_frame", None)
            place = locate(check.function, frame.f_lineno if frame else None)
            expected = (
                f"not a valid {type(result).__name__.lower()}" if _is_result(result) else "not a finding"
            )
            raise PluginError(f"the check yielded {_show(result)}, {expected} ({place})")
        yield result


def locate(function: Callable[..., Any], line: int | None = None) -> str:
    """The place of a function, or of a line in it."""
    file, first = find_source(function)
    return show_place(file, line or first)


def _is_result(value: object) -> bool:
    return isinstance(value, Finding | Judged | Unjudged)


def _is_valid(value: object) -> bool:
    """Whether a value is a result whose parts have the types that they should."""
    match value:
        case Finding(
            outcome=Outcome.WARN | Outcome.FAIL | Outcome.UNKNOWN,
            message=str(),
            fix=None | str(),
            evidence=Mapping(),
        ):
            return bool(value.message.strip()) and _is_placed(value)
        case Unjudged(what=str(), why=str(), needs=None | str()):
            return _is_placed(value)
        case Judged(count=int(), noun=str()):
            return value.count >= 0
    return False


def _is_placed(value: Finding | Unjudged) -> bool:
    match value.subject:
        case None | Subject(kind=str(), name=str(), namespace=None | str()):
            pass
        case _:
            return False
    match value.location:
        case None | Location(file=str(), line=None | int(), column=None | int()):
            return True
    return False


def _show(value: object) -> str:
    """A value in words, shortened."""
    try:
        text = repr(value)
    except Exception:  # its __repr__ is broken too
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
