"""Check of whether a recipe's pods fit the nodes, as kube-scheduler would place them."""

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import msgspec

from dynocheck import Finding, Location, Result, Skip, check, fail, mentions, same_place, unjudged, warn
from dynocheck.checks.capacity._attachments import UnboundClaim, VolumeInventory
from dynocheck.checks.storage._claims import resolve_class
from dynocheck.core.outcomes import Unjudged
from dynocheck.facts import (
    AllocatedDevice,
    Autoscalers,
    CsiDrivers,
    DeviceClasses,
    Graph,
    NamespaceLimits,
    Nodes,
    PersistentVolumeClaims,
    PersistentVolumes,
    PodClasses,
    Recipe,
    Recipes,
    ResourceSlices,
    RunningPod,
    RunningPods,
    StorageClasses,
)
from dynocheck.scheduling.device_allocation import DeviceAllocator
from dynocheck.scheduling.device_claims import DeviceClaim, Unmodelled, read_claims
from dynocheck.scheduling.devices import DeviceInventory
from dynocheck.scheduling.diagnosis import Diagnosis, diagnose
from dynocheck.scheduling.first_fit import Batch, Scheduler
from dynocheck.scheduling.graphs import (
    GPU,
    GRAPH_LABEL,
    ComponentPods,
    list_component_pods,
    resolve_namespace,
)
from dynocheck.scheduling.limits import collect_defaults
from dynocheck.scheduling.node_state import ClusterState
from dynocheck.scheduling.pod_spec_model import add_tolerations
from dynocheck.scheduling.volumes import Attachments

# Prefixes of node labels of clouds whose API servers add tolerations of taints that are named like resources:
# https://learn.microsoft.com/azure/aks/faq, https://docs.aws.amazon.com/eks/latest/userguide/platform-versions.html,
# https://cloud.google.com/kubernetes-engine/docs/how-to/gpus
_TOLERATING = ("cloud.google.com/gke-", "eks.amazonaws.com/", "kubernetes.azure.com/")
_PLUGIN = "ExtendedResourceToleration"
_DRA_DRIVER = "gpu.nvidia.com"


@dataclass(frozen=True)
class _FitInputs:
    """The cluster that pods are placed on."""

    nodes: Nodes
    running: RunningPods
    limits: NamespaceLimits
    autoscalers: Autoscalers
    classes: PodClasses | None
    inventory: DeviceInventory
    volumes: VolumeInventory
    allocator: DeviceAllocator | None = None
    attachments: Attachments | None = None

    @cached_property
    def state(self) -> ClusterState:
        return ClusterState(self.nodes, self.running)

    @cached_property
    def adds_tolerations(self) -> bool:
        """Whether the API server is known to add tolerations of taints that are named like resources."""
        return any(label.startswith(_TOLERATING) for node in self.nodes for label in node.labels)

    @cached_property
    def offers_unknown_gpus(self) -> bool:
        """Whether GPUs are offered through DRA and the classes that may serve them are unknown."""
        offered = any(s.driver == _DRA_DRIVER and s.devices for s in self.inventory.slices)
        return offered and not self.inventory.classes.rules

    def exclude(self, is_excluded: Callable[[RunningPod], bool]) -> ClusterState:
        """The state of the cluster without some running pods."""
        kept = [pod for pod in self.running if not is_excluded(pod)]
        return self.state if len(kept) == len(self.running) else ClusterState(self.nodes, kept)

    def add_devices(
        self, recipe: Recipe, graph: Graph, groups: list[ComponentPods]
    ) -> tuple["_FitInputs", list[ComponentPods]]:
        """The cluster with its devices as resources, and the groups with what they claim of them through DRA.

        Devices that pods of the graph hold are free.

        :raises Unmodelled: a claim is not modelled.
        """
        namespace = resolve_namespace(recipe, graph, self.limits.namespace)
        held = [d for d in self.inventory.slices.allocated or () if not self._is_own(d, graph, namespace)]
        shapes = [group.shape for group in groups if group.shape is not None]
        claims = [tuple(read_claims(recipe, group.spec)) for group in groups if group.shape is not None]
        _reject_allocated(claims, {device.claim for device in held if device.namespace == namespace})
        pods = [(each, shape.requests) for each, shape in zip(claims, shapes, strict=True)]
        nodes, amounts = self.inventory.add_devices(self.nodes.items, pods, held)
        allocator = DeviceAllocator(self.inventory, frozenset((d.driver, d.pool, d.name) for d in held))
        added = zip(claims, amounts, strict=True)
        return replace(self, nodes=Nodes(tuple(nodes)), allocator=allocator), [
            _add_claims(group, *next(added)) if group.shape is not None else group for group in groups
        ]

    def _is_own(self, device: AllocatedDevice, graph: Graph, namespace: str) -> bool:
        """Whether only pods of the graph hold a device."""
        own = {pod.name for pod in self.running if is_own(pod, graph, namespace)}
        return device.namespace == namespace and bool(device.pods) and own.issuperset(device.pods)


