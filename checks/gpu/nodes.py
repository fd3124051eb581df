"""Whether there are GPUs, and whether pods can be given them."""

from collections import Counter
from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, unknown, warn
from dynocheck.facts import Node, Nodes, Recipes, ResourceSlices, Taint
from dynocheck.facts.k8s.autoscaling import Autoscalers
from dynocheck.facts.k8s.gpu import GpuNode, find_dra_nodes, has_gpus, list_gpu_nodes
from dynocheck.facts.k8s.scheduling_constraints import list_placements

_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_USUAL_TAINTS = ("nvidia.com/gpu",)
_CONDITION_TAINTS = "node.kubernetes.io/"  # taints that Kubernetes sets for conditions and for cordoning
_LEAVING = {  # taints of nodes that are taken away
    "karpenter.sh/disrupted": "Karpenter",
    "karpenter.sh/disruption": "Karpenter",
    "ToBeDeletedByClusterAutoscaler": "the Cluster Autoscaler",
}
_STARTING = ("-not-ready", "/uninitialized", "/unregistered")  # ends of taints that go once somebody is ready
_UPGRADE = "nvidia.com/gpu-driver-upgrade-state"
_OTHER_VENDORS = (
    "amd.com/gpu",
    "gpu.intel.com/",
    "habana.ai/gaudi",
)  # what the device plugins of other makers offer
_MEMORY_TOLERANCE = 0.05  # drivers differ in how much they keep for themselves


def _make_subject(name: str) -> Subject:
    return Subject("Node", name)


@check("gpu.nodes-present", title="The cluster has nodes with NVIDIA GPUs")
def nodes_present(nodes: Nodes, slices: ResourceSlices, autoscalers: Autoscalers) -> Iterator[Finding]:
    """A node counts when it is labelled, when its kubelet reports GPUs or MIG slices, or when the DRA driver
    offers some: managed clusters have the second without the first.

    Where an autoscaler is seen, none is a warning: pools of GPU nodes may be scaled to nothing until a pod
    asks for them. GPUs of other makers, for which Dynamo has images too, are seen and not judged.

    Fix: add GPU nodes, or install what makes theirs known (the GPU Operator or a device plugin).
    """
    if list_gpu_nodes(nodes, slices):
        return
    offered = {name for node in nodes for name, amount in node.allocatable.items() if amount != "0"}
    if others := sorted(name for name in offered if name.startswith(_OTHER_VENDORS)):
        raise Skip(f"the nodes offer GPUs of another maker: {', '.join(others)}")
    seen = f"none of {len(nodes)} nodes has a GPU label, GPUs to allocate or GPUs offered through DRA"
    fix = "kubectl get nodes -L nvidia.com/gpu.present,nvidia.com/gpu.product"
    evidence = {"nodes": [node.name for node in nodes]}
    if autoscalers:
        yield warn(f"{seen}; {autoscalers} may add some when a pod asks", fix=fix, evidence=evidence)
    elif autoscalers.unseen:
        said = f"{seen}, and whether an autoscaler may add some was not seen: {autoscalers.unseen}"
        yield unknown(said, fix=fix, evidence=evidence)
    else:
        yield fail(seen, fix=fix, evidence=evidence)


@check("gpu.allocatable", title="Every GPU node has GPUs that pods can be given")
def allocatable(nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """The label says that the hardware is there; pods get what the device plugin or DRA driver offers.

    A node with the label and nothing to allocate looks like a GPU node to everything but the scheduler.

    Fix: kubectl get pods -A -o wide --field-selector spec.nodeName=NODE | grep -e device-plugin -e driver
    """
    claimable = find_dra_nodes(slices)
    judged = [node for node in nodes if has_gpus(node) and node.name not in claimable]
    if not judged:
        raise Skip("GPUs are offered through DRA" if claimable else "no node says that it has GPUs")
    for node in judged:
        usable, there = node.gpu_resources, node.gpu_capacity
        amounts = {"allocatable": usable, "capacity": there}
        if node.gpus == 0:
            yield fail(
                "has GPUs by its labels or capacity, and none to allocate",
                fix=f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name}",
                evidence=amounts,
                subject=_make_subject(node.name),
            )
        # A resource with none left is what a node offered before its MIG layout changed.
        elif short := [name for name, amount in usable.items() if 0 < amount < there.get(name, 0)]:
            yield warn(
                f"{usable[short[0]]} of {there[short[0]]} {short[0]} are allocatable: the rest is unhealthy",
                fix=f"kubectl describe node {node.name}",
                evidence=amounts,
                subject=_make_subject(node.name),
            )


@check("gpu.nodes-ready", title="Every GPU node takes pods")
def nodes_ready(nodes: Nodes, slices: ResourceSlices, recipes: Recipes | None) -> Iterator[Finding]:
    """A node that is NotReady, under pressure or cordoned gets no pods, however many GPUs it offers, and
    a taint keeps off every pod that does not tolerate it.

    The taint nvidia.com/gpu is usual and left alone: clusters add its toleration by themselves or recipes
    carry it. So is any taint that a recipe at hand tolerates. A cordoned node is a warning, since somebody
    meant it, and so is one that an autoscaler takes away or that waits for an agent to be ready.

    Fix: kubectl describe node NODE
    """
    judged = list_gpu_nodes(nodes, slices)
    if not judged:
        raise Skip("no node says that it has GPUs")
    workers = [placed for _, component, placed in list_placements(recipes or ()) if component.gpus != 0]
    for each in judged:
        node = each.node
        yield from _check_conditions(node)
        if node.unschedulable:
            yield _report_cordoned(node)
        for taint in node.taints:
            if _keeps_off(taint) and not any(placed.tolerates(taint) for placed in workers):
                whose = "no worker of the recipe tolerates" if workers else "a worker must tolerate"
                yield _report_taint(node, taint, whose)


