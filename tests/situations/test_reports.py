"""More broken clusters of public reports, judged as those of `test_threads` are."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import clusters
from tests.clusters import gaie, gpu, platform, rdma, storage
from tests.clusters.objects import make_condition, make_namespace, make_object, make_workload
from tests.controlplane.api import Object
from tests.controlplane.definitions import crds_dir
from tests.controlplane.server import ControlPlane
from tests.situations import applied, steps
from tests.situations.platform import grove, grove_operator
from tests.situations.test_threads import LAYERS, Thread, graph, judge_broken_and_repaired

EBS, LVM = "ebs.csi.aws.com", "local.csi.openebs.io"
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
TOLERATED = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
DRA, DRA_NAMESPACE = "gpu.nvidia.com", "dra-driver-nvidia-gpu"
DRA_PLUGIN = "dra-driver-nvidia-gpu-kubelet-plugin"
NO_QUOTA = (
    "insufficient quota to match these scopes: "
    "[{PriorityClass In [system-node-critical system-cluster-critical]}]"
)
ETCD, NATS = "dynamo-platform-etcd", "dynamo-platform-nats"
DOMAIN = "dynamo-system.svc.cluster.local"
SYSTEM_CLASSES = ["system-node-critical", "system-cluster-critical"]


def worker_of(made: Object) -> Object:
    """The pod's spec of a graph's worker."""
    spec: Object = made["spec"]["components"][1]["podTemplate"]["spec"]
    return spec


def one_gpu(**pod: Any) -> Object:
    """A graph whose worker takes one GPU, and nothing of RDMA."""
    made = graph()
    spec = worker_of(made)
    spec["containers"][0] |= {
        "args": ["--model", "Qwen/Qwen3-0.6B"],
        "resources": {"limits": {"nvidia.com/gpu": "1", "memory": "64Gi"}},
    }
    spec |= pod
    return made


def mounting(claim: str) -> Object:
    made = one_gpu(volumes=[{"name": "models", "persistentVolumeClaim": {"claimName": claim}}])
    worker_of(made)["containers"][0]["volumeMounts"] = [{"name": "models", "mountPath": "/models"}]
    return made


def no_operator(cluster: ControlPlane) -> None:
    """Nodes whose GPUs the GPU Operator does not run."""
    cluster.delete(make_object("Pod", "gpu-operator-7d9f", "gpu-operator"))
    cluster.delete(gpu.cluster_policy())
    for name in gpu.OPERANDS:
        if name != "nvidia-dcgm-exporter":
            cluster.delete(gpu.operand(name))


# A device plugin that waits for a label of Node Feature Discovery, whose worker does not tolerate the taint.
PCI = "feature.node.kubernetes.io/pci-10de.present"
OF_OPERATOR = ("nvidia.com/gpu.deploy.", "nvidia.com/mig.config")
FEATURES = {key: value for key, value in clusters.GPU_LABELS.items() if not key.startswith(OF_OPERATOR)}
TYPE = {"node.kubernetes.io/instance-type": "p5.48xlarge"}


def plugin(desired: int) -> Object:
    """The DaemonSet of the device plugin's chart."""
    labels = {"app.kubernetes.io/name": "nvidia-device-plugin", "app.kubernetes.io/instance": "nvdp"}
    image = "nvcr.io/nvidia/k8s-device-plugin:v0.19.1"
    made = make_workload("DaemonSet", "nvdp", "kube-system", image, labels, desired=desired)
    wanted = [
        {"matchExpressions": [{"key": key, "operator": "In", "values": ["true"]}]}
        for key in (PCI, "nvidia.com/gpu.present")
    ]
    pod = made["spec"]["template"]["spec"]
    pod |= {"tolerations": [TOLERATED], "nodeSelector": {}}
    pod["affinity"] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": wanted}}
    }
    return made


def feature_worker(operator: str, **value: str) -> Object:
    labels = {"app.kubernetes.io/name": "node-feature-discovery", "role": "worker"}
    image = "registry.k8s.io/nfd/node-feature-discovery:v0.18.3"
    name = "nvdp-node-feature-discovery-worker"
    made = make_workload("DaemonSet", name, "kube-system", image, labels, desired=1)
    made["spec"]["template"]["spec"] |= {
        "tolerations": [{"key": "nvidia.com/gpu", "operator": operator, "effect": "NoSchedule", **value}]
    }
    return made


