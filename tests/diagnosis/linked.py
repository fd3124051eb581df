"""Requests, models, gangs and pools of which one stage or link is broken, by its name."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.clusters.objects import make_condition
from tests.diagnosis.situation import GROVE, Broken
from tests.diagnosis.stage import (
    GRAPH,
    IMAGE,
    NODE,
    POD,
    WORKER,
    Stage,
    crashed,
    running,
    unscheduled,
)

REQUEST = "nvidia.com/v1beta1 DynamoGraphDeploymentRequest"
MODEL = "nvidia.com/v1alpha1 DynamoModel"
HPA = "autoscaling/v2 HorizontalPodAutoscaler"
GATEWAY, ROUTE = (f"gateway.networking.k8s.io/v1 {kind}" for kind in ("Gateway", "HTTPRoute"))
POOL = "inference.networking.k8s.io/v1 InferencePool"


def _request(phase: str, **stages: str) -> Callable[[Stage], Any]:
    """A request with the reasons of the stages that have failed."""

    def make(stage: Stage) -> Any:
        conditions = [make_condition(name, "False", reason, "see events") for name, reason in stages.items()]
        conditions.append(make_condition("Succeeded", "False", next(iter(stages.values()), phase)))
        spec = {"model": "m/x", "image": IMAGE}
        return stage.put(REQUEST, GRAPH, None, spec=spec, status={"phase": phase, "conditions": conditions})

    return make


def _deployed_by_request(stage: Stage) -> None:
    """A request whose graph has a worker that crashes."""
    _request("Deploying")(stage)
    stage.deploy(ready=False, status=crashed(1))
    stage.log("ValueError: No available memory for the cache blocks\n")
    path = f"/apis/nvidia.com/v1beta1/namespaces/{stage.namespace}/dynamographdeployments/{GRAPH}"
    labels = {"metadata": {"labels": {"dgdr.nvidia.com/name": GRAPH}}}
    stage.cluster.request("PATCH", path, labels, content_type="application/merge-patch+json")


def _model(stage: Stage, *, serves: bool, services: bool = False) -> None:
    """A model for workers that serve, or do not."""
    stage.deploy(ready=serves, status=running(900, ready=True) if serves else crashed(1))
    stage.log("ValueError: No available memory for the cache blocks\n")
    conditions = [
        make_condition("ServicesFound", str(services), "ServicesFound" if services else "NoServicesFound"),
        make_condition("EndpointsReady", "False", "NotReady" if services else "NoEndpoints", "0 endpoints"),
    ]
    status = {"conditions": conditions, "readyEndpoints": 0, "totalEndpoints": 2 if services else 0}
    spec = {
        "baseModelName": "m/x",
        "modelName": "m/x-lora",
        "modelType": "lora",
        "source": {"uri": "hf://m/y"},
    }
    stage.put(MODEL, "lora", None, spec=spec, status=status)


def _queued(reason: str, message: str) -> Callable[[Stage], None]:
    """A pod of which KAI says only in its PodGroup why it is not scheduled."""

    def make(stage: Stage) -> None:
        told: dict[str, Any] = {"type": "UnschedulableOnNodePool", "status": "True", "nodePool": "default"}
        told |= {"reason": reason, "message": "", "reasons": [{"reason": reason, "message": message}]}
        told |= {"transitionID": "1", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        kind = "scheduling.run.ai/v2alpha2 PodGroup"
        spec = {"queue": "inference", "minMember": 1}
        stage.put(kind, "pg-chat", None, spec=spec, status={"schedulingConditions": [told]})
        spec = {"schedulerName": "kai-scheduler", "containers": [{"name": "main", "image": IMAGE}]}
        status = {"phase": "Pending", "conditions": []}
        stage.deploy(ready=False, node=None, phase="Pending", spec=spec, status=status)
        url = f"/api/v1/namespaces/{stage.namespace}/pods/{POD}"
        note = {"metadata": {"annotations": {"pod-group-name": "pg-chat"}}}
        stage.cluster.request("PATCH", url, note, content_type="application/merge-patch+json")
        stage.tell("Pod", POD, "Unschedulable", "Unable to schedule pod")

    return make


def _gang(stage: Stage, *, condition: str, reason: str, ended: bool = False) -> None:
    """A set of cliques of which Grove says that its gang does not run."""
    owner = stage.carry_by(*GROVE)
    told = make_condition(condition, "True", reason, "expected at least: 2, found: 1")
    about = {"apiVersion": "grove.io/v1alpha1", "metadata": {"name": WORKER, "namespace": stage.namespace}}
    for kind in ("PodCliqueSet", "PodClique"):
        stage.cluster.patch_status(about | {"kind": kind, "status": {"conditions": [told]}})
    status = unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    stage.cluster.pod(POD, stage.namespace, phase="Pending", owner=owner, ready=False, status=status)
    if ended:
        reason = "PodCliqueSetReplicaDeleteSuccessful"
        stage.tell("PodCliqueSet", WORKER, reason, "deleted PodCliqueSet replica 0", normal=True)


def _pool(
    stage: Stage,
    *,
    service: bool = True,
    picker: Any = None,
    selects: str = WORKER,
    ready: bool = True,
    port: int = 8000,
) -> None:
    """A graph behind a pool with its endpoint picker; `picker` is the status of the picker's pod."""
    container = {"name": "main", "image": IMAGE, "ports": [{"containerPort": 8000}]}
    status = running(900, ready=True) if ready else crashed(1)
    stage.deploy(ready=ready, spec={"containers": [container]}, status=status, labels={"app": WORKER})
    stage.log("ValueError: No available memory for the cache blocks\n")
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": selects}}, "targetPorts": [{"number": port}]}
    spec["endpointPickerRef"] = {"name": "epp", "port": {"number": 9002}}
    stage.put(POOL, "chat", None, spec=spec)
    if service:
        ports = {"ports": [{"port": 9002}], "selector": {"app": "epp"}}
        stage.put("v1 Service", "epp", None, spec=ports)
    if picker != {}:
        status = picker or running(900, ready=True)
        ready = picker is None
        labels = {"app": "epp"}
        stage.cluster.pod("epp-0", stage.namespace, node=NODE, ready=ready, labels=labels, status=status)
        (stage.logs / f"{stage.namespace}_epp-0.log").write_text(
            'failed to list *v1.Pod: pods is forbidden: User "system:serviceaccount:a:b" cannot list\n'
        )


