"""GPU nodes: whether any exist, are schedulable, have allocatable GPUs and are alike."""

import re
from collections import Counter
from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, unknown, warn
from dynocheck.checks.gpu._daemon_sets import find_blind_worker
from dynocheck.data import parse_version
from dynocheck.facts import (
    ApiServer,
    Autoscalers,
    Condition,
    GpuNode,
    Node,
    Nodes,
    Recipes,
    ResourceSlices,
    Taint,
    Workloads,
    find_dra_nodes,
    has_gpus,
    list_gpu_nodes,
    list_placements,
)

_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_USUAL_TAINTS = ("nvidia.com/gpu",)
# Taints that clouds' guides or clouds themselves set on GPU nodes, judged with a recipe only:
# https://learn.microsoft.com/azure/aks/use-node-taints, https://cloud.google.com/kubernetes-engine/docs/how-to/prepare-arm-workloads-for-deployment
_GUIDED_TAINTS = ("sku", "kubernetes.io/arch")
_CONDITION_TAINTS = "node.kubernetes.io/"  # taints that Kubernetes sets for conditions and for cordoning
_REMOVING = {  # taint of a node that is being removed, and who removes it
    "karpenter.sh/disrupted": "Karpenter",
    "karpenter.sh/disruption": "Karpenter",
    "ToBeDeletedByClusterAutoscaler": "the Cluster Autoscaler",
}
_STARTING = ("-not-ready", "/uninitialized", "/unregistered")  # suffixes of taints that an agent removes
_UPGRADE = "nvidia.com/gpu-driver-upgrade-state"
_OTHER_VENDORS = ("amd.com/gpu", "gpu.intel.com/", "habana.ai/gaudi")  # prefixes of their resources
_KUBELET_SKEW = 3  # minor releases: https://kubernetes.io/releases/version-skew-policy/
_MEMORY_TOLERANCE = 0.05  # drivers reserve different amounts of memory


def _make_subject(node: Node) -> Subject:
    return Subject("Node", node.name)


@check("gpu.nodes-present", title="The cluster has NVIDIA GPU nodes")
def nodes_present(
    nodes: Nodes, slices: ResourceSlices, autoscalers: Autoscalers, workloads: Workloads | None = None
) -> Iterator[Finding]:
    """A node counts when it has a GPU label, when its kubelet reports GPUs or MIG slices (on managed clusters
    often without a label), or when the DRA driver offers GPUs on it.

    Labels come from Node Feature Discovery, whose worker has to tolerate the taints of GPU nodes.

    With an autoscaler a missing GPU node is a warning: GPU node pools may be scaled to zero until a pod
    requests one. Clusters with GPUs of other vendors, for which Dynamo has images too, are skipped.

    Fix: add GPU nodes, or install the GPU Operator or a device plugin, which make their GPUs known.
    """
    if list_gpu_nodes(nodes, slices):
        return
    offered = {name for node in nodes for name, amount in node.allocatable.items() if amount != "0"}
    if others := sorted(name for name in offered if name.startswith(_OTHER_VENDORS)):
        raise Skip(f"the nodes have GPUs of another vendor: {', '.join(others)}")
    none = f"none of {len(nodes)} nodes has a GPU label, allocatable GPUs or GPUs offered through DRA"
    missing = none if len(nodes) else "the cluster has no nodes"
    fix = "kubectl get nodes -L nvidia.com/gpu.present,nvidia.com/gpu.product"
    evidence: dict[str, object] = {"nodes": [node.name for node in nodes]}
    subject = None
    if (blind := find_blind_worker(workloads, nodes)) is not None:
        name, place = blind.workload.name, blind.workload.namespace
        count = f"{len(blind.nodes)} node{'s' if len(blind.nodes) > 1 else ''}"
        missing += f"; {name} does not tolerate the taint {blind.taint} of {count}, so it does not label them"
        fix = f"kubectl edit daemonset -n {place} {name}   # tolerate {blind.taint}"
        evidence, subject = {**evidence, "taint": blind.taint}, Subject("DaemonSet", name, place)
    if autoscalers:
        message = f"{missing}; {autoscalers} may add some on demand"
        yield warn(message, fix=fix, evidence=evidence, subject=subject)
    elif autoscalers.unseen:
        message = f"{missing}; autoscalers could not be read: {autoscalers.unseen}"
        yield unknown(message, fix=fix, evidence=evidence, subject=subject)
    else:
        yield fail(missing, fix=fix, evidence=evidence, subject=subject)


def _is_down_everywhere(cause: Finding, effect: Finding) -> bool:
    """What offers GPUs has no ready pod or offers none, or the GPU Operator has not finished its work."""
    nothing = 0 in (cause.evidence.get("ready"), cause.evidence.get("offered"))
    unfinished = nothing or cause.evidence.get("state") == "notReady"
    return cause.outcome == effect.outcome == "fail" and unfinished


