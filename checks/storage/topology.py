"""Whether the volumes of claims can be reached from the nodes that pods may run on."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Node, Nodes, Recipes, ResourceSlices
from dynocheck.facts.k8s.autoscaling import Autoscalers
from dynocheck.facts.k8s.gpu import list_gpu_nodes
from dynocheck.facts.k8s.scheduling_constraints import Placement, list_placements
from dynocheck.facts.k8s.storage import PersistentVolume, PersistentVolumeClaims, PersistentVolumes
from dynocheck.facts.recipe.recipes import Component, Graph, Recipe
from dynocheck.scheduling.graphs import resolve_namespace
from dynocheck.scheduling.node_state import format_affinity
from dynocheck.scheduling.selectors import term_matches


@check("storage.claim-reach", title="The volumes of claims are reached from nodes that their pods may use")
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

    Judged are claims of the namespace of the run that are bound already, by the node affinity of their
    volumes, and components by node selector, required node affinity and whether they need GPUs. Where an
    autoscaler is seen, nodes that reach a volume may still come: that is a warning.

    Fix: kubectl get pv NAME -o yaml
    """
    with_gpus = [each.node for each in list_gpu_nodes(nodes, slices)]
    judged = False
    for recipe in recipes:
        for graph, component, placed, volume in _find_mounts(recipe, claims, volumes):
            judged = True
            usable = _filter_usable(placed, with_gpus if component.gpus != 0 else nodes)
            if usable and not any(_reaches(volume, node) for node in usable):
                yield _report_unreached(graph, component, volume, usable, str(autoscalers))
    if not judged:
        raise Skip("no claim that the recipe mounts is bound to a volume that only some nodes reach")


def _find_mounts(
    recipe: Recipe, claims: PersistentVolumeClaims, volumes: PersistentVolumes
) -> Iterator[tuple[Graph, Component, Placement, PersistentVolume]]:
    """Each component with each volume that it mounts and that is not reached from everywhere."""
    bound = {volume.claim: volume for volume in volumes if volume.node_terms and volume.phase == "Bound"}
    for graph, component, placed in list_placements([recipe]):
        if resolve_namespace(recipe, graph, claims.namespace) == claims.namespace:
            for name in dict.fromkeys(mount.name for mount in component.claims):
                if (volume := bound.get(f"{claims.namespace}/{name}")) is not None:
                    yield graph, component, placed, volume


def _filter_usable(placed: Placement, nodes: Nodes | list[Node]) -> list[Node]:
    return [node for node in nodes if placed.selects(node)]


def _reaches(volume: PersistentVolume, node: Node) -> bool:
    return any(term_matches(term, node) for term in volume.node_terms)


def _report_unreached(
    graph: Graph, component: Component, volume: PersistentVolume, usable: list[Node], grows: str
) -> Finding:
    mount = next(m for m in component.claims if volume.claim.endswith(f"/{m.name}"))
    return (warn if grows else fail)(
        f"{component.name} mounts claim {mount.name}, whose volume is reached from nodes with "
        f"{format_affinity(volume.node_terms)}, and none of the {len(usable)} nodes that it may use is one"
        + (f"; {grows} may add one" if grows else ""),
        fix=f"kubectl get pv {volume.name} -o yaml   # take a shared file system, or add nodes there",
        evidence={"nodes": [node.name for node in usable]},
        subject=Subject("PersistentVolume", volume.name),
        location=Location(graph.file, mount.line, mount.column),
    )
