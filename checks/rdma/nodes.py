"""Whether nodes offer RDMA, and whether what makes them offer it is well."""

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
_POLICY_NAME = "nic-cluster-policy"  # the only one that the operator looks at
_INSTALL = (
    "helm upgrade --install network-operator network-operator --repo https://helm.ngc.nvidia.com/nvidia "
    "--namespace nvidia-network-operator --create-namespace"
)


def count_rdma_devices(
    nodes: Iterable[Node], policies: NicPolicies, slices: ResourceSlices, *, capacity: bool = False
) -> dict[str, dict[str, int]]:
    """By node, how much of which RDMA resource pods can be given there, or how much it has in all."""
    named = {name for policy in policies for name in policy.resources}
    claimed: Counter[str | None] = Counter()
    for each in slices:
        claimed[each.node] += each.rdma
    found = {}
    for node in nodes:
        amounts = node.capacity if capacity else node.allocatable
        found[node.name] = {
            name: parse_device_count(amount) or 0
            for name, amount in amounts.items()
            if name in named or rdma_resource(name) is not None
        }
        if claimed[node.name]:
            found[node.name][CLAIMED] = claimed[node.name]
    return found


def _get_machine_type(node: Node) -> tuple[str, ...]:
    """What makes nodes alike: their machine and its GPU by label, else their size."""
    labels = tuple(node.labels.get(key, "") for key in _KINDS)
    size = node.capacity.get("cpu", ""), str(sum(node.gpu_capacity.values()))
    return labels if any(labels) else size


@check("rdma.resources", title="GPU nodes of a kind offer the same RDMA devices")
def resources(nodes: Nodes, slices: ResourceSlices, policies: NicPolicies) -> Iterator[Finding]:
    """What crosses nodes goes over RDMA where a pod is given a device, and over TCP, orders of magnitude
    slower and without an error, where it is not.

    Device plugins and DRA drivers go by many names (`dynocheck/data/rdma.json`), and the Network Operator's
    policies tell others. A node that has devices and none to allocate has lost its plugin. A node that
    offers fewer than the others of its machine type and GPU is the odd one out; nodes of another kind
    may well have no RDMA at all.

    Fix: kubectl get pods -A -o wide --field-selector spec.nodeName=NODE | grep -e rdma -e sriov -e efa
    """
    usable = count_rdma_devices(nodes, policies, slices)
    there = count_rdma_devices(nodes, policies, slices, capacity=True)
    if not any(any(have.values()) for have in there.values()):
        raise Skip("no node offers a resource that is known as RDMA")
    for node in nodes:
        yield from _report_lost(node, usable[node.name], there[node.name])
    kinds: dict[tuple[str, ...], list[Node]] = defaultdict(list)
    for gpu in list_gpu_nodes(nodes, slices):
        kinds[_get_machine_type(gpu.node)].append(gpu.node)
    for alike in kinds.values():
        yield from _report_odd_nodes(alike, there)


def _report_lost(node: Node, usable: dict[str, int], there: dict[str, int]) -> Iterator[Finding]:
    """Devices that a node has, and that no pod can be given."""
    where = f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name}"
    for name, whole in there.items():
        left = usable.get(name, 0)
        about = {"allocatable": left, "capacity": whole}
        if whole and not left:
            lost = f"has {whole} {name} and none to allocate: its device plugin is down or the devices are"
            report = warn if any(usable.values()) else fail
            yield report(lost, fix=where, evidence=about, subject=Subject("Node", node.name))
        elif left < whole:
            yield warn(
                f"{left} of {whole} {name} are allocatable: the rest is unhealthy",
                fix=f"kubectl describe node {node.name}",
                evidence=about,
                subject=Subject("Node", node.name),
            )


def _report_odd_nodes(alike: list[Node], there: dict[str, dict[str, int]]) -> Iterator[Finding]:
    for name in sorted({name for node in alike for name, whole in there[node.name].items() if whole}):
        usual = Counter(there[node.name].get(name, 0) for node in alike)
        most = max(usual, key=lambda number: (usual[number], number))
        for node in alike:
            has = there[node.name].get(name, 0)
            others = [other.name for other in alike if there[other.name].get(name, 0) > has]
            if has < most or (has == 0 and others):
                yield warn(
                    f"offers {has or 'no'} {name}, where {len(others)} GPU nodes of its kind offer "
                    f"{max(there[other].get(name, 0) for other in others)}",
                    fix=f"kubectl describe node {node.name}",
                    evidence={"offers": there[node.name], "others": others},
                    subject=Subject("Node", node.name),
                )


