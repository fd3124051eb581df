"""Looking at the world: probes side by side, each in its time, and what came of it."""

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynocheck.core.cancellation import Interruption
from dynocheck.core.errors import UsageError
from dynocheck.core.registry import Probe
from dynocheck.facts import Fact, Unavailable

Progress = Callable[[Sequence[str]], None]  # the names of the probes still looking

_TICK_S = 0.1
_GRACE_S = 0.5  # a probe that keeps to the limit itself says better what was late
_LAST_S = 5.0  # for those who heed an interrupt to give what they have by then


@dataclass(frozen=True)
class MissingFact:
    """Why a fact cannot be had. `crashed` tells our own fault from the world's."""

    reason: str
    fix: str | None = None
    crashed: bool = False


@dataclass
class Knowledge:
    """The facts of a run, had and not had."""

    facts: dict[type[Fact], Fact] = field(default_factory=dict)
    missing: dict[type[Fact], MissingFact] = field(default_factory=dict)
    interrupted: bool = False

    def __contains__(self, fact: type[Fact]) -> bool:
        return fact in self.facts or fact in self.missing


def gather(
    probes: Sequence[Probe],
    sources: Mapping[type, Any],
    *,
    timeout_s: float,
    progress: Progress | None = None,
    known: Knowledge | None = None,
) -> Knowledge:
    """Run the probes side by side, each once, and those that look at another's fact after it.

    :param probes: as a plan has them: who gives a fact stands before who looks at it.
    :param timeout_s: seconds that each may take, unless it brings a limit of its own; a fact that comes
        later is missing, and with it all that is looked at with its help.
    :param progress: called about ten times a second with the probes still looking.
    :param known: facts that no probe of these gives.
    :return: what was learnt, also when the user interrupts: a probe that looks at `Interruption` is told,
        and may give then what it has.
    :raises UsageError: a probe found that what the user named cannot be used.
    """
    before = known or Knowledge()
    interruption = Interruption()
    given = {Interruption: interruption, **sources, **before.facts}
    looks: dict[type, _ProbeRun] = {}
    for each in probes:
        looks[each.provides] = _ProbeRun(each, given, before.missing, looks, timeout_s)
    knowledge = Knowledge()
    try:
        for look in looks.values():
            look.thread.start()
        _wait_for_all([*looks.values()], progress)
    except KeyboardInterrupt:
        knowledge.interrupted = True
        with suppress(KeyboardInterrupt):  # a second one is not patient
            _wait_for_interrupted(looks.values(), interruption)
    for fact, look in looks.items():
        look.settle(MissingFact(f"{look.probe.name}: interrupted"))
        match look.result:
            case UsageError() as misused:
                raise misused
            case MissingFact() as missing:
                knowledge.missing[fact] = missing
            case Fact() as found:
                knowledge.facts[fact] = found
    return knowledge


def _wait_for_all(looks: "Sequence[_ProbeRun]", progress: Progress | None) -> None:
    """Wait until each has ended, in its time or because that is over."""
    while waiting := [look for look in looks if not look.done.is_set()]:
        now = time.monotonic()
        for look in waiting:
            if now > look.deadline:
                look.settle(MissingFact(f"{look.probe.name}: no answer within {look.limit_s:g} s"))
        if progress is not None:
            progress([look.probe.name for look in waiting if look.looking])
        waiting[0].done.wait(_TICK_S)


def _wait_for_interrupted(looks: "Iterable[_ProbeRun]", interruption: Interruption) -> None:
    """Let those end by themselves that heed the interrupt."""
    interruption.trigger()
    end = time.monotonic() + _LAST_S
    for look in looks:
        if look.looking and Interruption in look.probe.sources.values():
            look.done.wait(max(end - time.monotonic(), 0.0))


class _ProbeRun:
    """A probe on a thread of its own, which a stuck server may keep: it never holds the run."""

    def __init__(
        self,
        probe: Probe,
        sources: Mapping[type, Any],
        missing: Mapping[type[Fact], MissingFact],
        others: Mapping[type, "_ProbeRun"],
        timeout_s: float,
    ) -> None:
        self.probe = probe
        self.limit_s = timeout_s
        self.deadline = float("inf")
        self.looking = False
        self.done = threading.Event()
        self.result: Fact | MissingFact | UsageError | None = None
        self.thread = threading.Thread(target=self._run, name=probe.name, daemon=True)
        self._sources = sources
        self._missing = missing
        self._others = dict(others)
        self._lock = threading.Lock()

    def settle(self, result: "Fact | MissingFact | UsageError") -> None:
        """End with this result, unless another came first."""
        with self._lock:
            if not self.done.is_set():
                self.result = result
                self.done.set()

    def _run(self) -> None:
        try:
            self.settle(self._call_probe())
        except UsageError as error:
            self.settle(error)
        except Unavailable as unavailable:
            self.settle(MissingFact(str(unavailable), unavailable.fix))
        except Exception as error:
            self.settle(MissingFact(f"probe {self.probe.name}: {describe_crash(error)}", crashed=True))

    def _call_probe(self) -> "Fact | MissingFact | UsageError":
        taken: dict[str, Any] = {}
        for name, kind in self.probe.sources.items():
            taken[name] = self._wait_for_source(kind)
            if isinstance(taken[name], MissingFact | UsageError):
                return taken[name]  # type: ignore[no-any-return]
        self.limit_s = self.probe.limit_s(self.limit_s, **taken)
        self.deadline = time.monotonic() + self.limit_s + _GRACE_S
        self.looking = True
        return self.probe(**taken)

    def _wait_for_source(self, kind: type) -> Any:
        """What the probe looks at: a source, or the fact of another probe as soon as that is there."""
        if kind in self._others:
            self._others[kind].done.wait()
            return self._others[kind].result
        return self._missing[kind] if kind in self._missing else self._sources[kind]


def describe_crash(error: Exception) -> str:
    """One line that a maintainer can act on. The exception's own text stays out: it may hold a secret."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"crashed: {type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
