"""Checks that recipes request the RDMA devices that they need, and nodes have them."""

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
_SLOW = "traffic between nodes uses TCP"


class Worker(NamedTuple):
    """A component with GPUs, its graph and its scheduling constraints."""

    graph: Graph
    component: Component
    placement: Placement

    @property
    def place(self) -> Location:
        return Location(self.graph.file, self.component.line, self.component.column)

    @property
    def is_disaggregated(self) -> bool:
        """Whether its graph has both prefill and decode workers."""
        return len({_is_prefill(c) for c in self.graph.components if c.gpus != 0}) == 2

    @property
    def cross_node_reason(self) -> str:
        """Why its pods exchange data between nodes; empty if they need not."""
        if self.component.nodes > 1:
            return f"spans {self.component.nodes} nodes"
        if self.is_disaggregated:
            other = "decode" if _is_prefill(self.component) else "prefill"
            return f"exchanges KV blocks with {other} workers, which may run on other nodes"
        return ""


def _is_prefill(component: Component) -> bool:
    """Whether it is a prefill worker, by its type or its engine's flag."""
    main = component.main
    words = [word.text for launch in (main.launches if main else ()) for word in launch.words]
    flagged = ("--disaggregation-mode", "prefill") in pairwise(words) or "--is-prefill-worker" in words
    return component.role == "prefill" or flagged or "--disaggregation-mode=prefill" in words


def list_workers(recipes: Recipes) -> list[Worker]:
    """Every component of a graph that has GPUs."""
    workers = (Worker(*placed) for placed in list_placements(recipes))
    return [worker for worker in workers if worker.component.gpus != 0]


class _RdmaNodes(NamedTuple):
    """The GPU nodes and their RDMA devices; `grows` if an autoscaler may add nodes."""

    nodes: list[Node]
    devices: dict[str, dict[str, int]]
    grows: bool

    @property
    def names(self) -> list[str]:
        return sorted({name for counts in self.devices.values() for name, count in counts.items() if count})

    def find_most(self, name: str, nodes: Iterable[Node]) -> int:
        return max((self.devices[node.name].get(name, 0) for node in nodes), default=0)


def _is_of_no_operator(cause: Finding, effect: Finding) -> bool:
    """Nothing in the cluster offers RDMA."""
    return cause.outcome == "fail" and cause.subject is None and "lacking" in effect.evidence


@check(
    "rdma.required-by-recipe",
    title="Recipes request the RDMA devices that they need and nodes have",
    explained_by={"rdma.operator": _is_of_no_operator},
)
def required_by_recipe(
    recipes: Recipes,
    nodes: Nodes,
    slices: ResourceSlices,
    policies: NicPolicies,
    autoscalers: Autoscalers,
) -> Iterator[Finding]:
    """A pod that requests a resource that no node has stays Pending. A pod that needs a device but requests
    none gets none, and its traffic silently uses TCP.

    Workers that span nodes need RDMA, as do prefill and decode workers, unless they share one node and use
    NVLink. Pods with the host's network or devices, privileged pods and pods with a resource claim need not
    request it. Inside an NVL72 (ComputeDomain) NVLink connects nodes. With an autoscaler, which may add nodes
    with RDMA, findings are warnings.

    Fix: add the nodes' RDMA resource to the limits of the worker's main container.
    """
    workers = list_workers(recipes)
    gpu_nodes = [gpu.node for gpu in list_gpu_nodes(nodes, slices)]
    if not any(w.cross_node_reason or _count_requested(w.component, policies) for w in workers):
        raise Skip("no recipe requests or needs RDMA")
    if not gpu_nodes:
        raise Skip("no GPU node found")
    devices = count_rdma_devices(gpu_nodes, policies, slices)
    cluster = _RdmaNodes(gpu_nodes, devices, bool(autoscalers))
    for worker in workers:
        requested = _count_requested(worker.component, policies)
        yield from _check_offered(worker, requested, cluster)
        if (
            not requested
            and worker.cross_node_reason
            and not _has_direct_access(worker)
            and not _runs_on_one_node(worker, cluster)
        ):
            yield _report_no_rdma(worker, cluster)


def _count_requested(component: Component, policies: NicPolicies) -> dict[str, int]:
    of_policies = {name for policy in policies for name in policy.resources}
    return {
        name: parse_device_count(amount) or 0
        for name, amount in component.resources.items()
        if name in of_policies or rdma_resource(name) is not None
    }