def tainted(cluster: ControlPlane, *, labels: dict[str, str], gpus: int) -> None:
    cluster.node("cpu-1", labels=LAYERS)
    for name in clusters.GPU_NODES:
        cluster.delete(clusters.node(name))
        cluster.node(name, gpus=gpus, labels={**TYPE, **LAYERS, **labels}, taints=[GPU_TAINT])


# A DRA driver whose pods a quota of priorities refuses.
def dra_driver(current: int) -> Object:
    labels = {"app.kubernetes.io/name": DRA_NAMESPACE}
    image = "registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu:v0.4.0"
    made = make_workload("DaemonSet", DRA_PLUGIN, DRA_NAMESPACE, image, labels, desired=3, ready=current)
    made["status"] |= {"currentNumberScheduled": current, "updatedNumberScheduled": current}
    made["spec"]["template"]["spec"] |= {
        "priorityClassName": "system-node-critical",
        "nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-h200-141gb"},
        "tolerations": [TOLERATED],
    }
    return made


DEVICE_CLASS = make_object(
    "resource.k8s.io/v1 DeviceClass",
    DRA,
    spec={"selectors": [{"cel": {"expression": f"device.driver == '{DRA}'"}}]},
)
CLAIMS = make_object(
    "resource.k8s.io/v1 ResourceClaimTemplate",
    "gpu",
    "default",
    spec={"spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": DRA}}]}}},
)


def by_claims() -> Object:
    made = one_gpu(
        resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "gpu"}], tolerations=[TOLERATED]
    )
    resources = worker_of(made)["containers"][0]["resources"]
    resources |= {"limits": {"memory": "64Gi"}, "claims": [{"name": "gpu"}]}
    return made


def refused_driver(cluster: ControlPlane) -> None:
    no_operator(cluster)
    accelerator = {
        "cloud.google.com/gke-accelerator": "nvidia-h200-141gb",
        "gke-no-default-nvidia-gpu-device-plugin": "true",
    }
    tainted(cluster, labels=accelerator, gpus=0)
    (made,) = cluster.apply(make_namespace(DRA_NAMESPACE), DEVICE_CLASS, dra_driver(0))[2:]
    about = {key: made["metadata"][key] for key in ("name", "namespace", "uid")}
    cluster.apply(
        make_object(
            "Event",
            f"{DRA_PLUGIN}.failedcreate",
            DRA_NAMESPACE,
            involvedObject={"kind": "DaemonSet", "apiVersion": "apps/v1", **about},
            type="Warning",
            reason="FailedCreate",
            count=18,
            message=f"Error creating: {NO_QUOTA}",
            lastTimestamp="2026-11-01T10:00:00Z",
        )
    )


def offers(cluster: ControlPlane) -> None:
    """The driver runs and offers eight GPUs of each node."""
    cluster.delete(make_object("Event", f"{DRA_PLUGIN}.failedcreate", DRA_NAMESPACE))
    scope = [{"scopeName": "PriorityClass", "operator": "In", "values": SYSTEM_CLASSES}]
    quota = {"hard": {"pods": "100"}, "scopeSelector": {"matchExpressions": scope}}
    cluster.apply(make_object("ResourceQuota", "critical", DRA_NAMESPACE, spec=quota), dra_driver(3))
    for name in clusters.GPU_NODES:
        devices = [
            {
                "name": f"gpu-{n}",
                "attributes": {
                    "type": {"string": "gpu"},
                    "productName": {"string": "NVIDIA H200"},
                    "architecture": {"string": "Hopper"},
                    "cudaComputeCapability": {"version": "9.0.0"},
                    "driverVersion": {"version": "580.95.5"},
                    "cudaDriverVersion": {"version": "13.0.0"},
                },
                "capacity": {"memory": {"value": "143771Mi"}},
            }
            for n in range(8)
        ]
        pool = {"name": name, "generation": 1, "resourceSliceCount": 1}
        spec = {"driver": DRA, "nodeName": name, "pool": pool, "devices": devices}
        cluster.apply(make_object("resource.k8s.io/v1 ResourceSlice", name, spec=spec))


