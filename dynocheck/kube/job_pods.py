"""Why a Job does not succeed, as its conditions and its pods tell."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from dynocheck.secrets import clip

# The kubelet tries again 10 s after an attempt failed, then after 20 s more: by now two have failed.
_RETRIED_S = 15.0
_STARTING = {"ContainerCreating", "PodInitializing"}
_PERMANENT = {"CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull"}  # waiting does not help
_LONGEST = 600  # characters of a problem; that of an image ends with the reason
_ENDS = ("Complete", "Failed", "FailureTarget")  # with the last one, the Job still has to stop its pods


def find_end(job: Any) -> Any:
    """The condition that says how the Job ended, or None while it runs."""
    true = {c.type: c for c in job.status.conditions or () if c.status == "True"}
    return next((true[kind] for kind in _ENDS if kind in true), None)


def describe_condition(condition: Any) -> str:
    """A condition's or a state's reason and message."""
    return ": ".join(filter(None, (condition.reason, condition.message)))


class PodHistory:
    """The pods of a Job, as they were at each look at them."""

    def __init__(self) -> None:
        self._pods: Sequence[Any] = ()
        self._problems: dict[str, str] = {}  # of every pod seen, "" for one that has none
        self._waiting_since: dict[str, float] = {}

    def look(self, pods: Sequence[Any]) -> None:
        """Take up how the pods are now."""
        now = time.monotonic()
        self._pods = pods
        waiting = [pod.metadata.name for pod in pods if _find_obstacle(pod)]
        self._waiting_since = {name: self._waiting_since.get(name, now) for name in waiting}
        for pod in pods:
            before = self._problems.get(pod.metadata.name, "") if pod.metadata.deletionTimestamp else ""
            self._problems[pod.metadata.name] = _describe_problem(pod) or before

    def is_stuck(self) -> bool:
        """Whether a pod's container cannot be started, now or when the kubelet tries again."""
        now = time.monotonic()
        return any(now - since > _RETRIED_S for since in self._waiting_since.values()) or any(
            obstacle.reason in _PERMANENT for obstacle in map(_find_obstacle, self._pods) if obstacle
        )

    def list_failed(self) -> list[Any]:
        """The pods whose container ended with an error before anybody deleted them."""
        return [pod for pod in self._pods if _find_exit(pod) and not pod.metadata.deletionTimestamp]

    def list_problems(self) -> list[str]:
        """A line for each problem, with the pods that do not do their work because of it."""
        names: dict[str, list[str]] = {}
        for name, problem in self._problems.items():
            names.setdefault(problem, []).append(name)
        return [f"{', '.join(names[problem][:3])}: {problem}" for problem in names if problem]

    def list_deleted(self) -> list[str]:
        """A line for each pod that is gone, or else for those that were the first to be deleted."""
        times = {pod.metadata.name: pod.metadata.deletionTimestamp for pod in self._pods}
        first = min(filter(None, times.values()), default="never")
        gone = self._problems.keys() - times or {name for name, when in times.items() if when == first}
        return [f"{name}: deleted" for name in sorted(gone)]

    def describe_progress(self) -> str:
        """How many pods run, and the first problem."""
        running = sum(pod.status.phase in ("Running", "Succeeded") for pod in self._pods)
        return ", ".join([f"{running} of {len(self._pods)} pods running", *self.list_problems()[:1]])


def _find_obstacle(pod: Any) -> Any:
    """The state of a container that waits for something other than its turn."""
    states = (state.waiting for state in _list_states(pod))
    return next((waiting for waiting in states if waiting and waiting.reason not in _STARTING), None)


def _find_exit(pod: Any) -> Any:
    """The state of a container that ended with an error."""
    states = (state.terminated for state in _list_states(pod))
    return next((ended for ended in states if ended and ended.exitCode), None)


def _list_states(pod: Any) -> Iterator[Any]:
    return (each.state for each in pod.status.containerStatuses or () if each.state)


def _describe_problem(pod: Any) -> str:
    """Why the pod was disrupted, failed, cannot start or is not scheduled; "" when it is none of these.

    How the container of a pod ends that somebody deleted says nothing.
    """
    conditions = {(c.type, c.status): c for c in pod.status.conditions or ()}
    if disrupted := conditions.get(("DisruptionTarget", "True")):
        return clip(describe_condition(disrupted), _LONGEST)
    if pod.metadata.deletionTimestamp:
        return ""
    if pod.status.reason:
        return clip(describe_condition(pod.status), _LONGEST)
    if ended := _find_exit(pod):
        words = (ended.reason, f"exit code {ended.exitCode}", ended.message)
        return clip(": ".join(filter(None, words)), _LONGEST)
    obstacle = _find_obstacle(pod) or conditions.get(("PodScheduled", "False"))
    return clip(describe_condition(obstacle), _LONGEST) if obstacle else ""
