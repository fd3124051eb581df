"""gpu.operator and gpu.operands: the GPU Operator, and the DaemonSets that make GPUs usable."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.checks.gpu._daemon_sets import explain_absence, explain_refusal
from dynocheck.facts import (
    DRA_DRIVER,
    Autoscalers,
    Namespaces,
    Node,
    Nodes,
    OperatorPods,
    OperatorResource,
    OperatorResources,
    Pod,
    ResourceSlices,
    Workload,
    Workloads,
    find_dra_nodes,
    list_gpu_nodes,
)

_ENFORCE = "pod-security.kubernetes.io/enforce"
_DEPLOY = "nvidia.com/gpu.deploy."
_OPERATOR = Subject("Deployment", "gpu-operator")
_INSTALL = (
    "helm upgrade --install gpu-operator gpu-operator --repo https://helm.ngc.nvidia.com/nvidia "
    "--namespace gpu-operator --create-namespace"
)
# Operands without which pods get no GPU, by the end of their node label.
_NEEDED = {
    "driver": "driver",
    "container-toolkit": "container toolkit",
    "device-plugin": "device plugin",
    "operator-validator": "validator",
    "dra-driver": "DRA driver",
}
_BARE = {  # operands that other charts install, by a name label
    "nvidia-device-plugin": "device plugin",
    "nvidia-gpu-device-plugin": "device plugin",
    "nvidia-device-plugin-ds": "device plugin",
    "nvidia-dra-driver-gpu": "DRA driver",
    "dra-driver-nvidia-gpu": "DRA driver",
    "gpu-feature-discovery": "gpu-feature-discovery",
    "dcgm-exporter": "dcgm-exporter",
}
_ENDED = ("Succeeded", "Failed")  # phases of finished hooks and evicted pods
_NAME_LABELS = ("app.kubernetes.io/name", "k8s-app", "name", "app")


def _is_of_operands(cause: Finding, effect: Finding) -> bool:
    """The operator's resource, or the DaemonSet that makes GPUs allocatable, is not ready for this reason."""
    is_effect = effect.evidence.get("state") == "notReady" or cause.subject == effect.subject
    return cause.outcome == effect.outcome == "fail" and is_effect


def _waits_for_nodes(cause: Finding, effect: Finding) -> bool:
    """A DaemonSet that makes GPUs allocatable wants no pod, since no node shows a GPU."""
    return cause.outcome == effect.outcome == "fail" and effect.evidence.get("desired") == 0


@check(
    "gpu.operator",
    title="The GPU Operator is ready where GPUs need it",
    explained_by={"gpu.operands": _is_of_operands, "gpu.nodes-present": _waits_for_nodes},
)
def operator(
    pods: OperatorPods,
    resources: OperatorResources,
    nodes: Nodes,
    slices: ResourceSlices,
    autoscalers: Autoscalers,
    workloads: Workloads | None = None,
) -> Iterator[Finding]:
    """The operator installs and repairs drivers, the container toolkit and the device plugin.

    It is found by its labels in any namespace, installed by Helm or by OLM, and judged by its pods' readiness
    and by the state of ClusterPolicy, GPUCluster and NVIDIADriver. It is not required where GPUs are
    allocatable without it, as on managed clusters or with only a device plugin. With an autoscaler and no
    GPU node yet the check is skipped: what new nodes bring is unknown.

    Fix: kubectl get pods -A -l app.kubernetes.io/name=gpu-operator;
    kubectl describe clusterpolicies.nvidia.com
    """
    running = [pod for pod in pods if pod.phase not in _ENDED]
    if running:
        yield from _check_pods(running)
        yield from _check_states(resources)
        return
    if controllers := [w for w in workloads or () if w.kind == "Deployment" and _is_operator(w)]:
        yield from _report_empty(controllers, usable=_is_usable(nodes, slices))
        return
    if autoscalers and not list_gpu_nodes(nodes, slices):
        raise Skip(f"no GPU node yet; nodes that {autoscalers} adds may not need the GPU Operator")
    managed = [node for node in nodes if _is_managed(node)]
    usable = _is_usable(nodes, slices)
    if not usable and any(each.driver == DRA_DRIVER for each in slices):
        raise Skip("the DRA driver runs without the GPU Operator; gpu.dra judges what it offers")
    if not usable:
        if (offering := _find_offering(workloads)) is not None:
            yield _report_idle(offering, nodes)
            return
        yield fail(
            "No GPU Operator pod found, and no GPU is allocatable",
            fix=_INSTALL,
            evidence={"ready": 0},
            subject=_OPERATOR,
        )
    elif managed:
        yield warn(
            f"No GPU Operator pod found, but {len(managed)} nodes have its labels: "
            "what it installed still works but is not repaired or upgraded",
            fix=_INSTALL,
            evidence={"nodes": [node.name for node in managed]},
            subject=_OPERATOR,
        )
    else:
        raise Skip("GPUs are allocatable without the GPU Operator")


