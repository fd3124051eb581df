"""Ways in which a deployment is broken, each with the cause that must be named first."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.clusters.objects import make_condition, make_object
from tests.diagnosis.situation import (
    GROVE,
    LWS,
    Broken,
    make_crashing,
    make_pod,
    make_refused,
    make_running,
    make_told,
    make_unpulled,
    make_unscheduled,
)
from tests.diagnosis.stage import (
    GRAPH,
    IMAGE,
    NODE,
    POD,
    REPLICAS,
    WORKER,
    Stage,
    ago,
    crashed,
    make_status,
    running,
    unscheduled,
    waiting,
)


def _claimed(stage: Stage, *, exists: bool, message: str, reason: str = "ProvisioningFailed") -> None:
    volume = {"name": "cache", "persistentVolumeClaim": {"claimName": "model-cache"}}
    spec = {"containers": [{"name": "main", "image": IMAGE}], "volumes": [volume]}
    text = (
        "pod has unbound immediate PersistentVolumeClaims"
        if exists
        else 'persistentvolumeclaim "model-cache" not found'
    )
    status = unscheduled(f"0/1 nodes are available: {text}. not found")
    stage.deploy(ready=False, node=None, phase="Pending", spec=spec, status=status)
    if exists:
        stage.claim("model-cache", "Pending", storageClassName="fast")
        stage.tell("PersistentVolumeClaim", "model-cache", reason, message)


def _killed_by(probe: str, stage: Stage) -> None:
    container = {
        "name": "main",
        "image": IMAGE,
        f"{probe}Probe": {"httpGet": {"path": "/live", "port": 9090}, "failureThreshold": 3},
    }
    stage.deploy(ready=False, spec={"containers": [container]}, status=crashed(137))
    stage.log("INFO loading weights 3 of 30\n")
    missed = f"{probe.capitalize()} probe failed: connection refused"
    stage.tell("Pod", POD, "Unhealthy", missed)
    killed = f"Container main failed {probe} probe, will be restarted"
    stage.tell("Pod", POD, "Killing", killed, normal=True)


def _out_of_memory(stage: Stage) -> None:
    container = {"name": "main", "image": IMAGE, "resources": {"limits": {"memory": "16Gi"}}}
    stage.deploy(ready=False, spec={"containers": [container]}, status=crashed(137, "OOMKilled"))
    stage.log("INFO loading weights\n")


def _node_gone(stage: Stage) -> None:
    stage.deploy(ready=False, status=running(900, ready=False))
    told = make_condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    status = {"conditions": [told]}
    stage.cluster.patch_status(make_object("Node", NODE, status=status))


def _evicted(stage: Stage) -> None:
    message = "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 8Gi."
    status = {"phase": "Failed", "reason": "Evicted", "message": message}
    stage.deploy(ready=False, phase="Failed", status=status)


def _gated(stage: Stage) -> None:
    spec = {
        "containers": [{"name": "main", "image": IMAGE}],
        "schedulingGates": [{"name": "grove.io/podgang-pending-creation"}],
    }
    status = unscheduled("Scheduling is blocked due to non-empty scheduling gates", "SchedulingGated")
    stage.deploy(ready=False, node=None, phase="Pending", spec=spec, status=status)


def _pulling(stage: Stage) -> None:
    stage.deploy(ready=False, status=waiting("ContainerCreating"))
    stage.tell("Pod", POD, "Pulling", f"Pulling image {IMAGE}", normal=True)


def _starting(stage: Stage) -> None:
    probe = {"httpGet": {"path": "/live", "port": 9090}, "periodSeconds": 10, "failureThreshold": 360}
    container = {"name": "main", "image": IMAGE, "startupProbe": probe}
    status = running(600, ready=False, started=False)
    stage.deploy(ready=False, spec={"containers": [container]}, status=status)
    stage.log("INFO loading weights 3 of 30\n")


def _slow_init(stage: Stage) -> None:
    init = {"name": "wait", "image": IMAGE, "imageID": IMAGE, "ready": False, "restartCount": 0}
    init["state"] = {"running": {"startedAt": ago(3600)}}
    status = waiting("PodInitializing") | {"initContainerStatuses": [init]}
    both = [{"name": name, "image": IMAGE} for name in ("main", "wait")]
    stage.deploy(ready=False, spec={"containers": both[:1], "initContainers": both[1:]}, status=status)


def _unseen(stage: Stage) -> None:
    stage.cluster.apply(
        make_object(
            "nvidia.com/v1beta1 DynamoGraphDeployment",
            GRAPH,
            stage.namespace,
            spec={"components": [{"name": "worker", "type": "worker"}]},
        )
    )


def _refused_graph(stage: Stage) -> None:
    why = make_condition("Ready", "False", "no_multinode_orchestrator_available", "needs Grove or LWS")
    _unseen(stage)
    status = {"state": "failed", "observedGeneration": 1, "conditions": [why]}
    stage.cluster.patch_status(
        make_object("nvidia.com/v1beta1 DynamoGraphDeployment", GRAPH, stage.namespace, status=status)
    )


def _list_scheduling() -> Iterator[Broken]:
    unplaced = partial(Broken, check="symptom.unscheduled")
    for title, message, says in (
        (
            "no GPU is free",
            "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: no",
            "nvidia.com/gpu",
        ),
        ("a taint", "0/3 nodes are available: 3 node(s) had untolerated taint(s). preemption: no", "taint"),
        (
            "a selector",
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
            "selector",
        ),
        ("no memory", "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3", "memory"),
        (
            "a zone",
            "0/3 nodes are available: 3 node(s) didn't match PersistentVolume's node affinity.",
            "Volume",
        ),
        ("cordoned", "0/1 nodes are available: 1 node(s) were unschedulable.", "unschedulable"),
        (
            "a host port",
            "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
            "ports",
        ),
        (
            "anti-affinity",
            "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.",
            "anti-affinity",
        ),
        ("no device of DRA", "0/2 nodes are available: 2 cannot allocate all claims.", "claims"),
    ):
        yield unplaced(title, make_unscheduled(message), says=says)
    yield unplaced("a gate of Grove", _gated, says="podgang-pending-creation", outcome="warn")


def _list_claims() -> Iterator[Broken]:
    claim = partial(Broken, check="symptom.claim", kind="PersistentVolumeClaim", name="model-cache")
    no_class = 'storageclass.storage.k8s.io "fast" not found'
    yield claim("no such class", partial(_claimed, exists=True, message=no_class), says="fast")
    mode = "StorageClass fast does not allow ReadWriteMany"
    yield claim("no such mode", partial(_claimed, exists=True, message=mode), says="ReadWriteMany")
    yield claim("no such claim", partial(_claimed, exists=False, message=""), says="does not exist")


def _list_creation() -> Iterator[Broken]:
    creation = partial(Broken, check="symptom.creation", kind="ReplicaSet", name=REPLICAS)
    for title, message, says in (
        (
            "a quota",
            'pods "x" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=8',
            "quota gpus",
        ),
        (
            "pod security",
            'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot',
            "restricted",
        ),
        (
            "no service account",
            'error looking up service account a/b: serviceaccount "b" not found',
            "account b",
        ),
        ("a webhook", 'failed calling webhook "m.example.com": connection refused', "m.example.com"),
        ("a limit range", 'pods "x" is forbidden: maximum memory usage per Container is 64Gi', "LimitRange"),
    ):
        yield creation(title, make_refused(message), says=says)


def _list_images() -> Iterator[Broken]:
    pull = partial(Broken, check="symptom.image")
    for title, message, says in (
        ("no such tag", f"failed to resolve reference {IMAGE}: {IMAGE}: not found", "no such image"),
        ("another architecture", "no match for platform in manifest: not found", "architecture"),
        ("no credentials", "failed to authorize: unexpected status: 401 Unauthorized", "credentials"),
        ("too many pulls", "429 Too Many Requests: toomanyrequests: pull rate limit", "rate"),
        ("no way", "dial tcp 10.0.0.9:443: i/o timeout", "reach"),
        ("no trust", "x509: certificate signed by unknown authority", "trust"),
    ):
        yield pull(title, make_unpulled(message), says=says)
    yield pull(
        "never pulled",
        make_unpulled(
            f"Container image {IMAGE} is not present with pull policy of Never", "ErrImageNeverPull"
        ),
        says="may not pull",
    )


def _list_starts() -> Iterator[Broken]:
    start = partial(Broken, check="symptom.start")
    secret = 'MountVolume.SetUp failed for volume "t" : secret "hf-token" not found'
    yield start("no Secret for a volume", make_told("FailedMount", secret), says="Secret hf-token")
    config = 'MountVolume.SetUp failed for volume "t" : configmap "engine" not found'
    yield start("no ConfigMap for a volume", make_told("FailedMount", config), says="ConfigMap engine")
    runtime = 'Failed to create pod sandbox: no runtime for "nvidia" is configured'
    yield start("no runtime", make_told("FailedCreatePodSandBox", runtime), says="handler nvidia")
    attached = 'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) w-0'
    yield start("a volume elsewhere", make_told("FailedAttachVolume", attached), says="another node")
    key = "couldn't find key HF_TOKEN in Secret models/hf-token"
    yield start("no key", make_pod(status=waiting("CreateContainerConfigError", key)), says="no key HF_TOKEN")
    absent = 'secret "hf-token" not found'
    yield start(
        "no Secret for a variable",
        make_pod(status=waiting("CreateContainerConfigError", absent)),
        says="hf-token",
    )
    program = 'failed to create containerd task: exec: "vlm": executable file not found in $PATH'
    yield start("no program", make_pod(status=waiting("RunContainerError", program)), says="vlm")
    yield start("an init container without end", _slow_init, says="init container wait", outcome="warn")


def _list_crashes() -> Iterator[Broken]:
    crash = partial(Broken, check="symptom.crash")
    yield crash("out of memory", _out_of_memory, says="16Gi")
    yield crash("liveness", partial(_killed_by, "liveness"), says="liveness probe failed")
    yield crash("startup", partial(_killed_by, "startup"), says="startup probe failed")
    for title, log, says in (
        (
            "no KV cache",
            "ValueError: No available memory for the cache blocks\nRuntimeError: Executor failed.\n",
            "KV cache",
        ),
        (
            "an old driver",
            "RuntimeError: The NVIDIA driver on your system is too old (found version 12040).\n",
            "driver",
        ),
        (
            "a gated model",
            "GatedRepoError: 403 Client Error. Cannot access gated repo for url https://hub\n",
            "gated",
        ),
        (
            "a wrong flag",
            "usage: vllm serve [-h]\nvllm serve: error: unrecognized arguments: --tensor-paralel-size\n",
            "argument",
        ),
        ("a full disk", "OSError: [Errno 28] No space left on device: '/models/x.incomplete'\n", "full"),
        ("a port in use", "OSError: [Errno 98] Address already in use\n", "port"),
        ("a wrong name", "socket.gaierror: [Errno -2] Name or service not known\n", "not resolved"),
        (
            "its own words",
            "Traceback:\n  File \"a.py\", line 1, in <module>\nKeyError: 'hidden_size'\n",
            "KeyError: 'hidden_size'",
        ),
    ):
        yield crash(title, make_crashing(1, log), says=says)


def _carried(*carriers: str, **pod: Any) -> Callable[[Stage], None]:
    """A pod under other kinds than a Deployment."""

    def make(stage: Stage) -> None:
        owner = stage.carry_by(*carriers)
        stage.cluster.pod(POD, stage.namespace, node=NODE, image=IMAGE, owner=owner, ready=False, **pod)
        stage.log("INFO loading\n")

    return make


def _refused_clique(stage: Stage) -> None:
    stage.carry_by(*GROVE)
    status = {"replicas": 0, "readyReplicas": 0}
    stage.cluster.patch_status(make_object(GROVE[-1], WORKER, stage.namespace, status=status))
    stage.tell("PodClique", WORKER, "PodCreateFailed", 'pods "x" is forbidden: exceeded quota: gpus')


def _failed_download(stage: Stage) -> None:
    """A Job whose only pod has ended with an error, and is not started again."""
    labels = {"batch.kubernetes.io/job-name": "download"}
    container = {"name": "main", "image": IMAGE}
    template = {"metadata": {"labels": labels}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    over = [
        make_condition(kind, "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        for kind in ("FailureTarget", "Failed")
    ]
    status = {"failed": 1, "conditions": over, "startTime": ago(300)}
    job = stage.put("batch/v1 Job", "download", None, spec={"template": template}, status=status)
    ended = make_status({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": ago(40)}}, "Failed")
    spec = {"restartPolicy": "Never", "containers": [container]}
    stage.cluster.pod(POD, stage.namespace, node=NODE, phase="Failed", owner=job, spec=spec, status=ended)
    stage.log("GatedRepoError: 401 Client Error. Cannot access gated repo for url https://hub\n")


def _request(state: str, **condition: Any) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        conditions = [make_condition(**condition)] if condition else []
        kind = "nvidia.com/v1beta1 DynamoGraphDeploymentRequest"
        spec = {"model": "m/x", "image": IMAGE}
        stage.put(kind, GRAPH, None, spec=spec, status={"phase": state, "conditions": conditions})

    return make


def _probed_elsewhere(stage: Stage) -> None:
    probe = {"httpGet": {"path": "/health", "port": 8080}}
    container = {"name": "main", "image": IMAGE, "ports": [{"containerPort": 8000}], "readinessProbe": probe}
    stage.deploy(ready=False, spec={"containers": [container]}, status=running(900, ready=False))
    stage.log("INFO: Application startup complete.\n")
    refused = 'Readiness probe failed: Get "http://10.0.3.4:8080/health": connect: connection refused'
    stage.tell("Pod", POD, "Unhealthy", refused)


def _evicted_and_kept_out(stage: Stage, *, pressure: bool) -> None:
    """A pod that has filled the disk of its node, on which the next one has no place."""
    taint = "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }."
    _evicted(stage)
    path = f"/apis/apps/v1/namespaces/{stage.namespace}/replicasets/{REPLICAS}"
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet"} | stage.cluster.get(path)
    stage.cluster.pod(
        f"{POD}2", stage.namespace, phase="Pending", owner=owner, ready=False, status=unscheduled(taint)
    )
    if pressure:
        conditions = [make_condition("Ready"), make_condition("DiskPressure")]
        stage.cluster.patch_status(make_object("Node", NODE, status={"conditions": conditions}))


def _group(stage: Stage, *, leader: Any, worker: Any) -> None:
    """A group of a LeaderWorkerSet: the leader, and a worker that waits for it."""
    owner = stage.carry_by(*LWS)
    for name, status in ((POD, leader), (f"{POD}-1", worker)):
        placed = "containerStatuses" in status
        stage.cluster.pod(
            name,
            stage.namespace,
            node=NODE if placed else None,
            phase="Running" if placed else "Pending",
            image=IMAGE,
            owner=owner,
            ready=False,
            status=status,
        )
    (stage.logs / f"{stage.namespace}_{POD}.log").write_text("vllm: error: unrecognized arguments: --tp\n")
    (stage.logs / f"{stage.namespace}_{POD}-1.log").write_text("RuntimeError: Failed to connect to GCS.\n")


def _cliques(stage: Stage) -> None:
    """The leader and the worker of a component on two nodes, as Grove carries them out."""
    for name, role, status in ((POD, "ldr", crashed(2)), (f"{POD}-w", "wkr", running(900, ready=False))):
        graph = stage.carry_by("grove.io/v1alpha1 PodCliqueSet")
        labels = {"app": WORKER}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": IMAGE}]},
        }
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        counts = {"replicas": 1, "readyReplicas": 0}
        owner = stage.put(GROVE[-1], f"{WORKER}-{role}", graph, spec=spec, status=counts)
        stage.cluster.pod(
            name, stage.namespace, node=NODE, image=IMAGE, owner=owner, ready=False, status=status
        )
    (stage.logs / f"{stage.namespace}_{POD}.log").write_text("vllm: error: unrecognized arguments: --tp\n")
    (stage.logs / f"{stage.namespace}_{POD}-w.log").write_text("INFO waiting for the leader\n")


def _held_back(stage: Stage, *, finalizer: str = "") -> None:
    """A pod of a StatefulSet that is being deleted, and stays."""
    owner = stage.carry_by("apps/v1 StatefulSet")
    status = running(900, ready=False)
    stage.cluster.pod(POD, stage.namespace, node=NODE, image=IMAGE, owner=owner, ready=False, status=status)
    path = f"/api/v1/namespaces/{stage.namespace}/pods/{POD}"
    if finalizer:
        held = {"metadata": {"finalizers": [finalizer]}}
        stage.cluster.request("PATCH", path, held, content_type="application/merge-patch+json")
    else:
        gone = make_condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
        stage.cluster.patch_status(make_object("Node", NODE, status={"conditions": [gone]}))
    stage.cluster.request("DELETE", path, gracePeriodSeconds="30")


def _without_prefill(stage: Stage) -> None:
    """A disaggregated graph whose prefill workers are scaled to 0."""
    stage.deploy(ready=True, status=running(900, ready=True))
    path = f"/apis/nvidia.com/v1beta1/namespaces/{stage.namespace}/dynamographdeployments/{GRAPH}"
    graph = {"apiVersion": "nvidia.com/v1beta1", "kind": "DynamoGraphDeployment"} | stage.cluster.get(path)
    for role, replicas in (("prefill", 0), ("decode", 1)):
        labels = {"app": role, "nvidia.com/dynamo-sub-component-type": role}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": IMAGE}]},
        }
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": role}}, "template": template}
        status = {"replicas": replicas, "readyReplicas": replicas, "observedGeneration": 9}
        stage.put("apps/v1 Deployment", role, graph, labels=labels, spec=spec, status=status)


def _routed(kind: str, condition: str = "", reason: str = "") -> Callable[[Stage], None]:
    """A graph that serves, behind a route or a pool in whose status a gateway has written this."""

    def make(stage: Stage) -> None:
        stage.deploy(ready=True, status=running(900, ready=True), labels={"app": WORKER})
        ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
        specs: dict[str, Any] = {
            "gateway.networking.k8s.io/v1 HTTPRoute": {
                "parentRefs": [{"name": "edge"}],
                "rules": [{"backendRefs": [{"name": "chat", "port": 8000}]}],
            },
            "inference.networking.k8s.io/v1 InferencePool": {
                "selector": {"matchLabels": {"app": WORKER}},
                "targetPorts": [{"number": 8000}],
                "endpointPickerRef": {"name": "epp", "port": {"number": 9002}},
            },
        }
        parent: dict[str, Any] = {
            "parentRef": ref,
            "conditions": [make_condition(condition, "False", reason)],
        }
        if kind.endswith("HTTPRoute"):
            parent["controllerName"] = "example.com/gateway"
        status = {"parents": [parent] if condition else []}
        stage.put(kind, "chat", None, spec=specs[kind], status=status)

    return make


def _list_links() -> Iterator[Broken]:
    """A graph that serves and that no request reaches, as a link before it is broken."""
    link = partial(Broken, check="symptom.route", name="chat", objects=1)
    for kind, condition, reason in (
        ("gateway.networking.k8s.io/v1 HTTPRoute", "Accepted", "NotAllowedByListeners"),
        ("gateway.networking.k8s.io/v1 HTTPRoute", "ResolvedRefs", "BackendNotFound"),
        ("inference.networking.k8s.io/v1 InferencePool", "ResolvedRefs", "InvalidExtensionRef"),
    ):
        yield link(f"a link: {reason}", _routed(kind, condition, reason), kind=kind.split()[1], says=reason)
    route = "gateway.networking.k8s.io/v1 HTTPRoute"
    yield link("a link: no gateway", _routed(route), kind="HTTPRoute", says="there is no Gateway")


def _list_chains() -> Iterator[Broken]:
    """Causes with consequences in other objects than their own."""
    yield Broken("a probe on another port", _probed_elsewhere, "symptom.not-ready", says="declares 8000")
    for pressure in (False, True):
        title = f"a full disk that keeps the next pod out{', and a node that says so' if pressure else ''}"
        yield Broken(title, partial(_evicted_and_kept_out, pressure=pressure), "symptom.ended")
    waits = running(900, ready=False)
    crash = partial(Broken, check="symptom.crash", says="arguments")
    yield crash("a leader that crashes", partial(_group, leader=crashed(2), worker=waits))
    yield crash("a leader that crashes under Grove", _cliques)
    pull = waiting("ErrImagePull", f"{IMAGE}: not found")
    yield Broken("a leader without image", partial(_group, leader=pull, worker=waits), "symptom.image")
    full = unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    yield Broken(
        "a worker without a GPU",
        partial(_group, leader=waits, worker=full),
        "symptom.unscheduled",
        name=f"{POD}-1",
    )
    held = partial(_held_back, finalizer="acme.io/detach")
    yield Broken("a finalizer", held, "symptom.ended", says="acme.io/detach", outcome="warn")
    yield Broken("a StatefulSet on a dead node", _held_back, "symptom.node", "Node", NODE)
    graph = partial(Broken, kind="DynamoGraphDeployment", name=GRAPH, objects=1)
    yield graph("no prefill", _without_prefill, "symptom.graph", says="prefill", outcome="warn")


def _list_others() -> Iterator[Broken]:
    """Graphs that Grove or LeaderWorkerSet carries out, downloads, and requests."""
    crash = partial(Broken, check="symptom.crash")
    out = crashed(137, "OOMKilled")
    yield crash("out of memory under Grove", _carried(*GROVE, status=out), says="memory")
    yield crash("out of memory under LeaderWorkerSet", _carried(*LWS, status=out), says="memory")
    yield crash("a download that is not allowed", _failed_download, says="gated", objects=2)
    placed = {
        "node": None,
        "phase": "Pending",
        "status": unscheduled("0/1 nodes are available: 1 Too many pods."),
    }
    gang = partial(_place_gang, placed)
    yield Broken("a gang without a node", gang, "symptom.unscheduled", says="Too many pods")
    yield Broken(
        "a clique over quota",
        _refused_clique,
        "symptom.creation",
        "PodClique",
        WORKER,
        "quota gpus",
        objects=2,
    )
    request = partial(
        Broken, check="symptom.graph", kind="DynamoGraphDeploymentRequest", name=GRAPH, objects=1
    )
    failed: dict[str, Any] = {
        "kind": "Succeeded",
        "status": "False",
        "reason": "ProfilingFailed",
        "message": "no GPU found",
    }
    yield request("a failed request", _request("Failed", **failed), says="no GPU found")
    yield request("a request that is profiled", _request("Profiling"), says="Profiling", outcome="warn")


def _place_gang(pod: dict[str, Any], stage: Stage) -> None:
    owner = stage.carry_by(*GROVE)
    stage.cluster.pod(POD, stage.namespace, owner=owner, ready=False, **pod)


def _list_graphs() -> Iterator[Broken]:
    """Graphs of which there is nothing else yet."""
    graph = partial(Broken, check="symptom.graph", kind="DynamoGraphDeployment", name=GRAPH, objects=1)
    yield graph("no operator", _unseen, says="no operator")
    yield graph("no orchestrator", _refused_graph, says="needs Grove")


BROKEN = [
    *_list_scheduling(),
    *_list_claims(),
    *_list_creation(),
    *_list_images(),
    *_list_starts(),
    *_list_crashes(),
    *_list_others(),
    *_list_chains(),
    *_list_links(),
    *_list_graphs(),
    Broken("a node that is gone", _node_gone, "symptom.node", "Node", NODE, "Kubelet stopped"),
    Broken("evicted", _evicted, "symptom.ended", says="ephemeral-storage"),
    Broken("an error while it runs", make_running("NIXL compatibility hash mismatch\n"), "symptom.not-ready"),
    Broken("never ready", make_running("INFO waiting for etcd\n"), "symptom.not-ready", says="waiting for"),
    Broken("an image on its way", _pulling, "symptom.start", says="pulled", outcome="warn"),
    Broken("weights on their way", _starting, "symptom.not-ready", says="60 min", outcome="warn"),
]