def _reject_allocated(claims: Iterable[Iterable[DeviceClaim]], allocated: Set[str]) -> None:
    for claim in chain.from_iterable(claims):
        if claim.shared in allocated:
            raise Unmodelled(f"its ResourceClaim {claim.shared} is allocated already")


def _explain_claims(group: ComponentPods, why: str) -> ComponentPods:
    if not group.spec.get("resourceClaims"):
        return group
    return msgspec.structs.replace(group, unjudged=group.unjudged or why)


def _add_claims(
    group: ComponentPods, claims: tuple[DeviceClaim, ...], amounts: dict[str, int]
) -> ComponentPods:
    if group.shape is None or not claims:
        return group
    shape = msgspec.structs.replace(group.shape, requests={**group.shape.requests, **amounts})
    return msgspec.structs.replace(group, shape=shape, claims=claims)


def _lacks_only_what_is_absent(cause: Finding, effect: Finding) -> bool:
    """The pod lacks nothing but the devices that no node offers."""
    lacking = set(effect.evidence.get("needs", ()))
    return same_place(cause, effect) and bool(lacking) and lacking <= set(cause.evidence.get("lacking", ()))


def _lacks_devices(cause: Finding, effect: Finding) -> bool:
    """The pod lacks nothing but the devices that no node offers through DRA."""
    lacking = set(effect.evidence.get("needs", ()))
    return bool(lacking) and lacking <= set(cause.evidence.get("lacking", ()))


def _lacks_gpus(cause: Finding, effect: Finding) -> bool:
    """The pod lacks nothing but GPUs, and no node shows one."""
    lacking = set(effect.evidence.get("needs", ()))
    return cause.outcome == effect.outcome and lacking == {GPU}


def _is_kept_from_arch(cause: Finding, effect: Finding) -> bool:
    """No node has the CPU architecture that the pod selects."""
    return same_place(cause, effect) and mentions("selector")(cause, effect)


def _has_its_volume_elsewhere(cause: Finding, effect: Finding) -> bool:
    """No node that the pod may use reaches a volume that it mounts."""
    name = effect.message.partition(":")[0]
    return cause.message.startswith(f"{name} mounts ") and "does not reach the volume" in effect.message


def _is_kept_from_node(cause: Finding, effect: Finding) -> bool:
    """No node that is large enough admits the pod, and some do not for this reason."""
    reason = cause.message.partition(",")[0].replace("has the taint", "has taint")
    reason = "is not Ready" if reason.startswith("is NotReady") else reason
    return f": {reason}" in effect.message


@check(
    "capacity.fits",
    title="Every pod of the recipe fits on a node now",
    explained_by={
        "gpu.dra": _lacks_devices,
        "gpu.image-arch": _is_kept_from_arch,
        "gpu.nodes-present": _lacks_gpus,
        "gpu.nodes-ready": _is_kept_from_node,
        "rdma.required-by-recipe": _lacks_only_what_is_absent,
        "storage.claim-reach": _has_its_volume_elsewhere,
    },
)
def fits(
    recipes: Recipes,
    nodes: Nodes,
    running: RunningPods,
    limits: NamespaceLimits,
    autoscalers: Autoscalers,
    slices: ResourceSlices,
    devices: DeviceClasses,
    classes: PodClasses | None,
    drivers: CsiDrivers | None,
    volumes: PersistentVolumes | None,
    claims: PersistentVolumeClaims | None,
    storage: StorageClasses | None,
) -> Iterator[Result]:
    """A pod that fits on no node stays Pending, and a graph that lacks one worker may never serve.

    The pods of each graph are placed as kube-scheduler would, beside the running pods: by requests of every
    resource and of devices (DRA), selectors, affinity, taints, topology spread, host ports, cordons, where
    volumes are or can be made and how many CSI drivers attach to a node. They are placed in several orders,
    since the node of one pod decides what is left for the next; what fits only in some orders gets a warning.
    Several graphs are alternatives, and each is placed by itself.

    A deployed graph is placed as if its pods did not run yet. With an autoscaler installed, a lack of room is
    a warning. Claims of parts of devices or of devices of several nodes, queues of other schedulers and
    preemption by priority class are not modelled. See `docs/capacity.md`.

    Fix: free or add nodes, ask for less, or choose a variant for the hardware that is there.
    """
    inventory = DeviceInventory(slices, devices)
    known = drivers, volumes, claims, storage

    def check_graph(recipe: Recipe, graph: Graph) -> Iterator[Result]:
        namespace = resolve_namespace(recipe, graph, limits.namespace)
        mounts = VolumeInventory(*known, _list_declared(recipe, namespace, storage))
        cluster = _FitInputs(nodes, running, limits, autoscalers, classes, inventory, mounts)
        yield from _check_graph(cluster, recipe, graph)

    yield from check_each_graph(recipes, check_graph)


