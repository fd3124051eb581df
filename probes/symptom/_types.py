"""What is decoded of the objects of a namespace, as the API server lists them."""

from collections.abc import Iterator
from typing import Any

import msgspec

from dynocheck.facts import ObjectKey, Termination
from dynocheck.probes._k8s_types import StatusCondition


class _Owner(msgspec.Struct):
    kind: str
    name: str
    controller: bool = False


class _Manager(msgspec.Struct):
    manager: str = ""
    subresource: str = ""
    time: str | None = None


class ListedMeta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    finalizers: list[str] | None = None
    generation: int = 0
    owner_references: list[_Owner] | None = None
    managed_fields: list[_Manager] | None = None

    @property
    def owner(self) -> ObjectKey | None:
        owners = self.owner_references or []
        chosen = next((o for o in owners if o.controller), owners[0] if owners else None)
        return ObjectKey(chosen.kind, chosen.name) if chosen else None

    @property
    def last_change(self) -> _Manager:
        """Who last changed more than its status, and when."""
        changes = (each for each in self.managed_fields or () if each.time and not each.subresource)
        return max(changes, key=lambda each: each.time or "", default=_Manager())


class _Reference(msgspec.Struct):
    """What a route or an autoscaler names; a field that is absent means what its kind takes it for."""

    name: str = ""
    kind: str = ""
    namespace: str | None = None


class _Rule(msgspec.Struct, rename="camel"):
    backend_refs: list[_Reference] | None = None


class _ObjectSpec(msgspec.Struct, rename="camel"):
    replicas: int | None = None
    selector: dict[str, Any] | None = None
    parent_refs: list[_Reference] | None = None
    rules: list[_Rule] | None = None
    scale_target: _Reference | None = msgspec.field(default=None, name="scaleTargetRef")
    parallelism: int | None = None
    completions: int | None = None
    storage_class_name: str | None = None
    template: dict[str, Any] | None = None
    pod_spec: dict[str, Any] | None = None
    leader_worker_template: dict[str, Any] | None = None

    @property
    def pod_template(self) -> Any:
        """What it makes pods of: a pod template, a clique's pod, or the two of a LeaderWorkerSet."""
        return self.leader_worker_template or self.pod_spec or (self.template or {}).get("spec")

    @property
    def scale_target_ref(self) -> ObjectKey | None:
        """What an autoscaler scales; KEDA takes it for a Deployment if it names no kind."""
        target = self.scale_target
        return ObjectKey(target.kind or "Deployment", target.name) if target else None

    def list_references(self, namespace: str) -> Iterator[ObjectKey]:
        """The Gateways and backends of this namespace that a route names."""
        backends = (each for rule in self.rules or () for each in rule.backend_refs or ())
        for kind, references in (("Gateway", self.parent_refs or ()), ("Service", backends)):
            for each in references:
                if each.namespace in (None, namespace):
                    yield ObjectKey(each.kind or kind, each.name)


class _TargetPort(msgspec.Struct):
    number: int = 0


class PoolSpec(msgspec.Struct, rename="camel"):
    """What an InferencePool selects, in v1 and in v1alpha2."""

    selector: dict[str, Any] | None = None
    target_ports: list[_TargetPort] | None = None
    target_port_number: int = 0
    endpoint_picker_ref: _Reference | None = None
    extension_ref: _Reference | None = None

    @property
    def labels(self) -> dict[str, str]:
        selector: dict[str, Any] = self.selector or {}
        labels: dict[str, str] = selector.get("matchLabels", selector)
        return labels

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(port.number for port in self.target_ports or ()) or (self.target_port_number,)

    @property
    def picker(self) -> str:
        """The name of the Service of its endpoint picker."""
        chosen = self.endpoint_picker_ref or self.extension_ref
        return chosen.name if chosen else ""


