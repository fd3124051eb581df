"""What a check yields, made sure of: a custom check may yield anything."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from dynocheck.core.bounded import run_bounded
from dynocheck.core.crashes import ADVICE, describe_crash, find_source, is_own, show_place
from dynocheck.core.declarations import Check
from dynocheck.core.errors import PluginError
from dynocheck.core.outcomes import Finding, Judged, Location, Outcome, Result, Skip, Subject, Unjudged
from dynocheck.facts import Fact

_LONGEST = 200


class Results(msgspec.Struct):
    """What a check yielded. `skip_reason`: why it has nothing to judge."""

    findings: list[Finding] = []
    counts: list[Judged] = []
    unjudged: list[Unjudged] = []
    skip_reason: str | None = None


def collect_results(check: Check, facts: Mapping[str, Fact | None], limit_s: float) -> Results:
    """The results of a check; a crash is a finding. A custom check runs in a child of this process.

    :param limit_s: seconds for a custom check.
    """
    if is_own(check.function):
        return _collect(check, facts)
    try:
        answer = run_bounded(lambda: _encode(_collect(check, facts)), limit_s)
        return msgspec.msgpack.decode(answer, type=Results)
    except (PluginError, msgspec.MsgspecError) as error:
        return _make_crash(f"the check {error} ({locate(check.function)})")


def _encode(results: Results) -> bytes:
    try:
        return msgspec.msgpack.encode(results, enc_hook=str)
    except Exception as error:  # evidence may be anything
        return msgspec.msgpack.encode(_make_crash(f"its findings cannot be encoded: {type(error).__name__}"))


def _collect(check: Check, facts: Mapping[str, Fact | None]) -> Results:
    results = Results()
    try:
        for result in iterate_results(check, facts):
            match result:
                case Finding():
                    results.findings.append(result)
                case Judged():
                    results.counts.append(result)
                case Unjudged():
                    results.unjudged.append(result)
    except Skip as skip:
        results.skip_reason = str(skip) or "no reason given"
    except MemoryError:
        results.findings.append(Finding(outcome=Outcome.UNKNOWN, message=f"{check.id}: out of memory"))
    except KeyboardInterrupt:
        if is_own(check.function):
            raise
        return _make_crash(f"the check raised KeyboardInterrupt ({locate(check.function)})")
    except BaseException as error:
        crash = _make_crash(describe_crash(error, check.function))
        results.findings += crash.findings
    return results


def _make_crash(message: str) -> Results:
    return Results(findings=[Finding(outcome=Outcome.ERROR, message=message, fix=ADVICE)])


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