# Stateful parts of the platform that do not come up.
def store_labels(name: str) -> dict[str, str]:
    part = name.rpartition("-")[2]
    return {"app.kubernetes.io/name": part, "app.kubernetes.io/instance": "dynamo-platform"}


def store(name: str, image: str, *, ready: int) -> Object:
    labels = store_labels(name)
    container: Object = {"name": "main", "image": image}
    spec: Object = {
        "replicas": 1,
        "serviceName": name,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    status = {"replicas": 1, "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": 1}
    return make_object(
        "apps/v1 StatefulSet", name, platform.NAMESPACE, labels=labels, spec=spec, status=status
    )


def service(name: str, port: int) -> Object:
    labels = store_labels(name)
    spec = {"selector": labels, "ports": [{"name": "client", "port": port}]}
    return make_object("Service", name, platform.NAMESPACE, labels=labels, spec=spec)


def store_pod(cluster: ControlPlane, of: Object, **fields: Any) -> None:
    made = {"labels": of["spec"]["selector"]["matchLabels"], **fields}
    cluster.pod(f"{of['metadata']['name']}-0", platform.NAMESPACE, **made)


ETCD_IMAGE = "docker.io/bitnami/etcd:3.5.18-debian-12-r5"
WITH_ETCD = (
    platform.CONFIG
    + f"infrastructure: {{etcdAddress: 'http://{ETCD}.{DOMAIN}:2379'}}\ndiscovery: {{backend: etcd}}\n"
)
WITH_NATS = platform.CONFIG + f"infrastructure: {{natsAddress: 'nats://{NATS}.{DOMAIN}:4222'}}\n"


def image_gone(cluster: ControlPlane) -> None:
    of = store(ETCD, ETCD_IMAGE, ready=0)
    cluster.apply(platform.config(WITH_ETCD), of, service(ETCD, 2379))
    cluster.apply(platform.endpoints(ETCD, platform.NAMESPACE, ready=0))
    told = f'Back-off pulling image "{ETCD_IMAGE}": not found'
    state = {"waiting": {"reason": "ImagePullBackOff", "message": told}}
    container = {"name": "main", "image": ETCD_IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    status = {"containerStatuses": [{**container, "state": state}]}
    store_pod(cluster, of, node="gpu-1", phase="Pending", ready=False, image=ETCD_IMAGE, status=status)


def image_there(cluster: ControlPlane) -> None:
    image = ETCD_IMAGE.replace("bitnami/", "bitnamilegacy/")
    of = store(ETCD, image, ready=1)
    cluster.delete(make_object("Pod", f"{ETCD}-0", platform.NAMESPACE))
    cluster.apply(of, platform.endpoints(ETCD, platform.NAMESPACE))
    store_pod(cluster, of, node="gpu-1", image=image)


def untolerated(cluster: ControlPlane) -> None:
    of = store(NATS, "nats:2.10.21-alpine", ready=0)
    cluster.apply(platform.config(WITH_NATS), of, service(NATS, 4222))
    cluster.apply(platform.endpoints(NATS, platform.NAMESPACE, ready=0))
    told = "0/3 nodes are available: 3 node(s) had untolerated taint(s)."
    unscheduled = make_condition("PodScheduled", "False", "Unschedulable", told)
    del unscheduled["observedGeneration"]
    store_pod(cluster, of, phase="Pending", ready=False, status={"conditions": [unscheduled]})


def tolerated(cluster: ControlPlane) -> None:
    of = store(NATS, "nats:2.10.21-alpine", ready=1)
    cluster.delete(make_object("Pod", f"{NATS}-0", platform.NAMESPACE))
    cluster.apply(of, platform.endpoints(NATS, platform.NAMESPACE))
    store_pod(cluster, of, node="gpu-1")


def nats_claim(storage_class: str, phase: str) -> Object:
    return storage.claim(
        f"{NATS}-js-{NATS}-0",
        platform.NAMESPACE,
        storage_class=storage_class,
        mode="ReadWriteOnce",
        phase=phase,
        size="10Gi",
    )


def class_missing(cluster: ControlPlane) -> None:
    of = store(NATS, "nats:2.10.21-alpine", ready=0)
    cluster.apply(platform.config(WITH_NATS), of, service(NATS, 4222))
    cluster.apply(platform.endpoints(NATS, platform.NAMESPACE, ready=0))
    (made,) = cluster.apply(nats_claim("default", "Pending"))
    told = 'storageclass.storage.k8s.io "default" not found'
    cluster.apply(storage.claim_event(made, "ProvisioningFailed", told))
    volume = {"name": "js", "persistentVolumeClaim": {"claimName": made["metadata"]["name"]}}
    spec = {"volumes": [volume]}
    unscheduled = make_condition(
        "PodScheduled", "False", "Unschedulable", "pod has unbound immediate PersistentVolumeClaims"
    )
    del unscheduled["observedGeneration"]
    status = {"conditions": [unscheduled]}
    store_pod(cluster, of, phase="Pending", ready=False, spec=spec, status=status)


def class_there(cluster: ControlPlane) -> None:
    claim = nats_claim("shared", "Bound")
    cluster.delete(make_object("Pod", f"{NATS}-0", platform.NAMESPACE))
    cluster.delete(claim)
    path = f"/api/v1/namespaces/{platform.NAMESPACE}/persistentvolumeclaims/{claim['metadata']['name']}"
    platform.merge(cluster, path, {"metadata": {"finalizers": None}})
    of = store(NATS, "nats:2.10.21-alpine", ready=1)
    cluster.apply(claim, of, platform.endpoints(NATS, platform.NAMESPACE))
    store_pod(cluster, of, node="gpu-1")


# A picker that needs a definition which is not there.
def picker_without_objectives(cluster: ControlPlane) -> None:
    cluster.remove_crds("inferenceobjectives.inference.networking.x-k8s.io")
    cluster.apply(gaie.picker(ready=0))
    gaie.picker_pod(cluster, ready=False)


def picker_up(cluster: ControlPlane) -> None:
    cluster.load_crds(crds_dir() / "gaie/v1.2.1")
    cluster.apply(gaie.picker())
    gaie.picker_pod(cluster)


# A disk of one node at a time that a pod on another node holds.
def disk(claim: str) -> Object:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "100Gi"},
        "claimRef": {"namespace": "default", "name": claim},
        "csi": {"driver": EBS, "volumeHandle": "vol-0123456789abcdef0"},
        "storageClassName": "gp3",
    }
    return make_object("PersistentVolume", f"pvc-{claim}", spec=spec, status={"phase": "Bound"})


