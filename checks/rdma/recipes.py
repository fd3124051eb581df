"""Whether the nodes that a recipe gets are joined as it needs."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.rdma.nodes import count_rdma_devices
from dynocheck.data.rdma import rdma_resource
from dynocheck.facts import (
    Autoscalers,
    Component,
    Graph,
    NicPolicies,
    Node,
    Nodes,
    Placement,
    Recipes,
    ResourceSlices,
    Value,
    list_gpu_nodes,
    list_placements,
    parse_device_count,
)

HOSTNAME = "kubernetes.io/hostname"
_SLOW = "what crosses nodes goes over TCP"


class Worker(NamedTuple):
    """A component that has GPUs, in its graph, and where it may run."""

    graph: Graph
    component: Component
    placement: Placement

    @property
    def place(self) -> Location:
        return Location(self.graph.file, self.component.line, self.component.column)

    @property
    def is_disaggregated(self) -> bool:
        """Whether its graph has both workers that prefill and workers that decode."""
        return len({_is_prefill(each) for each in self.graph.components if each.gpus != 0}) == 2

    @property
    def cross_node_reason(self) -> str:
        """Why its pods talk across nodes, empty when they do not have to."""
        if self.component.nodes > 1:
            return f"spans {self.component.nodes} nodes"
        if self.is_disaggregated:
            other = "decode" if _is_prefill(self.component) else "prefill"
            return f"exchanges KV blocks with {other} workers, which may run on other nodes"
        return ""


def _is_prefill(component: Component) -> bool:
    """Whether it only prefills, by its type or by its engine's flag."""
    main = component.main
    words = [word.text for launch in (main.launches if main else ()) for word in launch.words]
    flagged = ("--disaggregation-mode", "prefill") in pairwise(words) or "--is-prefill-worker" in words
    return component.role == "prefill" or flagged or "--disaggregation-mode=prefill" in words


def list_workers(recipes: Recipes) -> list[Worker]:
    """Every component with GPUs of every graph."""
    return [Worker(*found) for found in list_placements(recipes) if found[1].gpus != 0]


class _RdmaNodes(NamedTuple):
    """The GPU nodes, what each offers, and whether more may come that offer something else."""

    nodes: list[Node]
    devices: dict[str, dict[str, int]]
    grows: bool

    @property
    def names(self) -> list[str]:
        return sorted({name for have in self.devices.values() for name, whole in have.items() if whole})

    def find_most(self, name: str, nodes: Iterable[Node]) -> int:
        return max((self.devices[node.name].get(name, 0) for node in nodes), default=0)


def _is_of_no_operator(cause: Finding, effect: Finding) -> bool:
    """Nothing in the cluster offers RDMA."""
    return cause.outcome == "fail" and cause.subject is None and "lacking" in effect.evidence


@check(
    "rdma.required-by-recipe",
    title="A recipe asks for the RDMA that it needs, and nodes offer it",
    explained_by={"rdma.operator": _is_of_no_operator},
)
def required_by_recipe(
    recipes: Recipes,
    nodes: Nodes,
    slices: ResourceSlices,
    policies: NicPolicies,
    autoscalers: Autoscalers,
) -> Iterator[Finding]:
    """A pod that asks for a resource which no node offers stays Pending. One that should ask and does not is
    given no device, and its traffic falls back to TCP without an error.

    A worker needs RDMA that spans nodes, and so do prefill and decode workers, unless they are kept on one
    node, where NVLink serves them. A pod in the host's network, a privileged one, one with the host's
    devices or with a resource claim gets it otherwise; inside an NVL72 (ComputeDomain) NVLink crosses
    nodes. Where an autoscaler adds nodes, what no node offers now may still come: that is a warning.

    Fix: name the resource that the nodes offer in the limits of the worker's main container.
    """
    found = list_workers(recipes)
    here = [gpu.node for gpu in list_gpu_nodes(nodes, slices)]
    if not any(each.cross_node_reason or _count_requested(each.component, policies) for each in found):
        raise Skip("no recipe asks for RDMA, and none needs it")
    if not here:
        raise Skip("no node has GPUs, so what GPU nodes offer cannot be seen")
    cluster = _RdmaNodes(here, count_rdma_devices(here, policies, slices), bool(autoscalers))
    for worker in found:
        wanted = _count_requested(worker.component, policies)
        yield from _check_offered(worker, wanted, cluster)
        if (
            not wanted
            and worker.cross_node_reason
            and not _has_direct_access(worker)
            and not _runs_on_one_node(worker, cluster)
        ):
            yield _report_no_rdma(worker, cluster)


def _count_requested(component: Component, policies: NicPolicies) -> dict[str, int]:
    named = {name for policy in policies for name in policy.resources}
    return {
        name: parse_device_count(amount) or 0
        for name, amount in component.resources.items()
        if name in named or rdma_resource(name) is not None
    }


