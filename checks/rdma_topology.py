"""Whether the nodes that work together are near each other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from dynocheck import Finding, Skip, check, warn
from dynocheck.checks.rdma_recipes import HOSTNAME, Worker, workers
from dynocheck.data.rdma import Level, levels
from dynocheck.facts import Node, Nodes, Recipes, ResourceSlices
from dynocheck.facts.rdma import has_gpus
from dynocheck.facts.recipe import Recipe

_COMPUTE_DOMAIN = "compute-domain"
_CROSSING = {
    "apart": "clouds do not let RDMA from one to the other",
    "far": "what crosses them goes through the top of the network",
    "nvlink": "NVLink does not reach from one to the other",
}


@check("rdma.topology", title="Workers that span nodes get nodes near each other")
def topology(recipes: Recipes, nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """The pods of a worker that spans nodes exchange data at every token; the scheduler, unless told, puts
    them wherever there is room.

    Labels that tell a network domain are a table (`dynocheck/data/topology.json`): zones, fabrics, islands,
    blocks, and NVLink domains for workers with a ComputeDomain. It is a warning where the nodes that a
    worker may get lie in several of them and the recipe does not keep its pods together, by a
    topologyConstraint, a required pod affinity or a selector. On Azure a zone that is a bare number is a
    fault domain of nodes without a zone, and is passed over.

    Fix: add spec.topologyConstraint with a packDomain, or a nodeAffinity on the label.
    """
    spanning = [(recipe, each) for recipe in recipes for each in workers(Recipes((recipe,)))]
    spanning = [(recipe, each) for recipe, each in spanning if each.component.nodes > 1]
    if not spanning:
        raise Skip("no worker of the recipe spans nodes")
    told = found = False
    for recipe, worker in spanning:
        candidates = [node for node in nodes if has_gpus(node, slices) and _fits(worker, node)]
        found = found or bool(candidates)
        for level in _levels(worker):
            domains = _domains(level, candidates)
            told = told or bool(domains)
            if len(domains) > 1 and not _kept_together(recipe, worker):
                yield _spread(worker, level, domains)
                break
    if not found:
        raise Skip("no node is there that a worker which spans nodes may get")
    if not told:
        raise Skip(
            "no label of the nodes tells their place in the network, such as topology.kubernetes.io/zone, "
            "nvidia.com/gpu.clique or those of Topograph"
        )


def _fits(worker: Worker, node: Node) -> bool:
    """Whether the scheduler may put a pod of it there, room aside.

    Taints named as a resource are tolerated for pods that ask for it, by an admission plugin on many clouds.
    """
    ready = all(c.status == "True" for c in node.conditions if c.type == "Ready")
    barred = [
        taint
        for taint in node.taints
        if taint.effect in ("NoSchedule", "NoExecute")
        and taint.key != "nvidia.com/gpu"
        and taint.key not in worker.component.resources
    ]
    return (
        ready
        and not node.unschedulable
        and worker.placement.selects(node)
        and all(worker.placement.tolerates(taint) for taint in barred)
        and (worker.component.gpus is None or node.gpus >= worker.component.gpus)
    )


def _levels(worker: Worker) -> Iterable[Level]:
    """The labels that matter to a worker: those of NVLink only where it uses NVLink across nodes."""
    claims = worker.placement.pod.get("resourceClaims")
    nvlink = any(_COMPUTE_DOMAIN in (value.text or "") for value in (claims.every("name") if claims else ()))
    return [level for level in levels() if nvlink or level.kind != "nvlink"]


def _domains(level: Level, candidates: list[Node]) -> dict[str, list[str]]:
    """The candidates by domain; nothing when one of them does not tell its own."""
    found: dict[str, list[str]] = defaultdict(list)
    for node in candidates:
        value = node.labels.get(level.label, "")
        if not value or (level.domain == "zone" and value.isdecimal()):
            return {}
        found[value].append(node.name)
    return dict(found)


def _kept_together(recipe: Recipe, worker: Worker) -> bool:
    required = worker.placement.pod.get(
        "affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution"
    )
    keys = {key.text for key in required.every("topologyKey")} if required else set()
    if keys - {HOSTNAME}:
        return True
    for manifest in recipe.manifests:
        if (manifest.file, manifest.name) == (worker.graph.file, worker.graph.name):
            return any(
                constraint.get("packDomain") for constraint in manifest.root.every("topologyConstraint")
            )
    return False


def _spread(worker: Worker, level: Level, domains: dict[str, list[str]]) -> Finding:
    return warn(
        f"{worker.component.name} spans {worker.component.nodes} nodes, and those it may get lie in "
        f"{len(domains)} domains of {level.label} ({level.domain}): {_CROSSING[level.kind]}",
        fix=f"keep its pods in one {level.domain}: a topologyConstraint, or a nodeAffinity on {level.label}",
        evidence={**{domain: len(names) for domain, names in domains.items()}, "source": level.source},
        location=worker.place,
    )
