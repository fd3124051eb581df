"""Check of whether nodes that pods may run on can reach the volumes of their claims."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import (
    Autoscalers,
    Component,
    Mount,
    Nodes,
    PersistentVolume,
    PersistentVolumeClaims,
    PersistentVolumes,
    Placement,
    Recipe,
    Recipes,
    ResourceSlices,
    list_gpu_nodes,
    list_placements,
)
from dynocheck.scheduling.graphs import resolve_namespace
from dynocheck.scheduling.node_state import format_affinity
from dynocheck.scheduling.selectors import term_matches


class _VolumeUse(NamedTuple):
    """A component's mount of a claim that is bound to a volume with node affinity."""

    component: Component
    placement: Placement
    volume: PersistentVolume
    mount: Mount
    location: Location


@check("storage.claim-reach", title="Nodes that pods may use can reach their volumes")
def claim_reach(
    recipes: Recipes,
    claims: PersistentVolumeClaims,
    volumes: PersistentVolumes,
    nodes: Nodes,
    slices: ResourceSlices,
    autoscalers: Autoscalers,
) -> Iterator[Finding]:
    """A disk is in one zone, a local volume on one node: a pod that mounts it and needs GPUs elsewhere stays
    Pending.

    Compared are the node affinity of volumes that are bound to claims of the run's namespace, and the node
    selector, required node affinity and need of GPUs of the components that mount them. With an autoscaler,
    which may add a node that reaches the volume, it is a warning.

    Fix: kubectl get pv NAME -o yaml
    """
    gpu_nodes = [gpu_node.node for gpu_node in list_gpu_nodes(nodes, slices)]
    uses = [use for recipe in recipes for use in _find_volume_uses(recipe, claims, volumes)]
    if not uses:
        raise Skip("the recipe mounts no claim whose volume has node affinity")
    for component, placement, volume, mount, location in uses:
        candidates = gpu_nodes if component.gpus != 0 else nodes
        usable = [node for node in candidates if placement.selects(node)]
        terms = volume.node_terms
        if usable and not any(term_matches(term, node) for term in terms for node in usable):
            yield (warn if str(autoscalers) else fail)(
                f"{component.name} mounts claim {mount.name}, whose volume is only on nodes with "
                f"{format_affinity(terms)}: none of the {len(usable)} nodes that {component.name} may use"
                + (f"; {autoscalers} may add one" if str(autoscalers) else ""),
                fix=f"kubectl get pv {volume.name} -o yaml   # take a shared file system, or add nodes there",
                evidence={"nodes": [node.name for node in usable]},
                subject=Subject("PersistentVolume", volume.name),
                location=location,
            )


def _find_volume_uses(
    recipe: Recipe, claims: PersistentVolumeClaims, volumes: PersistentVolumes
) -> Iterator[_VolumeUse]:
    bound = {volume.claim: volume for volume in volumes if volume.node_terms and volume.phase == "Bound"}
    for graph, component, placement in list_placements([recipe]):
        if resolve_namespace(recipe, graph, claims.namespace) != claims.namespace:
            continue
        for mount in component.claims:
            if (volume := bound.get(f"{claims.namespace}/{mount.name}")) is not None:
                location = Location(graph.file, mount.line, mount.column)
                yield _VolumeUse(component, placement, volume, mount, location)
