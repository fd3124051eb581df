"""Broken clusters that people asked about in public, and each of them repaired.

Objects are our own, made after what the thread shows. `dynocheck preflight --strict` names the root of each
one; once it is repaired, nothing is left to tell.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynocheck.cli import main
from tests import clusters
from tests.clusters import gaie, gpu, platform, rdma, storage
from tests.clusters.objects import make_condition, make_namespace, make_object, make_workload
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.situations import Change, applied, deleted, steps
from tests.situations.platform import LWS, VOLCANO, grove, leader_worker_sets, pod_webhook

IMAGE = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.4.0"
LAYERS, HOSTNAME = clusters.LAYERS, clusters.HOSTNAME
SHARED_DEVICE = "rdma/rdma_shared_device_a"
VOLUMES, CLAIMS = "/api/v1/persistentvolumes", "/api/v1/namespaces/default/persistentvolumeclaims"
DEVICE_PLUGIN = "nvidia-device-plugin-daemonset"
FILESTORE, EBS, EFS = "filestore.csi.storage.gke.io", "ebs.csi.aws.com", "efs.csi.aws.com"


def graph(*, nodes: int = 1, replicas: int = 1, cached: bool = False, device: str = "rdma/ib") -> Object:
    """A graph whose worker takes all GPUs of its nodes."""
    main: Object = {
        "name": "main",
        "image": IMAGE,
        "command": ["python3", "-m", "dynamo.vllm"],
        "args": ["--model", "Qwen/Qwen3-0.6B", "--tensor-parallel-size", str(8 * nodes)],
        "resources": {"limits": {"nvidia.com/gpu": "8", "memory": "64Gi", device: "1"}},
    }
    pod: Object = {"containers": [main]}
    if cached:
        main["volumeMounts"] = [{"name": "models", "mountPath": "/models"}]
        pod["volumes"] = [{"name": "models", "persistentVolumeClaim": {"claimName": "model-cache"}}]
    worker = {"name": "Worker", "type": "worker", "replicas": replicas, "podTemplate": {"spec": pod}}
    worker |= {"multinode": {"nodeCount": nodes}} if nodes > 1 else {}
    frontend = {"name": "main", "image": IMAGE}
    components = [
        {
            "name": "Frontend",
            "type": "frontend",
            "replicas": 1,
            "podTemplate": {"spec": {"containers": [frontend]}},
        },
        worker,
    ]
    spec = {"backendFramework": "vllm", "components": components}
    return make_object("nvidia.com/v1beta1 DynamoGraphDeployment", "qwen", spec=spec)


ONE, CACHED = graph(), graph(cached=True)


def volume(node: str) -> Object:
    """The cache's volume in a folder of a node."""
    terms = [{"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [node]}]}]
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "100Gi"},
        "claimRef": {"namespace": "default", "name": "model-cache"},
        "hostPath": {"path": "/var/snap/microk8s/common/default-storage"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
        "storageClassName": "microk8s-hostpath",
    }
    return make_object("PersistentVolume", f"pvc-{node or 'nowhere'}", spec=spec, status={"phase": "Bound"})


def cache(provisioner: str, name: str, **fields: Any) -> Change:
    """The cache's claim, of a class of its own."""
    made = storage.storage_class(name, provisioner, default=False, binding="WaitForFirstConsumer")
    return applied(made, storage.claim("model-cache", storage_class=name, **fields))


def waiting(provisioner: str, name: str, mode: str) -> Change:
    """A claim of an Immediate class, of which the controller says for whom it waits."""

    def change(cluster: ControlPlane) -> None:
        cluster.apply(storage.storage_class(name, provisioner, default=False))
        (made,) = cluster.apply(storage.claim("model-cache", storage_class=name, mode=mode, phase="Pending"))
        told = f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or "
        told += "manually by the system administrator."
        cluster.apply(storage.claim_event(made, "ExternalProvisioning", told, kind="Normal"))

    return change


def driver(name: str) -> Change:
    """A CSI driver on every GPU node."""
    nodes = [storage.csi_node(node, storage.DRIVER, name) for node in clusters.GPU_NODES]
    return applied(storage.csi_driver(name), *nodes)


def gone(path: str, thing: Object) -> Change:
    """An object that is deleted and that nothing protects any more."""

    def change(cluster: ControlPlane) -> None:
        cluster.delete(thing)
        platform.merge(cluster, path, {"metadata": {"finalizers": None}})

    return change


def offered(count: str) -> Change:
    """Shared RDMA devices that every GPU node reports."""
    reports = {SHARED_DEVICE: count, "rdma/ib": "8"}
    return steps(*(partial(rdma.devices, node=node, capacity=reports) for node in clusters.GPU_NODES))


def resolved(reason: str, message: str, *, namespace: str = gaie.SERVING) -> Object:
    """The route, whose controller does not find its backend."""
    made = gaie.route(resolved="False")
    made["metadata"]["namespace"] = namespace
    made["status"]["parents"][0]["conditions"][1] |= {"reason": reason, "message": message}
    return made


REFUSED = "insufficient quota to match these scopes: [{PriorityClass In [system-node-critical]}]"
NO_REPLICAS = make_workload(
    "Deployment", "gpu-operator", "gpu-operator", labels=clusters.OPERATOR, desired=1, ready=0
)
NO_REPLICAS["status"]["conditions"].append(
    make_condition("ReplicaFailure", "True", "FailedCreate", REFUSED)
    | {"lastUpdateTime": "2026-01-01T00:00:00Z"}
)
OPERATOR_POD = make_object("Pod", "gpu-operator-7d9f", "gpu-operator")


def operator_pod(cluster: ControlPlane) -> None:
    cluster.pod("gpu-operator-7d9f", "gpu-operator", node="gpu-1", labels=clusters.OPERATOR)


@dataclass(frozen=True)
class Thread:
    """What a thread shows: the cluster broken, the check and the object that must be named, the repair."""

    url: str
    broken: Change
    root: str
    subject: str | None
    repair: Change
    recipe: Object | list[Object] | None = None
    says: str = ""
    repaired_recipe: Object | list[Object] | None = None  # where the recipe is part of the repair

    def __str__(self) -> str:
        return self.url.removeprefix("https://github.com/")


GROVE_HOOK = pod_webhook("podcliquesets", "grove.io", "v1alpha1")
LWS_HOOK = pod_webhook("leaderworkersets", "leaderworkerset.x-k8s.io")
ANSWERED = applied(make_namespace("policy-system"), platform.endpoints("policy-webhook", "policy-system"))
THREADS = [
    Thread(
        "https://github.com/envoyproxy/ai-gateway/issues/2230",
        steps(
            deleted(gaie.route()),
            applied(
                resolved("BackendNotFound", "InferencePool default/qwen-pool not found", namespace="default")
            ),
        ),
        "gaie.route",
        "qwen-route",
        steps(deleted(resolved("", "", namespace="default")), applied(gaie.route())),
    ),
    Thread(
        "https://github.com/kubernetes-sigs/gateway-api-inference-extension/issues/1344",
        applied(resolved("InvalidKind", "referencing unsupported backendRef: kind InferencePool")),
        "gaie.route",
        "qwen-route",
        applied(gaie.route()),
    ),
    Thread(
        "https://github.com/modelplaneai/modelplane/issues/221",
        waiting(FILESTORE, "modelplane-rwx", "ReadWriteMany"),
        "storage.csi-driver",
        "modelplane-rwx",
        steps(driver(FILESTORE), applied(storage.claim("model-cache", storage_class="modelplane-rwx"))),
        CACHED,
    ),
    Thread(
        "https://github.com/awslabs/cdk-eks-blueprints/issues/561",
        waiting("kubernetes.io/aws-ebs", "gp2", "ReadWriteOnce"),
        "storage.csi-driver",
        "gp2",
        steps(driver(EBS), applied(storage.claim("model-cache", storage_class="gp2", mode="ReadWriteOnce"))),
        CACHED,
    ),
    Thread(
        "https://github.com/kubernetes-sigs/aws-efs-csi-driver/issues/122",
        steps(applied(storage.csi_driver(EFS)), cache(EFS, "efs-sc")),
        "storage.csi-driver",
        "gpu-1",
        driver(EFS),
        CACHED,
    ),
    Thread(
        "https://github.com/defilantech/LLMKube/issues/728",
        steps(
            cache("microk8s.io/hostpath", "microk8s-hostpath", mode="ReadWriteOnce"), applied(volume("gpu-1"))
        ),
        "capacity.fits",
        None,
        steps(
            gone(f"{CLAIMS}/model-cache", storage.claim("model-cache")),
            gone(f"{VOLUMES}/pvc-gpu-1", volume("gpu-1")),
            applied(storage.claim("model-cache")),
        ),
        graph(replicas=2, cached=True),
    ),
    Thread(
        "https://github.com/defilantech/LLMKube/issues/1509",
        steps(cache("microk8s.io/hostpath", "microk8s-hostpath", mode="ReadWriteOnce"), applied(volume(""))),
        "storage.claim-reach",
        "pvc-nowhere",
        steps(gone(f"{VOLUMES}/pvc-nowhere", volume("")), applied(volume("gpu-2"))),
        CACHED,
    ),
    Thread(
        "https://github.com/Mellanox/network-operator/issues/438",
        offered("0"),
        "rdma.required-by-recipe",
        None,
        offered("63"),
        graph(device=SHARED_DEVICE),
    ),
    Thread(
        "https://github.com/ai-dynamo/dynamo/pull/12712",
        steps(grove, applied(GROVE_HOOK)),
        "platform.multinode",
        "policy-webhook",
        ANSWERED,
        ONE,
    ),
    Thread(
        "https://github.com/kubernetes-sigs/lws/issues/318",
        steps(
            leader_worker_sets,
            applied(
                VOLCANO,
                make_workload("Deployment", "lws-controller-manager", "lws-system", ready=0),
                LWS_HOOK,
            ),
        ),
        "platform.multinode",
        "lws-controller-manager",
        steps(applied(LWS), ANSWERED),
        graph(nodes=2),
    ),
    Thread(
        "https://github.com/NVIDIA/gpu-operator/issues/163",
        applied(gpu.operand(DEVICE_PLUGIN, ready=2)),
        "gpu.operands",
        DEVICE_PLUGIN,
        applied(gpu.operand(DEVICE_PLUGIN)),
    ),
    Thread(
        "https://github.com/NVIDIA/aicr/issues/915",
        steps(deleted(OPERATOR_POD), applied(NO_REPLICAS)),
        "gpu.operator",
        "gpu-operator",
        steps(deleted(NO_REPLICAS), operator_pod),
        says="insufficient quota",
    ),
]


def judge(cluster: ControlPlane, folder: Path, recipe: Object | list[Object] | None) -> tuple[int, list[Any]]:
    """The exit of `preflight --strict`, and what it did not find in order."""
    report = folder / "report.json"
    given = ["--strict", "-q", "-o", f"json={report}"]
    if recipe:
        place = folder / "recipe/vllm/agg/deploy.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(yaml.safe_dump_all(recipe if isinstance(recipe, list) else [recipe]))
        given += ["--recipe", str(folder / "recipe")]
    code = main(["preflight", "--kubeconfig", str(cluster.kubeconfig()), *given])
    verdicts = json.loads(report.read_text())["verdicts"]
    return code, [v for v in verdicts if v["outcome"] not in ("pass", "skip")]


@pytest.mark.parametrize("thread", THREADS, ids=str)
def test_a_cluster_of_a_public_thread(quiet_cluster: ControlPlane, tmp_path: Path, thread: Thread) -> None:
    judge_broken_and_repaired(quiet_cluster, tmp_path, thread)


def judge_broken_and_repaired(cluster: ControlPlane, folder: Path, thread: Thread) -> None:
    """The broken cluster has the thread's root alone, and the repaired one nothing to tell."""
    thread.broken(cluster)
    code, told = judge(cluster, folder, thread.recipe)
    roots = [(v["check"], f) for v in told for f in v["findings"] if not f.get("explained_by")]
    assert code == 1
    assert {check for check, _ in roots} == {thread.root}, told
    assert not thread.subject or thread.subject in [f["subject"]["name"] for _, f in roots], told
    assert any(thread.says in f["message"] for _, f in roots), told
    thread.repair(cluster)
    code, told = judge(cluster, folder, thread.repaired_recipe or thread.recipe)
    assert (code, [f["message"] for v in told for f in v["findings"]]) == (0, [])