def _list_declared(recipe: Recipe, namespace: str, classes: StorageClasses | None) -> Iterator[UnboundClaim]:
    """The claims that a recipe creates, with the classes that they will get."""
    for claim in recipe.claims:
        found = resolve_class(claim, classes) if classes is not None else None
        name = found.name if found is not None else ""
        yield UnboundClaim(f"{namespace}/{claim.name}", name, claim.size or "", claim.access_modes)


def check_each_graph(
    recipes: Recipes, check_graph: Callable[[Recipe, Graph], Iterator[Result]]
) -> Iterator[Result]:
    """The findings of each graph by itself, since the graphs of a recipe are alternatives.

    :raises Skip: there is no graph.
    """
    if not any(recipe.graphs for recipe in recipes):
        raise Skip("no DynamoGraphDeployment")
    for recipe in recipes:
        for graph in recipe.graphs:
            yield from check_graph(recipe, graph)


def _check_graph(cluster: _FitInputs, recipe: Recipe, graph: Graph) -> Iterator[Result]:
    namespace = resolve_namespace(recipe, graph, cluster.limits.namespace)
    defaults = collect_defaults(cluster.limits) if namespace == cluster.limits.namespace else None
    listed = list_component_pods(recipe, graph, cluster.limits.namespace, defaults, cluster.classes)
    all_groups = list(listed)
    try:
        yield from list(_place_graph(graph, namespace, *cluster.add_devices(recipe, graph, all_groups)))
    except Unmodelled as error:
        explained = [_explain_claims(group, str(error)) for group in all_groups]
        yield from _place_graph(graph, namespace, cluster, explained)


def _place_graph(
    graph: Graph, namespace: str, cluster: _FitInputs, all_groups: list[ComponentPods]
) -> Iterator[Result]:
    others = [pod for pod in cluster.running if not is_own(pod, graph, namespace)]
    attachments = cluster.volumes.attach(others)
    cluster = replace(cluster, attachments=attachments)
    groups = [
        _add_volumes(cluster, group, namespace, attachments)
        for group in all_groups
        if group.shape is not None
    ]
    if cluster.adds_tolerations:
        groups = _tolerate_resource_taints(groups)
    state = cluster.exclude(lambda pod: is_own(pod, graph, namespace))
    scheduler = _make_scheduler(cluster, state, groups)
    results = list(scheduler.simulate())
    failed = [result for result in results if not result.is_complete]
    if not failed:
        yield from report_unjudged(graph, all_groups)
        yield from _report_gates(graph, all_groups)
        return
    depends_on_order = len(failed) < len(results) or scheduler.pack().is_complete
    caveat = "" if depends_on_order else _find_graph_caveat(cluster, graph, namespace, state, groups)
    for kind, group in enumerate(groups):
        missing = failed[0].lacking[kind]
        if missing:
            why = diagnose(scheduler, kind, failed[0])
            text = _describe_misfit(group, missing, why)
            condition = caveat or _find_component_caveat(cluster, group, why)
            if depends_on_order:
                text, condition = f"depends on the order of placement; in some orders {text}", ""
            yield (warn if depends_on_order or condition else fail)(
                f"{group.name}: {text}{condition}",
                fix=_suggest_fix(why),
                evidence=_collect_evidence(graph, why),
                location=Location(graph.file, group.line, group.column),
            )


def _add_volumes(
    cluster: _FitInputs, group: ComponentPods, namespace: str, attachments: Attachments
) -> ComponentPods:
    """The group with what its pods mount, kept from nodes that cannot have these volumes."""
    mounted = cluster.volumes.list_volumes(group, namespace)
    shape = cluster.volumes.bar(group, mounted, cluster.nodes, attachments)
    return msgspec.structs.replace(group, shape=shape, volumes=mounted)