class _Explanation(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _SchedulingCondition(msgspec.Struct):
    """Why KAI does not schedule a group of pods."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    reasons: list[_Explanation] | None = None

    def convert(self) -> StatusCondition:
        told = self.reasons or [_Explanation(self.reason, self.message)]
        messages = "; ".join(each.message for each in told if each.message)
        return StatusCondition(self.type, self.status, told[0].reason, messages or self.message)


class _Parent(msgspec.Struct):
    """A gateway that has looked at a route or pool, or a listener of a Gateway."""

    conditions: list[StatusCondition] | None = None


class _ObjectStatus(msgspec.Struct, rename="camel"):
    state: str | None = None
    phase: str | None = None
    replicas: int | None = None
    ready_replicas: int | None = None
    active: int | None = None
    succeeded: int | None = None
    ready: int | None = None
    ready_endpoints: int | None = None
    total_endpoints: int | None = None
    observed_generation: int | None = None
    conditions: list[StatusCondition] | None = None
    parents: list[_Parent] | None = None  # of a route or a pool: the gateways that have looked at it
    listeners: list[_Parent] | None = None  # of a Gateway
    scheduling_conditions: list[_SchedulingCondition] | None = None  # of a PodGroup of KAI
    profiling_phase: str | None = None  # of a request

    @property
    def all_conditions(self) -> list[StatusCondition]:
        """Its own conditions, and those that its parents or its scheduler have set."""
        return [
            *(self.conditions or ()),
            *(c for each in (*(self.parents or ()), *(self.listeners or ())) for c in each.conditions or ()),
            *(each.convert() for each in self.scheduling_conditions or ()),
        ]


class ListedPool(msgspec.Struct):
    metadata: ListedMeta
    spec: PoolSpec = msgspec.field(default_factory=PoolSpec)


class ListedObject(msgspec.Struct):
    metadata: ListedMeta
    spec: _ObjectSpec = msgspec.field(default_factory=_ObjectSpec)
    status: _ObjectStatus = msgspec.field(default_factory=_ObjectStatus)


class _Terminated(msgspec.Struct, rename="camel"):
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    finished_at: str | None = None

    def convert(self) -> Termination:
        return Termination(
            exit_code=self.exit_code,
            signal=self.signal,
            reason=self.reason,
            message=self.message,
            finished=self.finished_at or "",
        )


class _Waiting(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Running(msgspec.Struct, rename="camel"):
    started_at: str | None = None


class _State(msgspec.Struct):
    waiting: _Waiting | None = None
    running: _Running | None = None
    terminated: _Terminated | None = None


class ListedContainerStatus(msgspec.Struct, rename="camel"):
    name: str
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: _State = msgspec.field(default_factory=_State)
    last_state: _State = msgspec.field(default_factory=_State)


class _Place(msgspec.Struct):
    port: int | str = 0


class _Probe(msgspec.Struct, rename="camel"):
    http_get: _Place | None = None
    tcp_socket: _Place | None = None
    grpc: _Place | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    failure_threshold: int = 3

    @property
    def port(self) -> str:
        """The port that it asks, by number or name; empty if it runs a command."""
        place = self.http_get or self.tcp_socket or self.grpc
        return str(place.port) if place else ""

    @property
    def budget_s(self) -> int:
        return self.initial_delay_seconds + self.period_seconds * self.failure_threshold


class _Port(msgspec.Struct, rename="camel"):
    container_port: int = 0
    name: str = ""


class _Resources(msgspec.Struct):
    limits: dict[str, Any] | None = None


class ListedContainer(msgspec.Struct, rename="camel"):
    name: str
    image: str = ""
    restart_policy: str = ""
    ports: list[_Port] | None = None
    resources: _Resources = msgspec.field(default_factory=_Resources)
    startup_probe: _Probe | None = None
    liveness_probe: _Probe | None = None
    readiness_probe: _Probe | None = None


class _ClaimSource(msgspec.Struct, rename="camel"):
    claim_name: str = ""


class _Volume(msgspec.Struct, rename="camel"):
    name: str
    persistent_volume_claim: _ClaimSource | None = None


class _Gate(msgspec.Struct):
    name: str


class _PodSpec(msgspec.Struct, rename="camel"):
    node_name: str = ""
    scheduler_name: str = ""
    scheduling_gates: list[_Gate] | None = None
    init_containers: list[ListedContainer] | None = None
    containers: list[ListedContainer] = []
    volumes: list[_Volume] | None = None


class _PodStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: list[StatusCondition] | None = None
    init_container_statuses: list[ListedContainerStatus] | None = None
    container_statuses: list[ListedContainerStatus] | None = None


class ListedPod(msgspec.Struct):
    metadata: ListedMeta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _Series(msgspec.Struct, rename="camel"):
    count: int = 0
    last_observed_time: str | None = None


class ListedEvent(msgspec.Struct, rename="camel"):
    involved_object: ObjectKey
    type: str = "Normal"
    reason: str = ""
    message: str = ""
    count: int | None = None
    series: _Series | None = None
    last_timestamp: str | None = None
    event_time: str | None = None

    @property
    def last(self) -> str:
        observed = self.series.last_observed_time if self.series else None
        return observed or self.last_timestamp or self.event_time or ""


class _NodeStatus(msgspec.Struct, rename="camel"):
    conditions: list[StatusCondition] | None = None
    node_info: dict[str, Any] | None = None


class ListedConfigMap(msgspec.Struct, rename="camel"):
    metadata: ListedMeta
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


class ListedNode(msgspec.Struct):
    metadata: ListedMeta
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)