def held_elsewhere(cluster: ControlPlane) -> None:
    cluster.node("cpu-1", labels=LAYERS)
    names = (*clusters.GPU_NODES, "cpu-1")
    driver = make_object("storage.k8s.io/v1 CSIDriver", EBS, spec={"attachRequired": True})
    made = storage.storage_class("gp3", EBS, default=False, binding="WaitForFirstConsumer")
    cluster.apply(driver, made, *(storage.csi_node(name, storage.DRIVER, EBS) for name in names))
    claim = storage.claim("model-cache", storage_class="gp3", mode="ReadWriteOnce")
    cluster.apply(claim, disk("model-cache"))
    attached = {
        "attacher": EBS,
        "nodeName": "cpu-1",
        "source": {"persistentVolumeName": "pvc-model-cache"},
    }
    kind = "storage.k8s.io/v1 VolumeAttachment"
    cluster.apply(make_object(kind, "csi-1", spec=attached, status={"attached": True}))
    volume = {"name": "store", "persistentVolumeClaim": {"claimName": "model-cache"}}
    cluster.pod("model-store-pod", node="cpu-1", spec={"volumes": [volume]})


def let_go(cluster: ControlPlane) -> None:
    cluster.delete(make_object("Pod", "model-store-pod", "default"))
    cluster.delete(make_object("storage.k8s.io/v1 VolumeAttachment", "csi-1"))


# Disks of nodes, and how much of them is free.
HOSTNAME = clusters.HOSTNAME
WANTED = storage.claim(
    "model-cache", storage_class="openebs-lvm", mode="ReadWriteOnce", phase="Pending", size="100Gi"
)
del WANTED["status"]


