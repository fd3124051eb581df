"""What runs in one namespace, and how: the objects of a deployment, from its graph down to its containers."""

import datetime
from collections.abc import Iterator
from functools import cached_property

import msgspec

from dynocheck.facts.base import Fact, FactList
from dynocheck.facts.k8s.cluster import Condition

_CLOCKS_DIFFER = datetime.timedelta(seconds=30)


class DiagnosisFact(Fact, frozen=True):
    """A fact about a deployment that exists, whether it serves or not."""


class ObjectKey(msgspec.Struct, frozen=True, order=True):
    """The kind and name of an object in the namespace, or of a node."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Termination(msgspec.Struct, frozen=True, kw_only=True):
    """How a container ended. `finished` is RFC 3339, empty if the kubelet does not know it."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    finished: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether it ended with an error, or was killed."""
        return self.exit_code != 0 or self.signal != 0


class PortState(msgspec.Struct, frozen=True):
    """A port that a container declares; `name` is empty if it has none."""

    number: int
    name: str = ""


class ContainerState(msgspec.Struct, frozen=True, kw_only=True):
    """A container of a pod. `waiting` is the reason for which it does not run; `ended` is how it ended, and
    `previous` how the run before the present one did.

    `sidecar`: an init container that runs beside the others, which start once it has started.
    `probes` are the probes that it has: startup, liveness, readiness; `probe_ports` are the ports that they
    ask, by number or name. `startup_s` is the time in seconds that its startup probe gives it, None if it has
    none.
    """

    name: str
    image: str = ""
    init: bool = False
    sidecar: bool = False
    ready: bool = False
    started: bool = False
    running_since: str = ""
    waiting: str = ""
    message: str = ""
    ended: Termination | None = None
    previous: Termination | None = None
    restarts: int = 0
    memory_limit: str = ""
    probes: tuple[str, ...] = ()
    startup_s: int | None = None
    ports: tuple[PortState, ...] = ()
    probe_ports: dict[str, str] = {}

    @property
    def holds_back(self) -> bool:
        """Whether it runs, and other containers of the pod wait for its end, or for its start."""
        return self.init and bool(self.running_since) and not (self.sidecar and self.started)


class DeployedPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod. `owners` are those that it is part of, the nearest first; `claims` are those that it mounts.

    `created` is RFC 3339, and so is `deleted`, the moment by which a pod that is deleted should be gone.
    `requests` are what its containers ask for of extended resources, such as nvidia.com/gpu, in sum.
    `component` is its type in a graph, such as frontend, worker or decode; empty outside of graphs.
    `metrics` is where its annotations say that it serves metrics, as PORT/PATH; empty if they do not.
    `group` is the PodGroup of KAI that it is scheduled with.
    """

    name: str
    owners: tuple[ObjectKey, ...] = ()
    created: str = ""
    phase: str = ""
    reason: str = ""
    message: str = ""
    node: str = ""
    scheduler: str = ""
    gates: tuple[str, ...] = ()
    terminating: bool = False
    deleted: str = ""
    finalizers: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    containers: tuple[ContainerState, ...] = ()
    claims: tuple[str, ...] = ()
    requests: dict[str, int] = {}
    component: str = ""
    metrics: str = ""
    group: str = ""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey("Pod", self.name)

    @property
    def is_ready(self) -> bool:
        condition = self.get_condition("Ready")
        return condition is not None and condition.status == "True"

    @property
    def has_ended(self) -> bool:
        """Whether all its containers have ended for good."""
        return self.phase in ("Succeeded", "Failed")

    def get_condition(self, type_: str) -> Condition | None:
        """The condition of this type."""
        return next((c for c in self.conditions if c.type == type_), None)


class DeployedObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object that pods belong to or use: a graph, a component, a workload, a claim.

    `desired` and `ready` are numbers of pods or of replicas, `desired` is None where the kind has none.
    `settings` are the fields of its pod template by their path, as in `containers.main.image`. `changed` is
    when its specification or content was last changed, RFC 3339, and `changed_by` is who did.
    `component` is its type in a graph, such as frontend, prefill or decode.
    `refers` are the Gateways and backends that a route names; `selects` are the pods that a Service selects,
    None if it has no selector.
    `state` is the phase or state in its status. `observed` is false if its controller has not seen the
    present generation, so that its status is outdated.
    """

    key: ObjectKey
    owners: tuple[ObjectKey, ...] = ()
    created: str = ""
    state: str = ""
    conditions: tuple[Condition, ...] = ()
    desired: int | None = None
    created_pods: int | None = None
    ready: int = 0
    observed: bool = True
    storage_class: str | None = None
    terminating: bool = False
    settings: dict[str, str] = {}
    changed: str = ""
    changed_by: str = ""
    component: str = ""
    refers: tuple[ObjectKey, ...] = ()
    selects: tuple[str, ...] | None = None

    def get_condition(self, type_: str) -> Condition | None:
        """The condition of this type."""
        return next((c for c in self.conditions if c.type == type_), None)


class ObjectEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of an object, or several alike. `last` is the latest time, RFC 3339."""

    about: ObjectKey
    type: str = "Normal"
    reason: str
    message: str = ""
    count: int = 1
    last: str = ""


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """The pods of an InferencePool, `members`, its target ports, and its endpoint picker.

    `picker` is the name of the picker's Service, `picker_pods` are the pods that it selects: None if there
    is no such Service. `services_read` is false if Services could not be read.
    """

    name: str
    members: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    picker: str = ""
    picker_pods: tuple[str, ...] | None = None
    services_read: bool = True


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """A node that runs pods of the deployment.

    `settings` are its versions: of the kubelet, the kernel, the container runtime, and the GPU's driver.
    """

    name: str
    conditions: tuple[Condition, ...] = ()
    created: str = ""
    settings: dict[str, str] = {}


class NamespaceState(DiagnosisFact, frozen=True, kw_only=True, dict=True):
    """What runs in a namespace, or the part of it that belongs to `target`, at a moment.

    `taken` is the moment, RFC 3339. `unread` gives, for what could not be read, the reason;
    `unlisted` does for what most deployments do without.
    `config_maps` have digests of their values as settings; they are None if they could not be read.
    """

    namespace: str
    taken: str
    target: str = ""
    objects: tuple[DeployedObject, ...] = ()
    pods: tuple[DeployedPod, ...] = ()
    events: tuple[ObjectEvent, ...] = ()
    hosts: tuple[HostState, ...] = ()
    pools: tuple[PoolState, ...] = ()
    unread: dict[str, str] = {}  # noqa: RUF012
    unlisted: dict[str, str] = {}  # noqa: RUF012
    config_maps: tuple[DeployedObject, ...] | None = None

    def list_objects(self, *kinds: str) -> Iterator[DeployedObject]:
        """The objects of these kinds."""
        return (each for each in self.objects if each.key.kind in kinds)

    def list_events(self, about: ObjectKey, *reasons: str) -> list[ObjectEvent]:
        """The events of an object with one of these reasons (all if none is given), the latest first."""
        found = [e for e in self._events_by_object.get(about, ()) if not reasons or e.reason in reasons]
        return sorted(found, key=lambda event: event.last, reverse=True)

    @cached_property
    def _events_by_object(self) -> dict[ObjectKey, list[ObjectEvent]]:
        """Without those of an earlier pod of the same name, as a StatefulSet's."""
        by_object: dict[ObjectKey, list[ObjectEvent]] = {}
        since = {pod.key: _find_first_moment(pod.created) for pod in self.pods}
        for event in self.events:
            if not event.last or event.last >= since.get(event.about, ""):
                by_object.setdefault(event.about, []).append(event)
        return by_object


def _find_first_moment(created: str) -> str:
    """The first moment, RFC 3339, of which an event of a pod may tell; nodes' clocks differ."""
    try:
        return (datetime.datetime.fromisoformat(created) - _CLOCKS_DIFFER).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError):
        return ""


class EarlierState(DiagnosisFact, frozen=True, kw_only=True):
    """What the present state is compared with: a state that was recorded, or a moment, RFC 3339."""

    state: NamespaceState | None = None
    since: str = ""


class ContainerLog(msgspec.Struct, frozen=True, kw_only=True):
    """The last lines of a container's log; `previous`: of the run before the present one.

    `problem` is the reason if it could not be read.
    """

    pod: str
    container: str
    previous: bool = False
    lines: tuple[str, ...] = ()
    problem: str = ""


class ContainerLogs(DiagnosisFact, FactList[ContainerLog], frozen=True):
    """The logs of containers that have crashed, or run and are not ready."""

    def find(self, pod: str, container: str, *, previous: bool) -> ContainerLog | None:
        """The log of a container, if it was read."""
        wanted = (pod, container, previous)
        return next((log for log in self.items if (log.pod, log.container, log.previous) == wanted), None)


class OperatorState(DiagnosisFact, frozen=True, kw_only=True):
    """The pods of Dynamo's operators, one state for each namespace, and the logs of those that ended.

    `problem` is the reason if they could not be read.
    """

    namespaces: tuple[NamespaceState, ...] = ()
    logs: tuple[ContainerLog, ...] = ()
    problem: str = ""


class MetricValue(msgspec.Struct, frozen=True):
    """A sample of a metric, with those of its labels that rules look at."""

    name: str
    value: float
    labels: dict[str, str] = {}


class MetricsPage(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod says of its load and its errors.

    `earlier` are the same metrics `window_s` seconds before; without them, counters count since the server
    started. `problem` is the reason if it could not be read. `models` are the models that a frontend lists,
    None if it was not asked.
    """

    pod: str
    source: str = ""
    samples: tuple[MetricValue, ...] = ()
    earlier: tuple[MetricValue, ...] | None = None
    window_s: float = 0.0
    models: tuple[str, ...] | None = None
    problem: str = ""


class ServingMetrics(DiagnosisFact, FactList[MetricsPage], frozen=True, kw_only=True):
    """The metrics of pods that serve. `left` counts those that were not asked, as others stand for them."""

    left: int = 0