def _offers_no_slice(cause: Finding, effect: Finding) -> bool:
    """The node has no MIG slice that its strategy could offer."""
    return cause.outcome == "fail" and cause.subject == effect.subject and "allocatable" in cause.evidence


@check(
    "gpu.allocatable",
    title="GPU nodes have allocatable GPUs",
    explained_by={
        **dict.fromkeys(("gpu.operator", "gpu.operands"), _is_down_everywhere),
        "gpu.mig": _offers_no_slice,
    },
)
def allocatable(nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """A GPU label or capacity shows that the hardware exists; pods only get what the device plugin or the DRA
    driver offers as allocatable.

    Fix: kubectl get pods -A -o wide --field-selector spec.nodeName=NODE | grep -e device-plugin -e driver
    """
    claimable = find_dra_nodes(slices)
    judged = [node for node in nodes if has_gpus(node) and node.name not in claimable]
    if not judged:
        raise Skip("GPUs are offered through DRA" if claimable else "no GPU node found")
    for node in judged:
        allocatable, capacity = node.gpu_resources, node.gpu_capacity
        amounts = {"allocatable": allocatable, "capacity": capacity}
        if node.gpus == 0:
            unit = "GPUs" if capacity.keys() <= {"nvidia.com/gpu"} else "GPUs and MIG slices"
            total = sum(capacity.values())
            yield fail(
                f"has {total} {unit}, 0 allocatable" if total else "has 0 allocatable GPUs",
                fix=f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name}",
                evidence=amounts,
                subject=_make_subject(node),
            )
        # A resource at 0 is left over from an earlier MIG layout.
        elif short := [name for name, amount in allocatable.items() if 0 < amount < capacity.get(name, 0)]:
            name = short[0]
            yield warn(
                f"{allocatable[name]} of {capacity[name]} {name} are allocatable; the others are unhealthy",
                fix=f"kubectl describe node {node.name}",
                evidence=amounts,
                subject=_make_subject(node),
            )


@check("gpu.nodes-ready", title="GPU nodes are Ready and accept pods")
def nodes_ready(
    nodes: Nodes, slices: ResourceSlices, server: ApiServer, recipes: Recipes | None
) -> Iterator[Finding]:
    """A node that is NotReady, under pressure or cordoned gets no new pods, and a taint repels every pod that
    does not tolerate it.

    The taint nvidia.com/gpu is not judged: clusters add its toleration, or recipes have it. Nor is any
    taint that a worker of the recipe tolerates, nor, without a recipe, those that clouds' guides set (sku,
    kubernetes.io/arch). A cordoned node is a warning, since cordoning is deliberate,
    and so is a node that an autoscaler removes, whose agent is not ready yet, or whose kubelet is more than
    three minor releases older than the API server, which Kubernetes does not support.

    Fix: kubectl describe node NODE
    """
    judged = list_gpu_nodes(nodes, slices)
    if not judged:
        raise Skip("no GPU node found")
    workers = [placement for _, component, placement in list_placements(recipes or ()) if component.gpus != 0]
    for node in (gpu_node.node for gpu_node in judged):
        yield from _check_conditions(node)
        yield from _check_kubelet(node, server)
        if node.unschedulable:
            yield _report_cordoned(node)
        for taint in node.taints:
            expected = taint.key in _GUIDED_TAINTS and not workers
            tolerated = expected or any(placement.tolerates(taint) for placement in workers)
            if _repels_pods(taint) and not tolerated:
                yield _report_taint(node, taint, have_workers=bool(workers))


def _check_kubelet(node: Node, server: ApiServer) -> Iterator[Finding]:
    """Warn about a kubelet that is too old for the API server; an unreadable version is not compared."""
    try:
        (major, minor), kubelet = parse_version(server.version), parse_version(node.kubelet)
    except ValueError:
        return
    oldest = minor - _KUBELET_SKEW
    if kubelet < (major, oldest):
        yield warn(
            f"has kubelet {node.kubelet}; API server {server.version} supports {major}.{oldest} and newer",
            fix=f"upgrade the node to Kubernetes {major}.{oldest} or newer",
            evidence={"kubelet": node.kubelet, "server": server.version},
            subject=_make_subject(node),
        )


def _report_cordoned(node: Node) -> Finding:
    state = node.labels.get(_UPGRADE, "")
    if state in ("", "unknown", "upgrade-done"):
        return warn("is cordoned", fix=f"kubectl uncordon {node.name}", subject=_make_subject(node))
    return warn(
        f"is cordoned while the GPU Operator upgrades its driver ({state})",
        fix=f"kubectl get node {node.name} -L {_UPGRADE}",
        subject=_make_subject(node),
    )