def _is_usable(nodes: Nodes, slices: ResourceSlices) -> bool:
    """Whether any GPU can be allocated."""
    return any(node.gpus for node in nodes) or bool(find_dra_nodes(slices))


def _is_operator(workload: Workload) -> bool:
    """Whether it is the operator's, by the labels of its chart, of OLM's bundle or of old charts."""
    return "gpu-operator" in (
        workload.pod_labels.get("app.kubernetes.io/name"),
        workload.pod_labels.get("app"),
    )


def _report_empty(controllers: list[Workload], *, usable: bool) -> Iterator[Finding]:
    """Report Deployments of the operator that have no pod; GPUs that were made usable stay so."""
    for workload in controllers:
        reason = workload.refusal or f"{workload.desired} wanted"
        yield (warn if usable else fail)(
            f"has no pod: {reason}",
            fix=f"kubectl describe deployment -n {workload.namespace} {workload.name}",
            evidence={"desired": workload.desired, "ready": workload.ready},
            subject=Subject(workload.kind, workload.name, workload.namespace),
        )


def _find_offering(workloads: Workloads | None) -> Workload | None:
    """A device plugin or DRA driver, which makes GPUs allocatable without the operator."""
    offering = ("device plugin", "DRA driver")
    return next((each for each in workloads or () if _identify_operand(each) in offering), None)


def _report_idle(offering: Workload, nodes: Nodes) -> Finding:
    message = "is installed without the GPU Operator, and no GPU is allocatable"
    fix = f"kubectl logs -n {offering.namespace} {offering.kind.lower()}/{offering.name} --all-containers"
    evidence: dict[str, object] = {"ready": offering.ready, "offered": 0}
    if offering.observed and not offering.desired:
        why = explain_absence(offering, nodes)
        message += ": it wants a pod on no node" + (f", since {why}" if why else "")
        fix = f"kubectl get daemonset -n {offering.namespace} {offering.name} -o yaml   # its nodes"
        evidence["desired"] = 0
    return fail(
        message,
        fix=fix,
        evidence=evidence,
        subject=Subject(offering.kind, offering.name, offering.namespace),
    )


def _is_managed(node: Node) -> bool:
    """Whether the operator runs an operand on the node; other labels opt out of it."""
    return any(key.startswith(_DEPLOY) and value == "true" for key, value in node.labels.items())


def _check_pods(pods: list[Pod]) -> Iterator[Finding]:
    """Report operator pods that are not ready: a failure unless another one is."""
    report = warn if any(pod.ready and not pod.terminating for pod in pods) else fail
    for pod in pods:
        if not pod.ready or pod.terminating:
            crashed = "CrashLoopBackOff" in pod.waiting
            yield report(
                _describe_unready(pod),
                fix=f"kubectl logs -n {pod.namespace} {pod.name} --previous"
                if crashed
                else f"kubectl describe pod -n {pod.namespace} {pod.name}",
                subject=Subject("Pod", pod.name, pod.namespace),
            )


def _describe_unready(pod: Pod) -> str:
    if pod.terminating:
        return "is Terminating"
    return f"not Ready: {', '.join(pod.waiting) or pod.phase or 'no status yet'}"


def _check_states(resources: OperatorResources) -> Iterator[Finding]:
    if not any(resource.kind in ("ClusterPolicy", "GPUCluster") for resource in resources):
        yield warn(
            "runs without a ClusterPolicy or GPUCluster, so it installs nothing",
            fix="kubectl get clusterpolicies.nvidia.com",
            subject=_OPERATOR,
        )
    for resource in resources:
        subject = Subject(resource.kind, resource.name)
        fix = f"kubectl describe {resource.kind.lower()}.nvidia.com {resource.name}"
        if resource.state == "notReady":
            reason = _find_reason(resource)
            yield fail(
                f"is notReady{': ' + reason if reason else ''}",
                fix=fix,
                evidence={"state": resource.state},
                subject=subject,
            )
        elif resource.state == "ignored":
            yield warn("is ignored: the operator uses another one", fix=fix, subject=subject)
        elif resource.state not in ("ready", "disabled"):
            yield warn(f"state is {resource.state or 'not reported yet'}", fix=fix, subject=subject)


