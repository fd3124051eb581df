"""Runs probes concurrently, each with a timeout, and collects facts and failures."""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dynocheck.core.cancellation import Interruption
from dynocheck.core.crashes import ADVICE, describe_crash
from dynocheck.core.declarations import Probe
from dynocheck.core.errors import PluginError, UsageError
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.results import locate
from dynocheck.core.threads import start_thread
from dynocheck.facts import Fact, Unavailable

Progress = Callable[[Sequence[str]], None]  # takes the names of the probes that are running

_TICK_S = 0.1
_GRACE_S = 0.5  # a probe that keeps the limit itself names what was late
_INTERRUPT_S = 5.0  # for the probes that take Interruption to return what they have

_NO_THREAD = "cannot start a thread: the limit of processes or of memory is reached"

_Result = Fact | MissingFact | UsageError


def gather(
    probes: Sequence[Probe],
    sources: Mapping[type, Any],
    *,
    timeout_s: float,
    progress: Progress | None = None,
    known: Knowledge | None = None,
) -> Knowledge:
    """Run each probe once, concurrently; one that takes another's fact runs after it.

    :param probes: in the order of a plan: each after those whose facts it takes.
    :param timeout_s: seconds per probe, unless the probe has a limit of its own. A fact that comes later is
        missing, and so are the facts of the probes that take it.
    :param progress: called about ten times a second.
    :param known: facts that none of these probes provides.
    :return: the new facts, also after Ctrl-C: probes that take `Interruption` may then return what they have.
    :raises UsageError: a probe found that the user's input cannot be used.
    """
    before = known or Knowledge()
    interruption = Interruption()
    available = {Interruption: interruption, **sources, **before.facts}
    runs: dict[type, _ProbeRun] = {}
    for probe in probes:
        runs[probe.provides] = _ProbeRun(probe, available, before.missing, runs, timeout_s)
    knowledge = Knowledge()
    try:
        _prepare_threads()
        for run in runs.values():
            run.start()
        _wait_for_all([*runs.values()], progress)
    except KeyboardInterrupt:
        knowledge.interrupted = True
        with suppress(KeyboardInterrupt):  # a second Ctrl-C ends the wait
            _wait_for_interrupted(runs.values(), interruption)
    for fact, run in runs.items():
        run.settle(MissingFact(f"{run.probe.name}: interrupted"))
        match run.result:
            case UsageError() as error:
                raise error
            case MissingFact() as missing:
                knowledge.missing[fact] = missing
            case Fact() as value:
                knowledge.facts[fact] = value
    return knowledge


def _prepare_threads() -> None:
    """Load what the C library needs to end a thread: short of memory, it would abort the process."""
    if sys.platform == "linux":
        with suppress(OSError, ImportError):
            import ctypes  # slow to import, and needed only here

            ctypes.CDLL("libgcc_s.so.1")


def _wait_for_all(runs: "Sequence[_ProbeRun]", progress: Progress | None) -> None:
    """Wait until each run has ended or its time is over."""
    while waiting := [run for run in runs if not run.done.is_set()]:
        now = time.monotonic()
        for run in waiting:
            if now > run.deadline:
                run.settle(MissingFact(f"{run.probe.name}: no answer within {run.limit_s:g} s"))
        if progress is not None:
            progress([run.probe.name for run in waiting if run.running])
        waiting[0].done.wait(_TICK_S)


def _wait_for_interrupted(runs: "Iterable[_ProbeRun]", interruption: Interruption) -> None:
    """Tell the probes that take Interruption to end, and wait for them."""
    interruption.trigger()
    end = time.monotonic() + _INTERRUPT_S
    for run in runs:
        if run.running and Interruption in run.probe.sources.values():
            run.done.wait(max(end - time.monotonic(), 0.0))


class _ProbeRun:
    """A probe on a daemon thread of its own, so that a stuck server never holds up the run."""

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
        self.running = False
        self.done = threading.Event()
        self.result: _Result | None = None
        self._sources = sources
        self._missing = missing
        self._others = dict(others)
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin. Without another thread, its fact is missing."""
        try:
            start_thread(self._run)
        except (RuntimeError, MemoryError):
            self.settle(MissingFact(_NO_THREAD, "ulimit -u; ulimit -v"))

    def settle(self, result: _Result) -> None:
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
        except MemoryError:
            self.settle(MissingFact(f"{self.probe.name}: out of memory"))
        except BaseException as error:
            crash = describe_crash(error, self.probe.look)
            self.settle(MissingFact(f"probe {self.probe.name}: {crash}", ADVICE, crashed=True))

    def _call_probe(self) -> _Result:
        arguments: dict[str, Any] = {}
        for name, kind in self.probe.sources.items():
            source = arguments[name] = self._wait_for_source(kind)
            if isinstance(source, MissingFact | UsageError):
                return source
        self.limit_s = self.probe.limit_s(self.limit_s, **arguments)
        if not (isinstance(self.limit_s, int | float) and 0 < self.limit_s < math.inf):
            raise PluginError(f"its limit is {self.limit_s!r}, not seconds ({locate(self.probe.look)})")
        self.deadline = time.monotonic() + self.limit_s + _GRACE_S
        self.running = True
        fact = self.probe(**arguments)
        if not isinstance(fact, self.probe.provides):
            returned, expected = type(fact).__name__, self.probe.provides.__name__
            raise PluginError(f"returned {returned}, not {expected} ({locate(self.probe.look)})")
        return fact

    def _wait_for_source(self, kind: type) -> Any:
        """A source, or the result of the probe that provides this fact, as soon as it is there."""
        if kind in self._others:
            self._others[kind].done.wait()
            return self._others[kind].result
        return self._missing[kind] if kind in self._missing else self._sources[kind]