def _report_taint(node: Node, taint: Taint, *, have_workers: bool) -> Finding:
    if taint.key in _REMOVING:
        message = f"is being removed by {_REMOVING[taint.key]} (taint {_format_taint(taint)})"
        fix = f"kubectl describe node {node.name}"
    elif taint.key.endswith(_STARTING):
        message = f"has the taint {_format_taint(taint)} until the agent in its name is ready"
        fix = f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name}"
    else:
        whose = "no worker of the recipe tolerates" if have_workers else "a worker must tolerate"
        message = f"has the taint {_format_taint(taint)}, which {whose}"
        fix = (
            f"kubectl taint node {node.name} {taint.key}:{taint.effect}-   "
            f"# or add a toleration of {_format_taint(taint)} to the workers"
        )
    return warn(message, fix=fix, subject=_make_subject(node))


def _check_conditions(node: Node) -> Iterator[Finding]:
    conditions = {condition.type: condition for condition in node.conditions}
    ready = conditions.get("Ready")
    fix, subject = f"kubectl describe node {node.name}", _make_subject(node)
    if ready is None:
        yield fail("has not reported a Ready condition yet", fix=fix, subject=subject)
    elif ready.status != "True":
        yield fail(f"is NotReady{_explain(ready)}", fix=fix, subject=subject)
    for name in _PRESSURES:
        condition = conditions.get(name)
        if condition is not None and condition.status == "True":
            yield fail(f"has {name}{_explain(condition)}", fix=fix, subject=subject)


def _explain(condition: Condition) -> str:
    reason = condition.message or condition.reason
    return f": {reason}" if reason else ""


def _repels_pods(taint: Taint) -> bool:
    return (
        taint.effect in ("NoSchedule", "NoExecute")
        and taint.key not in _USUAL_TAINTS
        and not taint.key.startswith(_CONDITION_TAINTS)
    )


def _format_taint(taint: Taint) -> str:
    return f"{taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect}"


@check("gpu.homogeneous", title="GPU nodes of one product have equal hardware and drivers")
def homogeneous(nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """An engine that spans nodes is as slow as its slowest node, and replicas on a node with another GPU,
    another driver, less memory or fewer GPUs behave differently.

    Nodes with the same product label, which includes the MIG layout, and the same instance type are compared
    with their majority, or with the newer driver and the larger memory where there is none. Fewer GPUs than
    another of these nodes has are a warning, however many nodes have as few. Two pools of different GPUs are
    fine; a single node whose product differs from all others is a warning.

    Fix: kubectl get nodes -L nvidia.com/gpu.product,nvidia.com/cuda.driver-version.full,nvidia.com/gpu.count
    """
    judged = [node for node in list_gpu_nodes(nodes, slices) if node.label]
    if len(judged) < 2:
        raise Skip("fewer than two GPU nodes have a product label")
    yield from _report_odd_nodes(judged, "product", {node.name: node.product for node in judged}, alone=True)
    for pool in sorted({_identify_pool(node) for node in judged}):
        peers = [node for node in judged if _identify_pool(node) == pool]
        counts = {n.name: str(n.count) for n in peers if n.count is not None}
        most = max(counts.values(), key=int, default="")
        yield from _report_odd_nodes(peers, "driver", {n.name: n.driver for n in peers if n.driver})
        yield from _report_odd_nodes(peers, "number of GPUs", counts, usual=most)
        memory = _round_memory({n.name: n.memory for n in peers if n.memory})
        yield from _report_odd_nodes(peers, "memory in MiB", memory)


def _identify_pool(node: GpuNode) -> tuple[str, str]:
    """What nodes that should be alike have in common."""
    return node.label, node.node.labels.get("node.kubernetes.io/instance-type", "")


def _report_odd_nodes(
    nodes: list[GpuNode], what: str, values: dict[str, str], *, usual: str = "", alone: bool = False
) -> Iterator[Finding]:
    """Warn about nodes whose value differs from the usual one.

    :param usual: that value; by default the most frequent one, and the larger of equally frequent ones.
    :param alone: warn only about a single node that differs from a majority.
    """
    counts = Counter(values.values())
    if len(counts) < 2:
        return
    usual = usual or max(counts, key=lambda value: (counts[value], _split_numbers(value)))
    many = counts[usual]
    if alone and (len(values) - many != 1 or many < 2):
        return
    for node in nodes:
        value = values.get(node.name, usual)
        if value != usual:
            yield warn(
                f"{what} is {value}; {many} other node{'s have' if many > 1 else ' has'} {usual}",
                fix="kubectl get nodes -L nvidia.com/gpu.product,nvidia.com/cuda.driver-version.full,"
                "nvidia.com/gpu.count,nvidia.com/gpu.memory",
                evidence={what: value, "usual": usual},
                subject=_make_subject(node.node),
            )


def _split_numbers(text: str) -> tuple[int, ...]:
    """The numbers in a version or an amount, for comparison."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", text))


def _round_memory(memory: dict[str, int | None]) -> dict[str, str]:
    """The memory of each node in MiB, where amounts close to the most common one become equal to it."""
    known = {name: amount for name, amount in memory.items() if amount}
    usual = Counter(known.values()).most_common(1)[0][0] if known else 0
    return {
        name: str(usual if abs(amount - usual) <= usual * _MEMORY_TOLERANCE else amount)
        for name, amount in known.items()
    }
