"""Reads the last lines of the logs of containers that have crashed, or run and are not ready."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

from dynocheck import probe
from dynocheck.facts import Access, ContainerLog, ContainerLogs, ContainerState, NamespaceState
from dynocheck.kube import Cluster, KubeError, run_parallel
from dynocheck.secrets import hide, hide_assigned

_LINES = 400
_BYTES = 1 << 20  # the kubelet sends the first of these, so they must hold all lines
_WIDTH = 600  # characters that are kept of a line
_PODS = 3  # of one owner, as replicas fail alike
_CONTAINERS = 60
_KEY = "PRIVATE KEY-----"
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@probe(access=[Access("get", "pods/log", local=True)])
def container_logs(cluster: Cluster, state: NamespaceState) -> ContainerLogs:
    """A log that cannot be read is listed with the reason."""
    return ContainerLogs(read_logs(cluster, state))


def read_logs(cluster: Cluster, state: NamespaceState) -> tuple[ContainerLog, ...]:
    """The logs of the containers that have crashed, or run and are not ready."""
    wanted = [*_choose(state)][:_CONTAINERS]
    reads = [partial(_read, cluster, state.namespace, *each) for each in wanted]
    return tuple(run_parallel(reads))


def _choose(state: NamespaceState) -> Iterator[tuple[str, str, bool]]:
    """The pod and container of each log, and whether it is that of the previous run."""
    taken: Counter[object] = Counter()
    for pod in state.pods:
        chosen = [(c.name, previous) for c in pod.containers for previous in _choose_runs(c)]
        owner = pod.owners[0] if pod.owners else pod.key
        if chosen and taken[owner] < _PODS:
            taken[owner] += 1
            yield from ((pod.name, name, previous) for name, previous in chosen)


def _choose_runs(container: ContainerState) -> Iterator[bool]:
    waits_for_it = bool(container.running_since) and not container.ready
    if waits_for_it or (container.ended is not None and container.ended.is_failure):
        yield False
    again = container.waiting == "CrashLoopBackOff"  # it may have ended without an error
    if container.previous is not None and (container.previous.is_failure or again):
        yield True


def _read(cluster: Cluster, namespace: str, pod: str, container: str, previous: bool) -> ContainerLog:
    target = (
        f"/api/v1/namespaces/{namespace}/pods/{pod}/log?container={quote(container)}"
        f"&previous={str(previous).lower()}&tailLines={_LINES}&limitBytes={_BYTES}"
    )
    try:
        response = cluster.send("GET", target, {"Accept": "text/plain, */*"})
    except KubeError as error:
        return ContainerLog(pod=pod, container=container, previous=previous, problem=str(error))
    text = _ESCAPES.sub("", response.body.decode("utf-8", "replace").replace("\r", "\n"))
    if _KEY in text:  # which spans lines
        text = hide(text)
    lines = tuple(_shorten(line.strip()) for line in text.split("\n") if line.strip())
    return ContainerLog(pod=pod, container=container, previous=previous, lines=lines[-_LINES:])


def _shorten(line: str) -> str:
    """The start and the end of a long line, which hold its level and its reason."""
    if len(line) > _WIDTH:
        line = hide_assigned(line)  # a part of a secret cannot be told from other text
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH // 2]} … {line[-_WIDTH // 2 :]}"