def find_requested(recipes: Recipes | None) -> set[str]:
    """The RDMA resources that recipes ask for."""
    return {
        name
        for recipe in recipes or ()
        for graph in recipe.graphs
        for component in graph.components
        for name in component.resources
        if rdma_resource(name) is not None
    }


@check("rdma.operator", title="What makes nodes offer RDMA is ready")
def operator(
    policies: NicPolicies,
    workloads: Workloads,
    nodes: Nodes,
    slices: ResourceSlices,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """The NVIDIA Network Operator says in the status of its policies how far it is with each component:
    the driver, the device plugins, the networks. Device plugins may also stand alone, as on EKS.

    They are found by type and by image, in any namespace. Where there is none, nodes may offer RDMA all
    the same, as on GKE and on managed clouds; it is a failure only where a recipe asks for RDMA that no
    node offers.

    Fix: kubectl get nicclusterpolicies,nicnodepolicies -o yaml
    """
    judged = [*_check_plugins(workloads, sum(_is_down(node) for node in nodes))]
    for policy in policies:
        yield from _check_policy(policy)
    yield from (finding for _, finding in judged if finding is not None)
    if len(policies):
        yield from _check_controller(workloads)
        return
    if judged:
        return
    devices = count_rdma_devices(nodes, policies, slices).values()
    have = {name for each in devices for name, whole in each.items() if whole}
    wanted = find_requested(recipes)
    if have:
        raise Skip(f"nodes offer {', '.join(sorted(have))} without the Network Operator or a known plugin")
    if not wanted:
        raise Skip(
            "neither the Network Operator nor an RDMA device plugin is there, and no recipe asks for RDMA"
        )
    plugins = sorted({row.plugin for name in wanted if (row := rdma_resource(name)) and row.plugin})
    yield fail(
        f"nothing in the cluster offers RDMA, and a recipe asks for {', '.join(sorted(wanted))}",
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
            f"is not looked at: the operator takes the one named {_POLICY_NAME}", fix=look, subject=subject
        )
        return
    broken = [state for state in policy.states if state.state in _BROKEN]
    for state in broken:
        told = f": {state.message}" if state.message else ""
        yield fail(f"{state.name} is {state.state}{told}", fix=look, subject=subject)
    if not broken and policy.state in _BROKEN:
        yield fail(f"is {policy.state}, and does not say why", fix=look, subject=subject)
    elif not policy.state:
        yield warn("has no state: the operator has not looked at it", fix=look, subject=subject)


def _is_down(node: Node) -> bool:
    return any(condition.type == "Ready" and condition.status != "True" for condition in node.conditions)


def _check_plugins(workloads: Workloads, down: int) -> Iterator[tuple[str, Finding | None]]:
    """The device plugins by image. One that is wanted on no node has nothing to be ready, and where no more
    are missing than nodes are down, that is told elsewhere.
    """
    for each in workloads:
        row = rdma_plugin(each.images) if each.kind == "DaemonSet" else None
        if row is None:
            continue
        if each.desired == 0 or each.is_ready:
            yield row.image, None
            continue
        missing = each.desired - each.ready
        excused = 0 < missing <= down
        yield (
            row.image,
            (warn if excused else fail)(
                f"{row.image} is ready on {each.ready} of {each.desired} nodes"
                + (", as many as are NotReady are missing" if excused else ""),
                fix=f"kubectl describe daemonset -n {each.namespace} {each.name}",
                subject=Subject("DaemonSet", each.name, each.namespace),
            ),
        )


def _check_controller(workloads: Workloads) -> Iterator[Finding]:
    found = [each for each in workloads if each.kind == "Deployment" and _is_controller(each.images)]
    for each in found:
        if not each.is_ready:
            yield (warn if each.ready else fail)(
                f"the Network Operator is ready in {each.ready} of {each.desired} pods",
                fix=f"kubectl describe deployment -n {each.namespace} {each.name}",
                subject=Subject("Deployment", each.name, each.namespace),
            )
    if not found:
        yield warn(
            "policies are there and the Network Operator is not: what it set up is no longer looked after",
            fix=_INSTALL,
            subject=Subject("Deployment", "network-operator"),
        )


def _is_controller(images: Iterable[str]) -> bool:
    return any(
        image.partition("@")[0].rpartition("/")[2].partition(":")[0] == "network-operator" for image in images
    )