def _list_requests() -> Iterator[Broken]:
    request = partial(
        Broken, check="symptom.graph", kind="DynamoGraphDeploymentRequest", name=GRAPH, objects=1
    )
    for stage, reason, says in (
        ("Validation", "ValidationFailed", "at Validation"),
        ("Profiling", "SweepingDecodeFailed", "SweepingDecodeFailed"),
        ("Profiling", "ImagePullFailed", "kubectl logs -l dgdr.nvidia.com/name=chat"),
        ("SpecGenerated", "AIConfiguratorFailed", "at SpecGenerated"),
        ("DeploymentReady", "DeploymentDeleted", "kubectl get dgd"),
    ):
        yield request(f"a request: {reason}", _request("Failed", **{stage: reason}), says=says)
    memory = partial(Broken, check="symptom.crash", says="KV cache")
    yield memory("a graph of a request", _deployed_by_request, objects=4)
    model = partial(Broken, check="symptom.graph", kind="DynamoModel", name="lora", objects=1)
    yield model("a model without workers of its name", partial(_model, serves=True), says="baseModelName")
    make = partial(_model, serves=True, services=True)
    yield model("a model whose endpoints are not ready", make, says="at EndpointsReady")
    yield memory("a model that waits for its workers", partial(_model, serves=False), objects=4)