def _find_reason(resource: OperatorResource) -> str:
    """The first message or reason of its conditions Error=True, then of Ready other than True; else empty."""
    errors = [c for c in resource.conditions if c.type == "Error" and c.status == "True"]
    unready = [c for c in resource.conditions if c.type == "Ready" and c.status != "True"]
    return next((text for c in (*errors, *unready) if (text := c.message or c.reason)), "")


def _is_in_namespace(cause: Finding, effect: Finding) -> bool:
    """The DaemonSet is in the namespace that rejects its pods."""
    rejecting = cause.subject if cause.subject and cause.subject.kind == "Namespace" else None
    return bool(rejecting and effect.subject and effect.subject.namespace == rejecting.name)


@check(
    "gpu.operands",
    title="Driver, device plugin and other GPU DaemonSets are ready",
    explained_by={"gpu.operands": _is_in_namespace},
)
def operands(
    workloads: Workloads, nodes: Nodes, slices: ResourceSlices, namespaces: Namespaces | None
) -> Iterator[Finding]:
    """Without a ready driver, container toolkit, device plugin or validator pods get no GPU. Without GPU
    Feature Discovery or the DCGM exporter they do, but labels or metrics are missing, which is a warning.

    These DaemonSets are recognized by the node labels nvidia.com/gpu.deploy.* that they select, or by the
    names of charts that install them alone. One that no node needs is fine: driver and toolkit may be part of
    the node's image. They need privileged pods: a namespace that enforces another Pod Security level, and in
    which their DaemonSets get no pod, is the cause.

    Fix: kubectl get pods -A -o wide | grep nvidia
    """
    judged = [(operand, w) for w in workloads if (operand := _identify_operand(w))]
    if not any(workload.desired for _, workload in judged):
        raise Skip("no DaemonSet of the GPU Operator or of a device plugin is scheduled on a node")
    yield from _report_pod_security([workload for _, workload in judged], namespaces)
    down = sum(gpu.node.is_down for gpu in list_gpu_nodes(nodes, slices))
    for operand, workload in judged:
        missing = workload.desired - workload.ready
        if missing <= 0 and workload.observed:
            continue
        needed, app = operand in _NEEDED.values(), workload.pod_labels.get("app")
        fix = f"kubectl get pods -n {workload.namespace} -o wide" + (f" -l app={app}" if app else "")
        message = f"{operand} is ready on {workload.ready} of {workload.desired} nodes"
        if workload.desired and workload.pods == 0:
            message += f": it has no pod{explain_refusal(workload, nodes)}"
            fix = f"kubectl describe daemonset -n {workload.namespace} {workload.name}"
        if not workload.observed:
            message, needed = f"{operand} was just changed; its status is out of date", False
        elif missing <= down:
            message, needed = f"{message}; {down} nodes are NotReady", False
        yield (fail if needed else warn)(
            message,
            fix=fix,
            evidence={"operand": operand, "desired": workload.desired, "ready": workload.ready},
            subject=Subject("DaemonSet", workload.name, workload.namespace),
        )


def _report_pod_security(workloads: list[Workload], namespaces: Namespaces | None) -> Iterator[Finding]:
    """Report namespaces whose Pod Security level keeps DaemonSets from having any pod."""
    empty = dict.fromkeys(w.namespace for w in workloads if w.desired and w.pods == 0)
    for name in empty:
        level = namespaces.find_labels(name).get(_ENFORCE, "") if namespaces is not None else ""
        if level in ("baseline", "restricted"):
            yield fail(
                f"enforces Pod Security level {level}, which rejects the privileged pods of GPU DaemonSets",
                fix=f"kubectl label namespace {name} {_ENFORCE}=privileged --overwrite",
                evidence={"ready": 0},
                subject=Subject("Namespace", name),
            )


def _identify_operand(workload: Workload) -> str:
    """The operand that a DaemonSet runs on GPU nodes, or an empty string."""
    if workload.kind != "DaemonSet":
        return ""
    for label in workload.node_selector:
        if label.startswith(_DEPLOY):
            operand = label.removeprefix(_DEPLOY)
            return _NEEDED.get(operand, operand)
    names = (labels.get(key, "") for key in _NAME_LABELS for labels in (workload.labels, workload.pod_labels))
    return next((_BARE[name] for name in names if name in _BARE), "")
