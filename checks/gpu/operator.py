"""Whether what makes GPUs usable runs: the GPU Operator and its operands."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.facts import Node, Nodes, OperatorPods, ResourceSlices
from dynocheck.facts.k8s.autoscaling import Autoscalers
from dynocheck.facts.k8s.gpu import OperatorResource, OperatorResources, find_dra_nodes, list_gpu_nodes
from dynocheck.facts.k8s.workloads import Workload, Workloads

_DEPLOY = "nvidia.com/gpu.deploy."
_OPERATOR = Subject("Deployment", "gpu-operator")
_INSTALL = (
    "helm upgrade --install gpu-operator gpu-operator --repo https://helm.ngc.nvidia.com/nvidia "
    "--namespace gpu-operator --create-namespace"
)
# Without these a pod gets no GPU; without the others it does, and labels, metrics or layouts are missing.
_NEEDED = {
    "driver": "driver",
    "container-toolkit": "container toolkit",
    "device-plugin": "device plugin",
    "operator-validator": "validator",
    "dra-driver": "DRA driver",
}
_BARE = {
    "nvidia-device-plugin": "device plugin",
    "nvidia-gpu-device-plugin": "device plugin",
    "nvidia-device-plugin-ds": "device plugin",
    "nvidia-dra-driver-gpu": "DRA driver",
    "gpu-feature-discovery": "gpu-feature-discovery",
    "dcgm-exporter": "dcgm-exporter",
}
_ENDED = ("Succeeded", "Failed")  # pods of hooks, and those that were evicted, stay behind
_NAME_LABELS = ("app.kubernetes.io/name", "k8s-app", "name", "app")


@check("gpu.operator", title="The GPU Operator is ready, where GPUs come through it")
def operator(
    pods: OperatorPods,
    resources: OperatorResources,
    nodes: Nodes,
    slices: ResourceSlices,
    autoscalers: Autoscalers,
) -> Iterator[Finding]:
    """The operator installs drivers, the container toolkit and the device plugin, and heals them.

    It is found by its labels in any namespace, from Helm or from OLM, and judged by Ready, not by Running,
    and by the state of its ClusterPolicy, GPUCluster and NVIDIADriver. Where GPUs are allocatable without
    it, as on managed clusters or with a bare device plugin, nothing is missing. Where an autoscaler is seen
    and no node has GPUs yet, what its nodes bring is not known.

    Fix: kubectl get pods -A -l app.kubernetes.io/name=gpu-operator;
    kubectl describe clusterpolicies.nvidia.com
    """
    running = [pod for pod in pods if pod.phase not in _ENDED]
    if running:
        say = warn if any(pod.ready for pod in running) else fail
        for pod in running:
            if not pod.ready:
                yield say(
                    f"not Ready: {', '.join(pod.waiting) or pod.phase or 'no status yet'}",
                    fix=f"kubectl logs -n {pod.namespace} {pod.name} --previous"
                    if "CrashLoopBackOff" in pod.waiting
                    else f"kubectl describe pod -n {pod.namespace} {pod.name}",
                    subject=Subject("Pod", pod.name, pod.namespace),
                )
        yield from _check_states(resources)
        return
    if autoscalers and not list_gpu_nodes(nodes, slices):
        raise Skip(f"no node has GPUs yet, and what those bring that {autoscalers} adds is not known")
    managed = [node for node in nodes if any(label.startswith(_DEPLOY) for label in node.labels)]
    if not any(node.gpus for node in nodes) and not find_dra_nodes(slices):
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


def _check_states(resources: OperatorResources) -> Iterator[Finding]:
    policies = [r for r in resources if r.kind in ("ClusterPolicy", "GPUCluster")]
    if not policies:
        yield warn(
            "runs, but no ClusterPolicy or GPUCluster tells it what to install",
            fix="kubectl get clusterpolicies.nvidia.com",
            subject=_OPERATOR,
        )
    for resource in resources:
        subject = Subject(resource.kind, resource.name)
        fix = f"kubectl describe {resource.kind.lower()}.nvidia.com {resource.name}"
        if resource.state == "notReady":
            why = _find_reason(resource)
            yield fail(f"is notReady{': ' + why if why else ''}", fix=fix, subject=subject)
        elif resource.state == "ignored":
            yield warn("is ignored: the operator heeds another one", fix=fix, subject=subject)
        elif resource.state not in ("ready", "disabled"):
            yield warn(f"its state is {resource.state or 'not told yet'}", fix=fix, subject=subject)


def _find_reason(resource: OperatorResource) -> str:
    """What the conditions give as the reason: those that say an error, then those that deny being ready."""
    errors = [c for c in resource.conditions if c.type == "Error" and c.status == "True"]
    denials = [c for c in resource.conditions if c.type == "Ready" and c.status != "True"]
    return next((text for c in (*errors, *denials) if (text := c.message or c.reason)), "")


@check("gpu.operands", title="What makes GPUs usable runs on every GPU node")
def operands(workloads: Workloads, nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """Driver, container toolkit, device plugin and validator, each a DaemonSet: where one of them is not
    ready, pods get no GPU. Without GPU Feature Discovery or the DCGM exporter they do, and labels or metrics
    are missing, which is a warning.

    They are known by the node labels nvidia.com/gpu.deploy.* that they select, whatever their name, or by
    the names of the charts that bring them alone. One that no node asks for is fine: drivers and toolkit
    may come with the node's image.

    Fix: kubectl get pods -A -o wide | grep nvidia
    """
    judged = [(name, each) for each in workloads if (name := _identify_operand(each))]
    if not any(each.desired for _, each in judged):
        raise Skip("no DaemonSet of the GPU Operator, nor of a bare device plugin, wants to run on a node")
    down = sum(_is_down(node.node) for node in list_gpu_nodes(nodes, slices))
    for name, each in judged:
        missing = each.desired - each.ready
        if missing <= 0 and each.observed:
            continue
        needed, app = name in _NEEDED.values(), each.pod_labels.get("app")
        evidence = {"desired": each.desired, "ready": each.ready}
        message = f"the {name} is ready on {each.ready} of {each.desired} nodes"
        if not each.observed:
            message, needed = f"the {name} was changed, and its controller has not seen that yet", False
        elif missing <= down:
            message, needed = f"{message}, as many as are NotReady are missing", False
        yield (fail if needed else warn)(
            message,
            fix=f"kubectl get pods -n {each.namespace} -o wide" + (f" -l app={app}" if app else ""),
            evidence=evidence,
            subject=Subject("DaemonSet", each.name, each.namespace),
        )


def _identify_operand(workload: Workload) -> str:
    """What a DaemonSet brings to GPU nodes, or an empty string."""
    if workload.kind != "DaemonSet":
        return ""
    for label in workload.node_selector:
        if label.startswith(_DEPLOY):
            part = label.removeprefix(_DEPLOY)
            return _NEEDED.get(part, part)
    names = (labels.get(key, "") for key in _NAME_LABELS for labels in (workload.labels, workload.pod_labels))
    return next((_BARE[name] for name in names if name in _BARE), "")


def _is_down(node: Node) -> bool:
    return any(condition.type == "Ready" and condition.status != "True" for condition in node.conditions)