def local_disks(cluster: ControlPlane, free: str) -> None:
    driver = make_object(
        "storage.k8s.io/v1 CSIDriver", LVM, spec={"attachRequired": False, "storageCapacity": True}
    )
    made = storage.storage_class("openebs-lvm", LVM, default=False, binding="WaitForFirstConsumer")
    nodes = [
        make_object(
            "storage.k8s.io/v1 CSINode",
            name,
            spec={
                "drivers": [
                    {"name": storage.DRIVER, "nodeID": name, "topologyKeys": None},
                    {"name": LVM, "nodeID": name, "topologyKeys": [HOSTNAME]},
                ]
            },
        )
        for name in clusters.GPU_NODES
    ]
    cluster.apply(driver, made, *nodes, make_namespace("openebs"))
    for name in clusters.GPU_NODES:
        cluster.apply(
            make_object(
                "storage.k8s.io/v1 CSIStorageCapacity",
                f"csisc-{name}",
                "openebs",
                storageClassName="openebs-lvm",
                nodeTopology={"matchLabels": {HOSTNAME: name}},
                capacity=free,
            )
        )


def with_claim(made: Object) -> list[Object]:
    return [WANTED, made]


# MIG is on, and no instance was made.
def invalid_mig(cluster: ControlPlane) -> None:
    labels = {
        **clusters.GPU_LABELS,
        **LAYERS,
        HOSTNAME: "gpu-2",
        "nvidia.com/mig.strategy": "single",
        "nvidia.com/gpu.product": "NVIDIA-H200-MIG-INVALID",
        "nvidia.com/gpu.count": "0",
        "nvidia.com/gpu.memory": "0",
    }
    cluster.node("gpu-2", labels=labels, capacity={"nvidia.com/gpu": "0", "rdma/ib": "8"})


def whole_again(cluster: ControlPlane) -> None:
    cluster.delete(clusters.node("gpu-2"))
    cluster.node("gpu-2", gpus=8, labels={**clusters.GPU_LABELS, **LAYERS, HOSTNAME: "gpu-2"})
    rdma.devices(cluster, "gpu-2", {"rdma/ib": "8"})


OLD_POOL = make_object(
    "inference.networking.x-k8s.io/v1alpha2 InferencePool",
    "qwen",
    "default",
    spec={
        "selector": {"nvidia.com/dynamo-component-class": "worker"},
        "targetPortNumber": 8000,
        "extensionRef": {"name": "qwen-epp"},
    },
)
NEW_POOL = make_object(
    "inference.networking.k8s.io/v1 InferencePool",
    "qwen",
    "default",
    spec={
        "selector": {"matchLabels": {"nvidia.com/dynamo-component-class": "worker"}},
        "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {"name": "qwen-epp", "port": {"number": 9002}},
    },
)


def v1_alone(cluster: ControlPlane) -> None:
    """The release of the extension that dropped the alpha version of pools."""
    cluster.remove_crds(*(f"{kind}.inference.networking.x-k8s.io" for kind in ALPHA_KINDS))
    cluster.load_crds(crds_dir() / "gaie/v1.5.0")


ALPHA_KINDS = ("inferencepools", "inferencemodelrewrites", "inferenceobjectives", "inferencepoolimports")
RUNTIME_CLASS = make_object("node.k8s.io/v1 RuntimeClass", "nvidia", handler="nvidia")
NO_ADDRESS = gaie.gateway(programmed="False")
NO_ADDRESS["status"]["conditions"][1] |= {
    "reason": "AddressNotAssigned",
    "message": "No addresses have been assigned to the Gateway",
}


def grove_down(cluster: ControlPlane) -> None:
    grove(cluster)
    cluster.apply(grove_operator(ready=False))
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
    ended = {
        "exitCode": 1,
        "reason": "Error",
        "message": 'no matches for kind "PodGroup" in version "scheduling.volcano.sh/v1beta1"',
    }
    container = {"name": "main", "image": "registry.example/app:1", "imageID": "", "ready": False}
    state = {"restartCount": 9, "state": {"waiting": waiting}, "lastState": {"terminated": ended}}
    cluster.pod(
        "grove-operator-1",
        "grove-system",
        node="gpu-1",
        labels={"app.kubernetes.io/name": "grove-operator"},
        ready=False,
        status={"containerStatuses": [{**container, **state}]},
    )


