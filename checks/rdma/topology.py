"""Whether the nodes that work together are near each other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dynocheck import Finding, Skip, check, warn
from dynocheck.checks.rdma.recipes import HOSTNAME, Worker, list_workers
from dynocheck.data.rdma import TopologyLevel, topology_levels
from dynocheck.facts import Node, Nodes, Recipe, Recipes, ResourceSlices, list_gpu_nodes

_COMPUTE_DOMAIN = "compute-domain"
_CROSSING = {
    "apart": "clouds do not let RDMA from one to the other",
    "far": "what crosses them goes through the top of the network",
    "nvlink": "NVLink does not reach from one to the other",
}


@check("rdma.topology", title="Workers that talk across nodes get nodes near each other")
def topology(recipes: Recipes, nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """The pods of a worker that spans nodes exchange data at every token, prefill and decode workers their KV
    blocks; the scheduler, unless told, puts them wherever there is room.

    Labels that tell a network domain are a table (`dynocheck/data/topology.json`): zones, fabrics, islands,
    blocks, and NVLink domains for workers with a ComputeDomain. It is a warning where the nodes that they
    may get lie in several of them and the recipe does not keep its pods together, by a
    topologyConstraint, a required pod affinity or a selector. For prefill and decode workers only domains
    count that RDMA does not cross. On Azure a zone that is a bare number is a fault domain of nodes
    without a zone, and is passed over.

    Fix: add spec.topologyConstraint with a packDomain, or a nodeAffinity on the label.
    """
    groups = [group for recipe in recipes for group in _list_groups(recipe)]
    if not groups:
        raise Skip("no worker of the recipe talks across nodes")
    here = [gpu.node for gpu in list_gpu_nodes(nodes, slices)]
    told = found = False
    for group in groups:
        candidates = [node for node in here if any(_can_run(worker, node) for worker in group.workers)]
        found = found or bool(candidates)
        for level in _select_levels(group):
            domains = _group_by_domain(level, candidates)
            told = told or bool(domains)
            if len(domains) > 1 and not group.together:
                yield _report_spread(group, level, domains)
                break
    if not found:
        raise Skip("no node is there that a worker which talks across nodes may get")
    if not told:
        raise Skip(
            "no label of the nodes tells their place in the network, such as topology.kubernetes.io/zone, "
            "nvidia.com/gpu.clique or those of Topograph"
        )


class _WorkerGroup(NamedTuple):
    """Workers whose pods exchange data: one that spans nodes, or the two sides of a disaggregated graph."""

    workers: list[Worker]
    together: bool

    @property
    def spans(self) -> bool:
        return len(self.workers) == 1


def _list_groups(recipe: Recipe) -> Iterator[_WorkerGroup]:
    found = list_workers(Recipes((recipe,)))
    for worker in found:
        if worker.component.nodes > 1:
            yield _WorkerGroup([worker], _is_kept_together(recipe, [worker]))
    for graph in recipe.graphs:
        sides = [each for each in found if each.graph is graph and each.is_disaggregated]
        if sides:
            yield _WorkerGroup(sides, _is_kept_together(recipe, sides))


def _can_run(worker: Worker, node: Node) -> bool:
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


def _select_levels(group: _WorkerGroup) -> Iterable[TopologyLevel]:
    """The labels that matter: those of NVLink only to a worker that uses NVLink across nodes."""
    claims = group.workers[0].placement.pod.get("resourceClaims")
    nvlink = any(
        _COMPUTE_DOMAIN in (value.text or "") for value in (claims.find_all("name") if claims else ())
    )
    kinds = {"apart", "far", "nvlink"} if nvlink else {"apart", "far"}
    return [level for level in topology_levels() if level.kind in (kinds if group.spans else {"apart"})]


def _group_by_domain(level: TopologyLevel, candidates: list[Node]) -> dict[str, list[str]]:
    """The candidates by domain; nothing when one of them does not tell its own."""
    found: dict[str, list[str]] = defaultdict(list)
    for node in candidates:
        value = node.labels.get(level.label, "")
        if not value or (level.domain == "zone" and value.isdecimal()):
            return {}
        found[value].append(node.name)
    return dict(found)


def _is_kept_together(recipe: Recipe, found: list[Worker]) -> bool:
    """Whether the recipe keeps their pods in one domain; a worker that spans nodes cannot stay on one."""
    alone = {HOSTNAME} if len(found) == 1 else set()
    for worker in found:
        required = worker.placement.pod.get(
            "affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution"
        )
        if required and {key.text for key in required.find_all("topologyKey")} - alone:
            return True
    graph = found[0].graph
    for manifest in recipe.manifests:
        if (manifest.file, manifest.name) == (graph.file, graph.name):
            return any(
                constraint.get("packDomain") for constraint in manifest.root.find_all("topologyConstraint")
            )
    return False


def _report_spread(group: _WorkerGroup, level: TopologyLevel, domains: dict[str, list[str]]) -> Finding:
    first = group.workers[0].component
    names = " and ".join(each.component.name for each in group.workers)
    talk = f"{names} spans {first.nodes} nodes" if group.spans else f"{names} exchange KV blocks"
    return warn(
        f"{talk}, and the nodes for it lie in {len(domains)} domains of {level.label} ({level.domain}): "
        f"{_CROSSING[level.kind]}",
        fix=f"keep the pods in one {level.domain}: a topologyConstraint, or a nodeAffinity on {level.label}",
        evidence={**{domain: len(names) for domain, names in domains.items()}, "source": level.source},
        location=group.workers[0].place,
    )
