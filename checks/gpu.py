"""Whether there are GPUs, and whether pods can be given them."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.facts import Node, Nodes, OperatorPods, ResourceSlices

_DRA_DRIVER = "gpu.nvidia.com"
_WORKLOAD = "nvidia.com/gpu.workload.config"
_VM_WORKLOADS = {"vm-passthrough", "vm-vgpu"}
_DEPLOY = "nvidia.com/gpu.deploy."
_OPERATOR = Subject("Deployment", "gpu-operator")
_INSTALL = (
    "helm upgrade --install gpu-operator gpu-operator --repo https://helm.ngc.nvidia.com/nvidia "
    "--namespace gpu-operator --create-namespace"
)


def _by_claim(slices: ResourceSlices) -> set[str]:
    """The nodes on which the DRA driver offers GPUs."""
    return {s.node for s in slices if s.driver == _DRA_DRIVER and s.devices and s.node is not None}


def _has_gpus(node: Node) -> bool:
    """Whether the node says that it has GPUs for containers, usable or not."""
    return (node.labelled_gpu or bool(node.gpu_resources)) and not _for_vms(node)


def _for_vms(node: Node) -> bool:
    return node.labels.get(_WORKLOAD) in _VM_WORKLOADS


@check("gpu.nodes-present", title="The cluster has nodes with NVIDIA GPUs")
def nodes_present(nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """A node counts when it is labelled, when its kubelet reports GPUs or MIG slices, or when the DRA driver
    offers some: managed clusters have the second without the first.

    Fix: add GPU nodes, or install what makes theirs known (the GPU Operator or a device plugin).
    """
    claimable = _by_claim(slices)
    if not any(_has_gpus(node) or node.name in claimable for node in nodes):
        yield fail(
            f"none of {len(nodes)} nodes has a GPU label, GPUs to allocate or GPUs offered through DRA",
            fix="kubectl get nodes -L nvidia.com/gpu.present,nvidia.com/gpu.product",
            evidence={"nodes": [node.name for node in nodes]},
        )


@check("gpu.allocatable", title="Every GPU node has GPUs that pods can be given")
def allocatable(nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """The label says that the hardware is there; pods get what the device plugin or DRA driver offers.

    A node with the label and nothing to allocate looks like a GPU node to everything but the scheduler.

    Fix: kubectl get pods -A -o wide --field-selector spec.nodeName=NODE | grep -e device-plugin -e driver
    """
    claimable = _by_claim(slices)
    judged = [node for node in nodes if _has_gpus(node) and node.name not in claimable]
    if not judged:
        raise Skip("GPUs are offered through DRA" if claimable else "no node says that it has GPUs")
    for node in judged:
        subject = Subject("Node", node.name)
        usable, there = node.gpu_resources, node.gpu_capacity
        amounts = {"allocatable": usable, "capacity": there}
        if node.gpus == 0:
            yield fail(
                "has GPUs by its labels or capacity, and none to allocate",
                fix=f"kubectl get pods -A -o wide --field-selector spec.nodeName={node.name}",
                evidence=amounts,
                subject=subject,
            )
        # A resource with none left is what a node offered before its MIG layout changed.
        elif short := [name for name, amount in usable.items() if 0 < amount < there.get(name, 0)]:
            yield warn(
                f"{usable[short[0]]} of {there[short[0]]} {short[0]} are allocatable: the rest is unhealthy",
                fix=f"kubectl describe node {node.name}",
                evidence=amounts,
                subject=subject,
            )


@check("gpu.operator", title="The GPU Operator is ready, where GPUs come through it")
def operator(pods: OperatorPods, nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """The operator installs drivers, the container toolkit and the device plugin, and heals them.

    It is found by its labels in any namespace, from Helm or from OLM, and judged by Ready, not by Running.
    Where GPUs are allocatable without it, as on managed clusters or with a bare device plugin, nothing is
    missing.

    Fix: kubectl get pods -A -l app.kubernetes.io/name=gpu-operator
    """
    if len(pods):
        for pod in pods:
            if pod.phase != "Succeeded" and not pod.ready:
                yield fail(
                    f"not Ready: {', '.join(pod.waiting) or pod.phase or 'no status yet'}",
                    fix=f"kubectl logs -n {pod.namespace} {pod.name} --previous",
                    subject=Subject("Pod", pod.name, pod.namespace),
                )
        return
    managed = [node for node in nodes if any(label.startswith(_DEPLOY) for label in node.labels)]
    if not any(node.gpus for node in nodes) and not _by_claim(slices):
        yield fail(
            "no pod of it in any namespace, and no GPU is allocatable without it",
            fix=_INSTALL,
            subject=_OPERATOR,
        )
    elif managed:
        yield warn(
            f"{len(managed)} nodes carry its labels, but none of its pods is there: "
            "what it installed works and is no longer looked after",
            fix=_INSTALL,
            evidence={"nodes": [node.name for node in managed]},
            subject=_OPERATOR,
        )
    else:
        raise Skip("GPUs are allocatable without the GPU Operator")