def _report_cordoned(node: Node) -> Finding:
    state = node.labels.get(_UPGRADE, "")
    if state in ("", "unknown", "upgrade-done"):
        return warn("is cordoned", fix=f"kubectl uncordon {node.name}", subject=_make_subject(node.name))
    return warn(
        f"is cordoned, for the GPU Operator upgrades its driver ({state})",
        fix=f"kubectl get node {node.name} -L {_UPGRADE}",
        subject=_make_subject(node.name),
    )


def _report_taint(node: Node, taint: Taint, whose: str) -> Finding:
    if taint.key in _LEAVING:
        seen = f"is being taken away by {_LEAVING[taint.key]} (taint {_format_taint(taint)})"
        fix = f"kubectl describe node {node.name}"
    elif taint.key.endswith(_STARTING):
        seen = f"has the taint {_format_taint(taint)}, until the agent that it is named after is ready there"
        fix = f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name}"
    else:
        seen = f"has the taint {_format_taint(taint)}, which {whose}"
        fix = (
            f"add a toleration of {_format_taint(taint)} to the workers, or: "
            f"kubectl taint node {node.name} {taint.key}:{taint.effect}-"
        )
    return warn(seen, fix=fix, subject=_make_subject(node.name))


def _check_conditions(node: Node) -> Iterator[Finding]:
    conditions = {condition.type: condition for condition in node.conditions}
    ready = conditions.get("Ready")
    fix = f"kubectl describe node {node.name}"
    if ready is None:
        yield fail(
            "its kubelet has not reported yet whether it is Ready", fix=fix, subject=_make_subject(node.name)
        )
    elif ready.status != "True":
        why = ready.message or ready.reason
        yield fail(f"is NotReady{': ' + why if why else ''}", fix=fix, subject=_make_subject(node.name))
    for name in _PRESSURES:
        found = conditions.get(name)
        if found is not None and found.status == "True":
            why = found.message or found.reason
            yield fail(f"has {name}{': ' + why if why else ''}", fix=fix, subject=_make_subject(node.name))


def _keeps_off(taint: Taint) -> bool:
    return (
        taint.effect in ("NoSchedule", "NoExecute")
        and taint.key not in _USUAL_TAINTS
        and not taint.key.startswith(_CONDITION_TAINTS)
    )


def _format_taint(taint: Taint) -> str:
    return f"{taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect}"


@check("gpu.homogeneous", title="GPU nodes of a kind are alike")
def homogeneous(nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """Engines that span nodes run at the pace of the slowest, and a replica on the odd node behaves
    otherwise than its sisters: another GPU, another driver, less memory, fewer GPUs.

    Nodes of one product are compared with each other, MIG layouts apart, and the few differ from the many.
    Two pools of different GPUs are no fault; a single node that differs from all others is pointed at.

    Fix: kubectl get nodes -L nvidia.com/gpu.product,nvidia.com/cuda.driver-version.full,nvidia.com/gpu.count
    """
    judged = [node for node in list_gpu_nodes(nodes, slices) if node.label]
    if len(judged) < 2:
        raise Skip("fewer than two GPU nodes tell their product")
    yield from _report_odd_nodes(judged, "product", {node.name: node.product for node in judged}, alone=True)
    for label in sorted({node.label for node in judged}):
        kind = [node for node in judged if node.label == label]
        yield from _report_odd_nodes(kind, "driver", {n.name: n.driver for n in kind if n.driver})
        yield from _report_odd_nodes(
            kind, "number of GPUs", {n.name: str(n.count) for n in kind if n.count is not None}
        )
        yield from _report_odd_nodes(
            kind, "memory in MiB", _round_memory({n.name: n.memory for n in kind if n.memory})
        )


def _report_odd_nodes(
    nodes: list[GpuNode], what: str, values: dict[str, str], *, alone: bool = False
) -> Iterator[Finding]:
    """The nodes that have another value than most have."""
    counts = Counter(values.values()).most_common()
    if len(counts) < 2 or counts[0][1] == counts[1][1]:
        return
    usual, many = counts[0]
    if alone and len(values) - many != 1:
        return
    for node in nodes:
        value = values.get(node.name, usual)
        if value != usual:
            yield warn(
                f"its {what} is {value}, {many} other node{'s have' if many > 1 else ' has'} {usual}",
                fix="kubectl get nodes -L nvidia.com/gpu.product,nvidia.com/cuda.driver-version.full,"
                "nvidia.com/gpu.count,nvidia.com/gpu.memory",
                evidence={what: value, "usual": usual},
                subject=_make_subject(node.name),
            )


def _round_memory(memory: dict[str, int | None]) -> dict[str, str]:
    """Amounts that differ by little made equal."""
    known = {name: amount for name, amount in memory.items() if amount}
    usual = Counter(known.values()).most_common(1)[0][0] if known else 0
    return {
        name: str(usual if abs(amount - usual) <= usual * _MEMORY_TOLERANCE else amount)
        for name, amount in known.items()
    }