def _check_offered(worker: Worker, wanted: dict[str, int], cluster: _RdmaNodes) -> Iterator[Finding]:
    """What no node offers, and what no node that the worker fits on offers enough of."""
    component = worker.component
    report, later = (warn, "; an autoscaler may add nodes that do") if cluster.grows else (fail, "")
    evidence = {node.name: cluster.devices[node.name] for node in cluster.nodes[:8]}
    absent = [name for name in wanted if not cluster.find_most(name, cluster.nodes)]
    if absent:
        others = [name for name in cluster.names if name not in wanted]
        near = f"; they offer {', '.join(others)}" if others else ""
        asks = ", ".join(f"{wanted[name]} {name}" for name in absent)
        yield report(
            f"{component.name} asks for {asks}, which no GPU node offers{near}{later}",
            fix=_suggest_substitute(absent[0], others),
            evidence={"lacking": absent, **evidence},
            location=worker.place,
        )
    fitting = [
        node
        for node in cluster.nodes
        if worker.placement.selects(node) and (component.gpus is None or node.gpus >= component.gpus)
    ]
    for name, count in wanted.items():
        best = cluster.find_most(name, fitting)
        if fitting and name not in absent and best < count:
            yield report(
                f"{component.name} asks for {count} {name} on one node; "
                f"of the nodes with enough GPUs the best offers {best}{later}",
                fix=f'ask for {name}: "{best}"' if best else f"kubectl describe node {fitting[0].name}",
                evidence={"lacking": [name], **evidence},
                location=worker.place,
            )


def _suggest_substitute(absent: str, others: list[str]) -> str:
    """The same kind of device under another name, else what would offer this one."""
    row = rdma_resource(absent)
    for name in others:
        other = rdma_resource(name)
        if row is None or (other is not None and other.mlx and row.mlx):
            return f"ask for {name} instead of {absent}"
    if others:
        return f"take the variant of the recipe that is for {', '.join(others)}"
    return f"install {row.plugin}" if row and row.plugin else f"add nodes that offer {absent}"


def _has_direct_access(worker: Worker) -> bool:
    """Whether its pods reach the network's devices, or NVLink across nodes, without asking for a resource.

    A resource that is not in the table may be RDMA under a name of the site's own.
    """
    pod = worker.placement.pod
    paths = (
        path.text or "" for volume in pod.find_all("hostPath") if (path := volume.get("path")) is not None
    )
    host = pod.get("hostNetwork")
    return (
        (host is not None and host.data is True)
        or any(value.data is True for value in pod.find_all("privileged"))
        or any(path.startswith("/dev/infiniband") for path in paths)
        or worker.placement.has_resource_claims
        or worker.component.gpus is None
        or any(not name.endswith(".IP") for name in worker.component.resources)
    )


def _runs_on_one_node(worker: Worker, cluster: _RdmaNodes) -> bool:
    """Whether the two sides of a disaggregated graph run on one node: told to, or where there is one only.

    What is only preferred holds when all of it has room on a node.
    """
    if worker.component.nodes > 1:
        return False
    if len(cluster.nodes) == 1 and not cluster.grows:
        return True
    affinity = worker.placement.pod.get("affinity", "podAffinity")
    if HOSTNAME in worker.placement.selector or HOSTNAME in _get_topology_keys(
        affinity, "requiredDuringScheduling"
    ):
        return True
    total = worker.graph.gpus
    roomy = max(node.gpus for node in cluster.nodes)
    return (
        HOSTNAME in _get_topology_keys(affinity, "preferredDuringScheduling")
        and total is not None
        and total <= roomy
    )


def _get_topology_keys(affinity: Value | None, side: str) -> set[str]:
    """The topology keys of one side of a pod's affinity."""
    terms = affinity.get(f"{side}IgnoredDuringExecution") if affinity else None
    return {key.text or "" for key in terms.find_all("topologyKey")} if terms else set()


def _report_no_rdma(worker: Worker, cluster: _RdmaNodes) -> Finding:
    name, why = worker.component.name, worker.cross_node_reason
    if cluster.names:
        return warn(
            f"{name} {why}, and asks for no RDMA, which nodes offer as {', '.join(cluster.names)}: {_SLOW}",
            fix=f"add {cluster.names[0]} to the limits of its main container",
            location=worker.place,
        )
    extended = sorted({key for node in cluster.nodes for key in node.allocatable if "/" in key})
    return warn(
        f"{name} {why}, and no GPU node offers a resource that is known as RDMA: {_SLOW}",
        fix="install an RDMA device plugin, or keep prefill and decode on one node by podAffinity",
        evidence={"extended resources": extended},
        location=worker.place,
    )