def _list_gangs() -> Iterator[Broken]:
    place = partial(Broken, check="symptom.unscheduled")
    quota = "Workload requested 8 GPUs, but inference quota is 4 GPUs, while 4 GPUs are already allocated"
    yield place("over the limit of a queue", _queued("OverLimit", quota), says="kubectl get queue inference")
    missing = _queued("QueueDoesNotExist", "Queue 'inference' does not exist")
    yield place("no such queue", missing, says="QueueDoesNotExist")
    yield place(
        "a gang below its minimum",
        partial(_gang, condition="MinAvailableBreached", reason="InsufficientReadyPods"),
        says="nvidia.com/gpu",
        objects=4,
    )
    yield place(
        "a gang that Grove has deleted",
        partial(_gang, condition="GangTerminationInProgress", reason="GangTerminationActive", ended=True),
        says="nvidia.com/gpu",
        objects=4,
    )


def _list_pools() -> Iterator[Broken]:
    pool = partial(Broken, check="symptom.route", kind="InferencePool", name="chat", objects=1)
    yield pool("no picker's Service", partial(_pool, service=False), says="Service epp, does not exist")
    yield pool("a picker without pods", partial(_pool, picker={}), says="selects no pod")
    yield pool("a pool without pods", partial(_pool, selects="other"), says="matches no pod")
    source = "kubernetes-sigs/gateway-api-inference-extension#2562"
    yield pool("another port", partial(_pool, port=8300), says="8300", source=source)
    crash = partial(Broken, check="symptom.crash")
    make = partial(_pool, picker=crashed(1))
    yield crash("a picker that crashes", make, name="epp-0", says="service account", objects=2)
    make = partial(_pool, ready=False)
    yield crash("workers of a pool that crash", make, says="KV cache", objects=4)


def _autoscaled(stage: Stage, *, ready: bool = True, reason: str = "FailedGetPodsMetric") -> None:
    """A Deployment with an autoscaler that does not get its metric."""
    stage.deploy(ready=ready, status=running(900, ready=True) if ready else crashed(1))
    stage.log("ValueError: No available memory for the cache blocks\n")
    condition = make_condition("ScalingActive", "False", reason, "unable to get metric queue: no metrics")
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": WORKER}}
    status = {"desiredReplicas": 1, "currentMetrics": None, "conditions": [condition]}
    stage.put(HPA, "chat", None, spec=spec | {"maxReplicas": 4}, status=status)


def _gateway(stage: Stage, **conditions: str) -> None:
    """A Gateway, perhaps in trouble, and a route by it that nobody has looked at."""
    stage.deploy(ready=True, status=running(900, ready=True))
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    told = [make_condition(name, "False", reason) for name, reason in conditions.items()]
    spec = {"gatewayClassName": "edge", "listeners": [listener]}
    stage.put(GATEWAY, "edge", None, spec=spec, status={"conditions": told or [make_condition("Accepted")]})
    rules = [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]
    stage.put(ROUTE, "chat", None, spec={"parentRefs": [{"name": "edge"}], "rules": rules})


def _list_links() -> Iterator[Broken]:
    scaler = partial(Broken, check="symptom.autoscaler", kind="HorizontalPodAutoscaler", name="chat")
    yield scaler("no metric", _autoscaled, says="custom.metrics", outcome="warn", objects=1)
    crash = partial(Broken, check="symptom.crash", says="KV cache", objects=4)
    yield crash("an autoscaler of pods that crash", partial(_autoscaled, ready=False))
    gateway = partial(Broken, check="symptom.route", kind="Gateway", name="edge", objects=2)
    yield gateway("no address", partial(_gateway, Programmed="AddressNotAssigned"), says="load balancer")
    route = partial(Broken, check="symptom.route", kind="HTTPRoute", name="chat", objects=1)
    yield route("a route that nobody looks at", _gateway, says="no gateway", outcome="warn")


LINKED = [*_list_requests(), *_list_gangs(), *_list_pools(), *_list_links()]
