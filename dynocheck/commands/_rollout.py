"""A deployment that is being rolled out: looked at again until it serves, cannot, or the time is over."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from dynocheck.core.declarations import Check
from dynocheck.core.explanations import link_explanations
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.outcomes import Finding, Outcome
from dynocheck.core.pipeline import judge
from dynocheck.facts import DeployedObject, DeployedPod, NamespaceState
from dynocheck.reports._text import sanitize
from dynocheck.secrets import hide_assigned

PAUSE_S = 2.0
_STANDING_S = 60.0
# A node may be added, a claim bound and a controller woken up without anybody's doing.
_PASSING = ("symptom.unscheduled", "symptom.claim", "symptom.node", "symptom.graph", "symptom.workload")
_GRAPHS = ("DynamoGraphDeployment", "DynamoGraphDeploymentRequest", "DynamoModel")
_WORKLOADS = ("Deployment", "StatefulSet", "LeaderWorkerSet", "PodClique", "Job")


class Rollout:
    """The looks at a deployment.

    :param wait_s: seconds after which it is not looked at again.
    :param pause: waits for a change, at most so many seconds.
    :param show: takes the lines that tell how it stands.
    :param has_answered: whether the API server has ever answered; else there is nothing to wait for.
    """

    def __init__(
        self,
        wait_s: float,
        pause: Callable[[float], object] = lambda longest_s: time.sleep(min(PAUSE_S, longest_s)),
        show: Callable[[Sequence[str]], object] = lambda lines: None,
        has_answered: Callable[[], bool] = lambda: True,
    ) -> None:
        self.waiting_for = ""
        self._pause, self._show, self._has_answered = pause, show, has_answered
        self._end = time.monotonic() + wait_s
        self._since: dict[str, float] = {}  # since when each failure stands

    def look_again(self, checks: Sequence[Check], known: Knowledge) -> bool:
        """Whether to look once more, after a pause: something is wrong, may pass, and there is time."""
        now = time.monotonic()
        if now >= self._end:
            return False
        linked, _ = link_explanations(judge(checks, known), {c.id: c.explained_by for c in checks})
        problems = [(v.check, f) for v in linked for f in v.findings if f.explained_by is None]
        self.waiting_for = hide_assigned(problems[0][1].message) if problems else ""
        lasting = {
            _name(f): now for check, f in problems if f.outcome is Outcome.FAIL and check not in _PASSING
        }
        self._since = lasting | {name: self._since[name] for name in lasting.keys() & self._since.keys()}
        state = known.facts.get(NamespaceState)
        if state is None and not self._has_answered():
            return False
        if isinstance(state, NamespaceState):
            self._show([*describe_rollout(state), *(f"because: {f.message}" for _, f in problems)])
        if not problems or any(now - since > _STANDING_S for since in self._since.values()):
            return False
        self._pause(self._end - now)
        return True


def _name(finding: Finding) -> str:
    return f"{finding.subject}: {finding.evidence.get('container', '')}"


def describe_rollout(state: NamespaceState) -> Iterator[str]:
    """How graphs, downloads and other Jobs, components and their pods stand, a line each."""
    for each in state.list_objects(*_GRAPHS):
        yield f"{each.key}: {each.state or 'no status'}"
    for each in state.list_objects(*_WORKLOADS):
        pods = [pod for pod in state.pods if pod.owners[:2] and each.key in pod.owners]
        yield f"{each.key}: {_describe_count(each)}"
        yield from (f"  {pod.name}: {describe_pod_state(state, pod)}" for pod in pods)
    for pod in state.pods:
        if not any(owner.kind in _WORKLOADS for owner in pod.owners):
            yield f"{pod.key}: {describe_pod_state(state, pod)}"


def _describe_count(each: DeployedObject) -> str:
    done = next(
        (c.type for c in each.conditions if c.type in ("Complete", "Failed") and c.status == "True"), ""
    )
    if each.key.kind == "Job":
        return done.lower() or "running"
    return f"{each.ready} of {each.desired if each.desired is not None else '?'} ready"


def describe_pod_state(state: NamespaceState, pod: DeployedPod) -> str:
    """In a few words: whether it has a node, pulls its image, starts, or is ready."""
    if pod.terminating:
        return "is being deleted"
    if pod.has_ended or pod.is_ready:
        return pod.phase.lower() if pod.has_ended else "ready"
    if not pod.node:
        return f"held back by {', '.join(pod.gates)}" if pod.gates else "has no node"
    events = state.list_events(pod.key, "Pulling", "Pulled")
    if events and events[0].reason == "Pulling" and not any(c.running_since for c in pod.containers):
        return "pulls its image"
    unready = [c for c in pod.containers if not c.ready and not (c.init and c.ended)]
    words = (f"{c.name} {c.waiting or ('runs, not ready' if c.running_since else 'ended')}" for c in unready)
    return "; ".join(words) or "not ready"


class LiveView:
    """Shows lines on standard error: on a terminal as a block that is drawn anew, else those that changed."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._drawn = 0
        self._known: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Show how it stands now."""
        told = [sanitize(hide_assigned(line), self._stream.encoding or "utf-8") for line in lines]
        if self._stream.isatty():
            columns, rows = _measure(self._stream)
            self.clear()
            told = [line[: columns - 1] for line in told[: rows - 1]]
            self._drawn = len(told)
            self._write("".join(f"{line}\n" for line in told))
        else:
            clock = time.strftime("%H:%M:%S")
            self._write("".join(f"{clock} {line.strip()}\n" for line in told if line not in self._known))
            self._known = told

    def clear(self) -> None:
        """Remove the block from a terminal."""
        if self._drawn:
            self._write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the reader has closed it; the report tells the end
            self._drawn = 0


def _measure(stream: TextIO) -> tuple[int, int]:
    """Its columns and rows, as usual ones where it does not know them."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24