def grove_up(cluster: ControlPlane) -> None:
    cluster.delete(make_object("Pod", "grove-operator-1", "grove-system"))
    cluster.apply(grove_operator(ready=True))


RESTRICTED = platform.CONFIG + "namespace: {restricted: dynamo-kubernetes}\n"
BASE = "https://github.com/"
REPORTS = [
    Thread(
        BASE + "NVIDIA/k8s-device-plugin/issues/1934",
        steps(
            no_operator,
            partial(tainted, labels={}, gpus=0),
            applied(plugin(0), feature_worker("Equal", value="present")),
        ),
        "gpu.nodes-present",
        "nvdp-node-feature-discovery-worker",
        steps(
            partial(tainted, labels={**FEATURES, PCI: "true"}, gpus=8),
            applied(plugin(3), feature_worker("Exists")),
        ),
        one_gpu(tolerations=[TOLERATED]),
    ),
    Thread(
        BASE + "modelplaneai/modelplane/issues/202",
        refused_driver,
        "gpu.operands",
        DRA_PLUGIN,
        offers,
        [CLAIMS, by_claims()],
        "ResourceQuota",
    ),
    Thread(
        BASE + "ai-dynamo/grove/issues/695",
        grove_down,
        "platform.multinode",
        "grove-operator",
        grove_up,
        one_gpu(),
    ),
    Thread(
        BASE + "ai-dynamo/dynamo/issues/4322",
        image_gone,
        "platform.etcd-nats",
        ETCD,
        image_there,
        one_gpu(),
        ETCD_IMAGE,
    ),
    Thread(
        BASE + "ai-dynamo/dynamo/pull/3104",
        applied(platform.config(RESTRICTED)),
        "platform.operator",
        None,
        applied(platform.config()),
        one_gpu(),
        "dynamo-kubernetes",
    ),
    Thread(
        BASE + "NVIDIA/aicr/pull/93",
        untolerated,
        "platform.etcd-nats",
        NATS,
        tolerated,
        one_gpu(),
        "untolerated taint",
    ),
    Thread(
        BASE + "nats-io/k8s/issues/327",
        class_missing,
        "platform.etcd-nats",
        NATS,
        class_there,
        None,
        "StorageClass default does not exist",
    ),
    Thread(
        BASE + "kubernetes-sigs/gateway-api-inference-extension/issues/1737",
        picker_without_objectives,
        "gaie.crds",
        "inferenceobjectives.inference.networking.x-k8s.io",
        picker_up,
    ),
    Thread(
        BASE + "kserve/kserve/issues/3409",
        held_elsewhere,
        "storage.claim-reach",
        "model-cache",
        let_go,
        mounting("model-cache"),
        "model-store-pod",
    ),
    Thread(
        BASE + "sgl-project/sglang/issues/5515",
        steps(),
        "platform.pod-classes",
        None,
        applied(RUNTIME_CLASS),
        one_gpu(runtimeClassName="nvidia"),
        "RuntimeClass",
    ),
    Thread(
        BASE + "envoyproxy/gateway/pull/9209",
        applied(NO_ADDRESS),
        "gaie.gateway",
        "inference-gateway",
        applied(gaie.gateway()),
        None,
        "No addresses have been assigned",
    ),
    Thread(
        BASE + "kserve/kserve/issues/5750",
        v1_alone,
        "gaie.compatible",
        None,
        steps(),
        [OLD_POOL, one_gpu()],
        "v1.5.0",
        [NEW_POOL, one_gpu()],
    ),
    Thread(
        BASE + "NVIDIA/gpu-operator/issues/132",
        invalid_mig,
        "gpu.mig",
        "gpu-2",
        whole_again,
    ),
    Thread(
        BASE + "openebs/lvm-localpv/issues/349",
        partial(local_disks, free="5Gi"),
        "capacity.fits",
        None,
        partial(local_disks, free="400Gi"),
        with_claim(mounting("model-cache")),
        "100Gi",
    ),
]


@pytest.mark.parametrize("report", REPORTS, ids=str)
def test_a_cluster_of_a_public_report(quiet_cluster: ControlPlane, tmp_path: Path, report: Thread) -> None:
    judge_broken_and_repaired(quiet_cluster, tmp_path, report)
