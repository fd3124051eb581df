"""Checks the RDMA devices of nodes, and the operator and plugins that offer them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.data.rdma import rdma_plugin, rdma_resource
from dynocheck.facts import (
    NicPolicies,
    NicPolicy,
    Node,
    Nodes,
    Recipes,
    ResourceSlices,
    Workloads,
    list_gpu_nodes,
    parse_device_count,
)

_KINDS = (
    "node.kubernetes.io/instance-type",
    "nvidia.com/gpu.product",
    "gpu.nvidia.com/model",
    "cloud.google.com/gke-accelerator",
)
CLAIMED = "RDMA devices through DRA"
_BROKEN = ("notReady", "error")
_POLICY_NAME = "nic-cluster-policy"  # the only one that the operator reads
_INSTALL = (
    "helm upgrade --install network-operator network-operator --repo https://helm.ngc.nvidia.com/nvidia "
    "--namespace nvidia-network-operator --create-namespace"
)


def count_rdma_devices(
    nodes: Iterable[Node], policies: NicPolicies, slices: ResourceSlices, *, capacity: bool = False
) -> dict[str, dict[str, int]]:
    """The allocatable RDMA devices, or all with `capacity`, by node and resource name."""
    of_policies = {name for policy in policies for name in policy.resources}
    claimable: Counter[str | None] = Counter()
    for resource_slice in slices:
        claimable[resource_slice.node] += resource_slice.rdma
    devices = {}
    for node in nodes:
        amounts = node.capacity if capacity else node.allocatable
        devices[node.name] = {
            name: parse_device_count(amount) or 0
            for name, amount in amounts.items()
            if name in of_policies or rdma_resource(name) is not None
        }
        if claimable[node.name]:
            devices[node.name][CLAIMED] = claimable[node.name]
    return devices


def _get_machine_type(node: Node) -> tuple[str, ...]:
    """The node's labels for its machine and GPU type; without them its size."""
    labels = tuple(node.labels.get(key, "") for key in _KINDS)
    size = node.capacity.get("cpu", ""), str(sum(node.gpu_capacity.values()))
    return labels if any(labels) else size


@check("rdma.resources", title="GPU nodes of one type have the same RDMA devices")
def resources(nodes: Nodes, slices: ResourceSlices, policies: NicPolicies) -> Iterator[Finding]:
    """Traffic between nodes uses RDMA if the pods have a device, else TCP: orders of magnitude slower, and
    without an error.

    RDMA resources are those of a table (`dynocheck/data/rdma.json`) and of the Network Operator's policies.
    A node with devices but none allocatable has lost its device plugin. A node with fewer devices than
    others of its machine and GPU type is a warning; nodes of other types may have none.

    Fix: kubectl get pods -A -o wide --field-selector spec.nodeName=NODE | grep -e rdma -e sriov -e efa
    """
    allocatable = count_rdma_devices(nodes, policies, slices)
    capacity = count_rdma_devices(nodes, policies, slices, capacity=True)
    if not any(any(devices.values()) for devices in capacity.values()):
        raise Skip("no node has a known RDMA resource")
    for node in nodes:
        yield from _report_unallocatable(node, allocatable[node.name], capacity[node.name])
    types: dict[tuple[str, ...], list[Node]] = defaultdict(list)
    for gpu in list_gpu_nodes(nodes, slices):
        types[_get_machine_type(gpu.node)].append(gpu.node)
    for same_type in types.values():
        yield from _report_outliers(same_type, capacity)


def _report_unallocatable(
    node: Node, allocatable: dict[str, int], capacity: dict[str, int]
) -> Iterator[Finding]:
    subject = Subject("Node", node.name)
    for name, total in capacity.items():
        usable = allocatable.get(name, 0)
        evidence = {"allocatable": usable, "capacity": total}
        if total and not usable:
            yield (warn if any(allocatable.values()) else fail)(
                f"has {total} {name}, 0 allocatable: its device plugin or the devices are down",
                fix=f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name}",
                evidence=evidence,
                subject=subject,
            )
        elif usable < total:
            yield warn(
                f"has {total} {name}, {usable} allocatable: the others are unhealthy",
                fix=f"kubectl describe node {node.name}",
                evidence=evidence,
                subject=subject,
            )


def _report_outliers(nodes: list[Node], capacity: dict[str, dict[str, int]]) -> Iterator[Finding]:
    """Reports nodes of one type with fewer devices than most others, or with none."""
    for name in sorted({name for node in nodes for name, total in capacity[node.name].items() if total}):
        counts = {node.name: capacity[node.name].get(name, 0) for node in nodes}
        frequency = Counter(counts.values())
        usual = max(frequency, key=lambda number: (frequency[number], number))
        for node, count in counts.items():
            others = [other for other, more in counts.items() if more > count]
            if count < usual or (count == 0 and others):
                most = max(counts.values())
                yield warn(
                    f"has {count} {name}, {len(others)} GPU nodes of its type have up to {most}",
                    fix=f"kubectl describe node {node}",
                    evidence={"offers": capacity[node], "others": others},
                    subject=Subject("Node", node),
                )


