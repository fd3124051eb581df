"""Check of whether nodes that pods may run on can reach the volumes of their claims."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import (
    Autoscalers,
    Component,
    CsiDrivers,
    Mount,
    Node,
    Nodes,
    PersistentVolume,
    PersistentVolumeClaims,
    PersistentVolumes,
    Placement,
    Recipe,
    Recipes,
    ResourceSlices,
    RunningPod,
    RunningPods,
    list_gpu_nodes,
    list_placements,
)
from dynocheck.scheduling.graphs import GRAPH_LABEL, resolve_namespace
from dynocheck.scheduling.node_state import format_affinity
from dynocheck.scheduling.selectors import term_matches

_JOB = "batch.kubernetes.io/job-name"


class _VolumeUse(NamedTuple):
    """A component's mount of a claim that is bound to a volume, and the name of its graph."""

    component: Component
    placement: Placement
    volume: PersistentVolume
    mount: Mount
    location: Location
    graph: str


@check("storage.claim-reach", title="Nodes that pods may use can reach their volumes")
def claim_reach(
    recipes: Recipes,
    claims: PersistentVolumeClaims,
    volumes: PersistentVolumes,
    nodes: Nodes,
    slices: ResourceSlices,
    autoscalers: Autoscalers,
    drivers: CsiDrivers | None = None,
    running: RunningPods | None = None,
) -> Iterator[Finding]:
    """A disk is in one zone, a local volume on one node: a pod that mounts it and needs GPUs elsewhere stays
    Pending. A ReadWriteOnce disk is attached to one node at a time: while a pod elsewhere mounts its claim,
    the recipe's pod is scheduled and then waits with a Multi-Attach error.

    Compared are the node affinity of volumes that are bound to claims of the run's namespace, and the nodes
    of running pods of others that mount disks, with the node selector, required node affinity and need of
    GPUs of the components that mount them. It is a warning with an autoscaler, which may add a node that
    reaches the volume, for a holder that ends by itself, and for a pod that may land beside it.

    Fix: kubectl get pv NAME -o yaml
    """
    gpu_nodes = [gpu_node.node for gpu_node in list_gpu_nodes(nodes, slices)]
    bound = {volume.claim: volume for volume in volumes if volume.phase == "Bound"}
    single = {f"{claims.namespace}/{c.name}" for c in claims if set(c.access_modes) == {"ReadWriteOnce"}}
    unattached = drivers.unattached if drivers is not None else ()
    disks = {claim for claim, each in bound.items() if each.driver and each.driver not in unattached}
    attached = single & disks
    chosen = {claim: volume for claim, volume in bound.items() if volume.node_terms or claim in attached}
    uses = [use for recipe in recipes for use in _find_volume_uses(recipe, claims, chosen)]
    if not uses:
        raise Skip("the recipe mounts no claim whose volume is on some nodes or attached to one")
    for use in uses:
        component, volume = use.component, use.volume
        usable = [n for n in (gpu_nodes if component.gpus != 0 else nodes) if use.placement.selects(n)]
        reaching = [n for n in usable if _reaches(volume, n)]
        if usable and not reaching:
            yield (warn if str(autoscalers) else fail)(
                f"{component.name} mounts claim {use.mount.name}, whose volume is only on nodes with "
                f"{format_affinity(volume.node_terms)}: none of the {len(usable)} nodes that "
                f"{component.name} may use" + (f"; {autoscalers} may add one" if str(autoscalers) else ""),
                fix=f"kubectl get pv {volume.name} -o yaml   # take a shared file system, or add nodes there",
                evidence={"nodes": [node.name for node in usable]},
                subject=Subject("PersistentVolume", volume.name),
                location=use.location,
            )
        elif volume.claim in attached and running is not None:
            yield from _check_holder(use, running, reaching)


def _reaches(volume: PersistentVolume, node: Node) -> bool:
    return not volume.node_terms or any(term_matches(term, node) for term in volume.node_terms)


def _find_volume_uses(
    recipe: Recipe, claims: PersistentVolumeClaims, bound: Mapping[str, PersistentVolume]
) -> Iterator[_VolumeUse]:
    for graph, component, placement in list_placements([recipe]):
        if resolve_namespace(recipe, graph, claims.namespace) != claims.namespace:
            continue
        for mount in component.claims:
            if (volume := bound.get(f"{claims.namespace}/{mount.name}")) is not None:
                location = Location(graph.file, mount.line, mount.column)
                yield _VolumeUse(component, placement, volume, mount, location, graph.name)


def _check_holder(use: _VolumeUse, running: RunningPods, usable: list[Node]) -> Iterator[Finding]:
    """Report a running pod, not of the graph itself, that keeps a disk on its node."""
    holder = next((pod for pod in running if _holds(pod, use.volume.claim, use.graph)), None)
    if holder is None or not {node.name for node in usable} - {holder.node}:
        return
    name, never = use.component.name, all(node.name != holder.node for node in usable)
    ends = _JOB in holder.labels
    where = f"which {name} cannot use" if never else f"one of the {len(usable)} nodes that {name} may use"
    until = "until it ends, " if ends else ""
    yield (fail if never and not ends else warn)(
        f"{name} mounts claim {use.mount.name} (ReadWriteOnce), which pod {holder.name} holds on node "
        f"{holder.node}, {where}: {until}a pod on another node waits with a Multi-Attach error",
        fix=f"kubectl delete pod -n {holder.namespace} {holder.name}   # or take a ReadWriteMany class",
        evidence={"pod": holder.name, "node": holder.node, "nodes": [node.name for node in usable]},
        subject=Subject("PersistentVolumeClaim", use.mount.name, holder.namespace),
        location=use.location,
    )


def _holds(pod: RunningPod, claim: str, graph: str) -> bool:
    is_own = pod.labels.get(GRAPH_LABEL) == graph
    return not pod.terminating and not is_own and claim in {f"{pod.namespace}/{n}" for n in pod.claims}