def _find_graph_caveat(
    cluster: _FitInputs, graph: Graph, namespace: str, state: ClusterState, groups: list[ComponentPods]
) -> str:
    """What would let all pods of a graph fit after all, as the end of a message; empty when nothing would."""
    resources = {name for group in groups if group.shape for name in group.shape.requests}
    is_tainted = any(taint.key in resources for node in cluster.nodes for taint in node.taints)
    if is_tainted and _can_fit(_make_scheduler(cluster, state, _tolerate_resource_taints(groups))):
        return f", unless the API server adds the toleration (admission plugin {_PLUGIN})"
    if any(pod.priority < 0 for pod in cluster.running):
        kept = cluster.exclude(lambda pod: pod.priority < 0 or is_own(pod, graph, namespace))
        if _can_fit(_make_scheduler(cluster, kept, groups)):
            return ", unless pods of negative priority are evicted for it"
    return ""


def _find_component_caveat(cluster: _FitInputs, group: ComponentPods, why: Diagnosis) -> str:
    """What may let the pods of a component fit after all, as the end of a message; empty when nothing may."""
    if group.priority_class:
        return f"; pods of a lower class than {group.priority_class} may be preempted"
    if cluster.offers_unknown_gpus and GPU in why.needs:
        return "; GPUs offered through DRA are not counted"
    if str(cluster.autoscalers):
        return f"; {cluster.autoscalers} may add a node"
    return ""


def _can_fit(scheduler: Scheduler) -> bool:
    return any(result.is_complete for result in scheduler.simulate())


def _tolerate_resource_taints(groups: list[ComponentPods]) -> list[ComponentPods]:
    """The groups with the tolerations that some API servers add."""
    return [
        msgspec.structs.replace(group, shape=add_tolerations(group.shape))
        for group in groups
        if group.shape is not None
    ]


def is_own(pod: RunningPod, graph: Graph, namespace: str) -> bool:
    """Whether a running pod belongs to this graph, which is deployed already."""
    return pod.namespace == namespace and pod.labels.get(GRAPH_LABEL) == graph.name


def _make_scheduler(cluster: _FitInputs, state: ClusterState, groups: list[ComponentPods]) -> Scheduler:
    batches = [Batch(g.shape, g.pods, g.claims, g.volumes) for g in groups if g.shape is not None]
    return Scheduler(state, batches, cluster.allocator, cluster.attachments)


def report_unjudged(graph: Graph, groups: list[ComponentPods]) -> Iterator[Unjudged]:
    """Each component whose pods cannot be checked, or only in part."""
    for group in groups:
        if group.unjudged and group.pods:
            yield unjudged(
                f"{group.name} of graph {graph.name}",
                why=group.unjudged,
                location=Location(graph.file, group.line, group.column),
            )


def _report_gates(graph: Graph, groups: list[ComponentPods]) -> Iterator[Finding]:
    """A warning for each component whose pods are not scheduled until something removes their gate."""
    for group in groups:
        if group.gate and group.pods:
            yield warn(
                f"{group.name}: its pods wait until the scheduling gate {group.gate} is removed",
                evidence={"graph": graph.name},
                location=Location(graph.file, group.line, group.column),
            )


def _describe_misfit(group: ComponentPods, missing: int, why: Diagnosis) -> str:
    """How many replicas cannot be scheduled, and why; `missing` counts pods."""
    noun = "replica" if group.replicas == 1 else "replicas"
    pods = f" ({group.nodes} pods each)" if group.nodes > 1 else ""
    return f"{-(-missing // group.nodes)} of {group.replicas} {noun}{pods} cannot be scheduled: {why.text}"


def _collect_evidence(graph: Graph, why: Diagnosis) -> dict[str, object]:
    evidence = {"graph": graph.name, "needs": why.needs, "free": why.free, "held by": why.holders}
    return {name: value for name, value in evidence.items() if value}


def _suggest_fix(why: Diagnosis) -> str:
    if why.ever and why.node:
        return f"kubectl get pods -A -o wide --field-selector spec.nodeName={why.node}"
    if why.text.endswith("is cordoned"):
        return "kubectl uncordon NAME   # of each that kubectl get nodes shows as SchedulingDisabled"
    return "choose a variant for the hardware that is there, or add nodes that hold it"