def find_requested(recipes: Recipes | None) -> set[str]:
    """The RDMA resources that recipes request."""
    return {
        name
        for recipe in recipes or ()
        for graph in recipe.graphs
        for component in graph.components
        for name in component.resources
        if rdma_resource(name) is not None
    }


@check("rdma.operator", title="Network Operator and RDMA device plugins are ready")
def operator(
    policies: NicPolicies,
    workloads: Workloads,
    nodes: Nodes,
    slices: ResourceSlices,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """The NVIDIA Network Operator reports the state of each component (driver, device plugins, networks) in
    its policies. Device plugins may also be installed alone, as on EKS.

    Both are found by their kind and image, in any namespace. Nodes may have RDMA without them, as on GKE and
    managed clouds; this fails only if a recipe requests RDMA that no node has.

    Fix: kubectl get nicclusterpolicies,nicnodepolicies -o yaml
    """
    judged = [*_check_plugins(workloads, sum(node.is_down for node in nodes))]
    for policy in policies:
        yield from _check_policy(policy)
    yield from (finding for _, finding in judged if finding is not None)
    if len(policies):
        yield from _check_controller(workloads)
        return
    if judged:
        return
    devices = count_rdma_devices(nodes, policies, slices).values()
    offered = {name for counts in devices for name, count in counts.items() if count}
    requested = find_requested(recipes)
    if offered:
        raise Skip(f"nodes have {', '.join(sorted(offered))} without the Network Operator or a known plugin")
    if not requested:
        raise Skip("no Network Operator or RDMA device plugin found, and no recipe requests RDMA")
    plugins = sorted({row.plugin for name in requested if (row := rdma_resource(name)) and row.plugin})
    yield fail(
        f"no node has RDMA, but a recipe requests {', '.join(sorted(requested))}",
        fix=_INSTALL if any("efa" not in plugin for plugin in plugins) else _suggest_efa(),
        evidence={"plugins": plugins},
    )


def _suggest_efa() -> str:
    return (
        "helm upgrade --install aws-efa-k8s-device-plugin aws-efa-k8s-device-plugin "
        "--repo https://aws.github.io/eks-charts --namespace kube-system"
    )


def _check_policy(policy: NicPolicy) -> Iterator[Finding]:
    subject = Subject(policy.kind, policy.name)
    look = f"kubectl get {policy.kind.lower()} {policy.name} -o yaml"
    if policy.kind == "NicClusterPolicy" and policy.name != _POLICY_NAME:
        yield warn(
            f"is ignored: the operator reads only the one named {_POLICY_NAME}", fix=look, subject=subject
        )
        return
    broken = [state for state in policy.states if state.state in _BROKEN]
    for state in broken:
        reason = f": {state.message}" if state.message else ""
        yield fail(f"{state.name} is {state.state}{reason}", fix=look, subject=subject)
    if not broken and policy.state in _BROKEN:
        yield fail(f"is {policy.state}, without a reason", fix=look, subject=subject)
    elif not policy.state:
        yield warn("has no state: the operator has not processed it", fix=look, subject=subject)


def _check_plugins(workloads: Workloads, down: int) -> Iterator[tuple[str, Finding | None]]:
    """The images of the device plugins, each with its finding, None if it is ready. If no more pods are
    missing than nodes are down, it is a warning.
    """
    for workload in workloads:
        row = rdma_plugin(workload.images) if workload.kind == "DaemonSet" else None
        if row is None:
            continue
        if workload.desired == 0 or workload.is_ready:
            yield row.image, None
            continue
        excused = 0 < workload.desired - workload.ready <= down
        yield (
            row.image,
            (warn if excused else fail)(
                f"{row.image} is ready on {workload.ready} of {workload.desired} nodes"
                + (f"; {down} nodes are NotReady" if excused else ""),
                fix=f"kubectl describe daemonset -n {workload.namespace} {workload.name}",
                subject=Subject("DaemonSet", workload.name, workload.namespace),
            ),
        )


def _check_controller(workloads: Workloads) -> Iterator[Finding]:
    controllers = [w for w in workloads if w.kind == "Deployment" and _is_controller(w.images)]
    for workload in controllers:
        if not workload.is_ready:
            yield (warn if workload.ready else fail)(
                f"{workload.ready} of {workload.desired} pods of the Network Operator are ready"
                + (f": {workload.refusal}" if workload.refusal else ""),
                fix=f"kubectl describe deployment -n {workload.namespace} {workload.name}",
                subject=Subject("Deployment", workload.name, workload.namespace),
            )
    if not controllers:
        yield warn(
            "No Network Operator found, but its policies: their components are not repaired or upgraded",
            fix=_INSTALL,
            subject=Subject("Deployment", "network-operator"),
        )


def _is_controller(images: Iterable[str]) -> bool:
    return any(
        image.partition("@")[0].rpartition("/")[2].partition(":")[0] == "network-operator" for image in images
    )