def _check_offered(worker: Worker, requested: dict[str, int], cluster: _RdmaNodes) -> Iterator[Finding]:
    """Reports resources that no node has, or of which no node that fits the worker has enough."""
    component = worker.component
    report, later = (warn, "; an autoscaler may add nodes with it") if cluster.grows else (fail, "")
    evidence = {node.name: cluster.devices[node.name] for node in cluster.nodes[:8]}
    absent = [name for name in requested if not cluster.find_most(name, cluster.nodes)]
    if absent:
        others = [name for name in cluster.names if name not in requested]
        alternative = f"; they have {', '.join(others)}" if others else ""
        amounts = ", ".join(f"{requested[name]} {name}" for name in absent)
        yield report(
            f"{component.name} requests {amounts}, which no GPU node has{alternative}{later}",
            fix=_suggest_substitute(absent[0], others),
            evidence={"lacking": absent, **evidence},
            location=worker.place,
        )
    fitting = [
        node
        for node in cluster.nodes
        if worker.placement.selects(node) and (component.gpus is None or node.gpus >= component.gpus)
    ]
    for name, count in requested.items():
        best = cluster.find_most(name, fitting)
        if fitting and name not in absent and best < count:
            yield report(
                f"{component.name} requests {count} {name} on one node, "
                f"but nodes with enough GPUs have at most {best}{later}",
                fix=f'request {name}: "{best}"' if best else f"kubectl describe node {fitting[0].name}",
                evidence={"lacking": [name], **evidence},
                location=worker.place,
            )


def _suggest_substitute(absent: str, others: list[str]) -> str:
    """The fix for a resource that no node has: another name for the same device, else a variant or plugin."""
    row = rdma_resource(absent)
    for name in others:
        other = rdma_resource(name)
        if row is None or (other is not None and other.mlx and row.mlx):
            return f"request {name} instead of {absent}"
    if others:
        return f"use the recipe's variant for {', '.join(others)}"
    return f"install {row.plugin}" if row and row.plugin else f"add nodes with {absent}"


def _has_direct_access(worker: Worker) -> bool:
    """Whether its pods have RDMA, or NVLink between nodes, without requesting a known resource.

    An unknown extended resource may be RDMA under a site's own name.
    """
    pod = worker.placement.pod
    paths = (volume.get_text("path") for volume in pod.find_all("hostPath"))
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
    """Whether both sides of a disaggregated graph run on one node, because there is only one or by affinity.

    A preferred affinity counts if the whole graph fits on a node.
    """
    if worker.component.nodes > 1:
        return False
    if len(cluster.nodes) == 1 and not cluster.grows:
        return True
    affinity = worker.placement.pod.get("affinity", "podAffinity")
    required = _get_topology_keys(affinity, "requiredDuringScheduling")
    if HOSTNAME in worker.placement.selector or HOSTNAME in required:
        return True
    total, largest = worker.graph.gpus, max(node.gpus for node in cluster.nodes)
    preferred = _get_topology_keys(affinity, "preferredDuringScheduling")
    return HOSTNAME in preferred and total is not None and total <= largest


def _get_topology_keys(affinity: Value | None, side: str) -> set[str]:
    """The topology keys of one side of a pod's affinity."""
    terms = affinity.get(f"{side}IgnoredDuringExecution") if affinity else None
    return {key.text or "" for key in terms.find_all("topologyKey")} if terms else set()


def _report_no_rdma(worker: Worker, cluster: _RdmaNodes) -> Finding:
    name, reason = worker.component.name, worker.cross_node_reason
    if cluster.names:
        return warn(
            f"{name} {reason}, but requests no RDMA; nodes have {', '.join(cluster.names)}: {_SLOW}",
            fix=f"add {cluster.names[0]} to the limits of its main container",
            location=worker.place,
        )
    extended = sorted({key for node in cluster.nodes for key in node.allocatable if "/" in key})
    return warn(
        f"{name} {reason}, but no GPU node has a known RDMA resource: {_SLOW}",
        fix="install an RDMA device plugin, or keep prefill and decode on one node with podAffinity",
        evidence={"extended resources": extended},
        location=worker.place,
    )
