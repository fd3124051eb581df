"""Checks that workers that exchange data run on nodes close to each other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dynocheck import Finding, Result, Skip, check, unjudged, warn
from dynocheck.checks.rdma.recipes import HOSTNAME, Worker, list_workers
from dynocheck.data.rdma import TopologyLevel, topology_levels
from dynocheck.facts import Node, Nodes, Recipe, Recipes, ResourceSlices, list_gpu_nodes

_COMPUTE_DOMAIN = "compute-domain"
_EFFECTS = {
    "apart": "clouds do not route RDMA between them",
    "far": "traffic between them goes through the top of the network",
    "nvlink": "NVLink does not connect them",
}


@check("rdma.topology", title="Workers that exchange data run on nodes close to each other")
def topology(recipes: Recipes, nodes: Nodes, slices: ResourceSlices) -> Iterator[Result]:
    """The pods of a worker that spans nodes exchange data for each token, prefill and decode workers exchange
    KV blocks. Without constraints the scheduler places them on any node with room.

    The labels of network domains are in a table (`dynocheck/data/topology.json`): zones, fabrics, islands,
    blocks, and NVLink domains for workers with a ComputeDomain. If the possible nodes are in several domains,
    and no topologyConstraint, required pod affinity or selector keeps the pods together, it is a warning. For
    prefill and decode workers only the domains count between which RDMA does not work. On Azure, a zone that
    is only a number is a fault domain, and is ignored.

    Fix: add spec.topologyConstraint with a packDomain, or a nodeAffinity on the label.
    """
    groups = [group for recipe in recipes for group in _list_groups(recipe)]
    if not groups:
        raise Skip("no worker exchanges data between nodes")
    gpu_nodes = [gpu.node for gpu in list_gpu_nodes(nodes, slices)]
    labelled = schedulable = False
    for group in groups:
        candidates = [node for node in gpu_nodes if any(_can_run(worker, node) for worker in group.workers)]
        schedulable = schedulable or bool(candidates)
        for level in _select_levels(group):
            domains = _group_by_domain(level, candidates)
            labelled = labelled or bool(domains)
            if len(domains) > 1 and not group.together:
                yield _report_spread(group, level, domains)
                break
    if not schedulable:
        raise Skip("no node can run a worker that exchanges data between nodes")
    if not labelled:
        yield unjudged(
            "the nodes that these workers may run on",
            why="they have no label of a network domain",
            needs="topology.kubernetes.io/zone, nvidia.com/gpu.clique or the labels of Topograph",
        )


class _WorkerGroup(NamedTuple):
    """Workers whose pods exchange data: one that spans nodes, or the two sides of a disaggregated graph."""

    workers: list[Worker]
    together: bool

    @property
    def spans(self) -> bool:
        return len(self.workers) == 1


def _list_groups(recipe: Recipe) -> Iterator[_WorkerGroup]:
    workers = list_workers(Recipes((recipe,)))
    for worker in workers:
        if worker.component.nodes > 1:
            yield _WorkerGroup([worker], _is_kept_together(recipe, [worker]))
    for graph in recipe.graphs:
        sides = [worker for worker in workers if worker.graph is graph and worker.is_disaggregated]
        if sides:
            yield _WorkerGroup(sides, _is_kept_together(recipe, sides))


def _can_run(worker: Worker, node: Node) -> bool:
    """Whether the scheduler may place its pods on a node, regardless of room.

    On many clouds an admission plugin tolerates taints that are named like a resource of the pod.
    """
    taints = [
        taint
        for taint in node.taints
        if taint.effect in ("NoSchedule", "NoExecute")
        and taint.key != "nvidia.com/gpu"
        and taint.key not in worker.component.resources
    ]
    return (
        not node.is_down
        and not node.unschedulable
        and worker.placement.selects(node)
        and all(worker.placement.tolerates(taint) for taint in taints)
        and (worker.component.gpus is None or node.gpus >= worker.component.gpus)
    )


def _select_levels(group: _WorkerGroup) -> Iterable[TopologyLevel]:
    """The relevant labels: those of NVLink domains only for a worker that uses NVLink between nodes."""
    claims = group.workers[0].placement.pod.get("resourceClaims")
    nvlink = any(
        _COMPUTE_DOMAIN in (value.text or "") for value in (claims.find_all("name") if claims else ())
    )
    kinds = {"apart", "far", "nvlink"} if nvlink else {"apart", "far"}
    return [level for level in topology_levels() if level.kind in (kinds if group.spans else {"apart"})]


def _group_by_domain(level: TopologyLevel, candidates: list[Node]) -> dict[str, list[str]]:
    """The candidates by domain; empty if one has no domain."""
    domains: dict[str, list[str]] = defaultdict(list)
    for node in candidates:
        value = node.labels.get(level.label, "")
        if not value or (level.domain == "zone" and value.isdecimal()):
            return {}
        domains[value].append(node.name)
    return dict(domains)


def _is_kept_together(recipe: Recipe, workers: list[Worker]) -> bool:
    """Whether the recipe keeps their pods in one domain; a worker that spans nodes cannot stay on one."""
    ignored = {HOSTNAME} if len(workers) == 1 else set()
    for worker in workers:
        required = worker.placement.pod.get(
            "affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution"
        )
        if required and {key.text for key in required.find_all("topologyKey")} - ignored:
            return True
    graph = workers[0].graph
    for manifest in recipe.manifests:
        if (manifest.file, manifest.name) == (graph.file, graph.name):
            return any(
                constraint.get("packDomain") for constraint in manifest.root.find_all("topologyConstraint")
            )
    return False


def _report_spread(group: _WorkerGroup, level: TopologyLevel, domains: dict[str, list[str]]) -> Finding:
    first = group.workers[0].component
    names = " and ".join(worker.component.name for worker in group.workers)
    reason = f"{names} spans {first.nodes} nodes" if group.spans else f"{names} exchange KV blocks"
    return warn(
        f"{reason}, but the possible nodes are in {len(domains)} domains of {level.label} ({level.domain}): "
        f"{_EFFECTS[level.kind]}",
        fix=f"keep the pods in one {level.domain}: a topologyConstraint, or a nodeAffinity on {level.label}",
        evidence={**{domain: len(names) for domain, names in domains.items()}, "source": level.source},
        location=group.workers[0].place,
    )
