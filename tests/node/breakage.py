"""Kinds of pods that do not run, each broken in earnest, and by what a cluster shows it."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.controlplane.api import Object
from tests.node import images, registry
from tests.node.node import GPU
from tests.node.pods import container, deployment, pod

NOBODY = "127.0.0.1:1"  # where no registry listens
_SLEEP = "sleep 1000"
_BACK_OFF = "Back-off restarting failed container"
_NO_TAG = f"{registry.ADDRESS}/{registry.OPEN}/model-server:9"
_NO_FOLDER = {"path": "/mnt/models", "type": "Directory"}
_TAINTED = "gpu-2"  # a node that no kubelet stands behind


@dataclass(frozen=True)
class Kind:
    """A name, what makes it, and the texts that its pods, events and logs hold when it is broken."""

    name: str
    signs: tuple[str, ...]
    objects: Callable[[str], list[Object]]


def _only(name: str, sign: str, make: Callable[[str], Object]) -> Kind:
    return Kind(name, (sign,), lambda namespace: [make(namespace)])


def _crash(name: str, said: str, make: Callable[[str], Object]) -> Kind:
    return Kind(name, (said, _BACK_OFF), lambda namespace: [make(namespace)])


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, "namespace": namespace}


def _quota(namespace: str) -> list[Object]:
    quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": _metadata("none", namespace)}
    return [
        {**quota, "spec": {"hard": {"pods": "0"}}},
        deployment("worker", namespace, container(script=_SLEEP)),
    ]


def _pod_security(namespace: str) -> list[Object]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    restricted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    return [restricted, deployment("worker", namespace, container(script=_SLEEP))]


def _taint(namespace: str) -> list[Object]:
    taints = [{"key": GPU, "value": "present", "effect": "NoSchedule"}]
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": _TAINTED, "labels": {"pool": "gpu"}}}
    only = pod("worker", namespace, container(script=_SLEEP), nodeSelector={"pool": "gpu"})
    return [{**node, "spec": {"taints": taints}}, only]


def _wrong_secret(namespace: str) -> list[Object]:
    entry = {"auth": base64.b64encode(b"user:wrong").decode()}
    content = json.dumps({"auths": {registry.ADDRESS: entry}})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata("registry", namespace)}
    secret |= {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": content}}
    image = f"{registry.ADDRESS}/model-server:1"
    return [secret, pod("worker", namespace, container(image=image), imagePullSecrets=[{"name": "registry"}])]


def _config_key(namespace: str) -> list[Object]:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata("engine", namespace)}
    source = {"configMapKeyRef": {"name": "engine", "key": "missing"}}
    env = [{"name": "CONFIG", "valueFrom": source}]
    return [{**config, "data": {"other": "1"}}, pod("worker", namespace, container(script=_SLEEP, env=env))]


def _secret(namespace: str) -> Object:
    mounts = [{"name": "token", "mountPath": "/token"}]
    volumes = [{"name": "token", "secret": {"secretName": "hf-token"}}]
    return pod("worker", namespace, container(script=_SLEEP, volumeMounts=mounts), volumes=volumes)


def _claim(namespace: str) -> Object:
    mounts = [{"name": "models", "mountPath": "/models"}]
    volumes = [{"name": "models", "persistentVolumeClaim": {"claimName": "model-cache"}}]
    return pod("worker", namespace, container(script=_SLEEP, volumeMounts=mounts), volumes=volumes)


def _disk(namespace: str) -> Object:
    script = "dd if=/dev/zero of=/scratch/file bs=1048576 count=20; sleep 1000"
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    volumes = [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]
    return pod("worker", namespace, container(script=script, volumeMounts=mounts), volumes=volumes)


def _secret_key(namespace: str) -> list[Object]:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata("hf-token", namespace)}
    source = {"secretKeyRef": {"name": "hf-token", "key": "HF_TOKEN"}}
    env = [{"name": "HF_TOKEN", "valueFrom": source}]
    worker = deployment("worker", namespace, container(script=_SLEEP, env=env))
    return [{**secret, "stringData": {"token": "made-up"}}, worker]


def _limit_range(namespace: str) -> list[Object]:
    limits = {"apiVersion": "v1", "kind": "LimitRange", "metadata": _metadata("small", namespace)}
    spec = {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}
    resources = {"limits": {"memory": "4Gi"}}
    return [
        {**limits, "spec": spec},
        deployment("worker", namespace, container(script=_SLEEP, resources=resources)),
    ]


def _unbound(namespace: str) -> list[Object]:
    claim: Object = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    claim |= {"metadata": _metadata("model-cache", namespace)}
    spec: Object = {"accessModes": ["ReadWriteMany"], "storageClassName": "fast-shared"}
    spec["resources"] = {"requests": {"storage": "1Gi"}}
    return [{**claim, "spec": spec}, _claim(namespace)]


def _crowded(namespace: str) -> Object:
    """Two replicas that may not be on one node, where there is only one for them."""
    terms = [{"labelSelector": {"matchLabels": {"app": "worker"}}, "topologyKey": "kubernetes.io/hostname"}]
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    affinity = {"podAntiAffinity": rule}
    return deployment("worker", namespace, container(script=_SLEEP), replicas=2, affinity=affinity)


def _same_port(namespace: str) -> Object:
    ports = [{"containerPort": 8080, "hostPort": 28080}]
    return deployment("worker", namespace, container(script=_SLEEP, ports=ports), replicas=2)


def _runtime_class(namespace: str) -> list[Object]:
    name = f"nvidia-{namespace}"
    runtime: Object = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}}
    worker = deployment("worker", namespace, container(script=_SLEEP), runtimeClassName=name)
    return [{**runtime, "handler": "nvidia"}, worker]


def _job(script: str, **spec: Any) -> Callable[[str], Object]:
    def make(namespace: str) -> Object:
        template = pod("worker", namespace, container(script=script), restartPolicy="Never")
        whole = {"backoffLimit": 0, "template": {"spec": template["spec"]}, **spec}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata("download", namespace)} | {
            "spec": whole
        }

    return make


def _mounting(**source: Any) -> Callable[[str], Object]:
    """A Deployment whose container mounts a volume at /data."""
    mounts = [{"name": "data", "mountPath": "/data"}]
    volumes = [{"name": "data", **source}]
    return _deployed(container(script=_SLEEP, volumeMounts=mounts), volumes=volumes)


def _full(namespace: str) -> Object:
    script = "dd if=/dev/zero of=/data/model bs=1048576 count=4"
    mounts = [{"name": "data", "mountPath": "/data"}]
    volumes = [{"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
    return deployment("worker", namespace, container(script=script, volumeMounts=mounts), volumes=volumes)


def _deployed(*containers: Object, **spec: Any) -> Callable[[str], Object]:
    return lambda namespace: deployment("worker", namespace, *containers, **spec)


def _of(script: str, **more: Any) -> Callable[[str], Object]:
    return lambda namespace: pod("worker", namespace, container(script=script, **more))


def _wanting(resource: str, amount: str) -> Callable[[str], Object]:
    return _of(_SLEEP, resources={"limits": {resource: amount}})


def _probe(**probe: Any) -> Object:
    return {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1, **probe}


def _from(image: str) -> Callable[[str], Object]:
    return lambda namespace: pod("worker", namespace, container(image=image))


_LOOK_UP = ["python3", "-c", "import socket; socket.gethostbyname('frontend.wrong.svc.cluster.local')"]
_OUT_OF_MEMORY = "exec dd if=/dev/zero of=/dev/null bs=209715200 count=1"
_LIMIT = {"limits": {"memory": "20Mi"}}
_SERVE = "httpd -f -p 8080"

KINDS = (
    _only("image-missing", "connection refused", _from(f"{NOBODY}/model-server:1")),
    _crash("wrong-architecture", "exec format error", _from(images.OTHER_ARCHITECTURE)),
    _crash("crash", "fatal: no model", _of("echo fatal: no model >&2; exit 3")),
    _crash("out-of-memory", "OOMKilled", _of(_OUT_OF_MEMORY, resources=_LIMIT)),
    _only("probe-refused", "connection refused", _of(_SLEEP, readinessProbe=_probe())),
    _only("probe-too-early", "failed liveness probe", _of(f"sleep 20; {_SERVE}", livenessProbe=_probe())),
    _only("secret-missing", 'secret "hf-token" not found', _secret),
    _only("claim-missing", 'persistentvolumeclaim "model-cache" not found', _claim),
    Kind("config-key-missing", ("CreateContainerConfigError",), _config_key),
    _only("node-full", "Insufficient cpu", _wanting("cpu", "100")),
    _only("gpu-missing", f"Insufficient {GPU}", _wanting(GPU, "16")),
    Kind("taint", ("untolerated taint",), _taint),
    Kind("quota", ("exceeded quota: none",), _quota),
    Kind("pod-security", ("violates PodSecurity",), _pod_security),
    _crash(
        "read-only-files",
        "Read-only file system",
        _of("touch /cache", securityContext={"readOnlyRootFilesystem": True}),
    ),
    _crash(
        "port-in-use",
        "Address already in use",
        lambda namespace: pod(
            "worker", namespace, container("main", _SERVE), container("other", f"sleep 2; {_SERVE}")
        ),
    ),
    _crash(
        "name-wrong",
        "Name or service not known",
        lambda namespace: pod("worker", namespace, container(image=images.DYNOCHECK, command=_LOOK_UP)),
    ),
    _only(
        "init-hangs",
        "PodInitializing",
        lambda namespace: pod(
            "worker",
            namespace,
            container(script=_SLEEP),
            initContainers=[container("wait", "echo waiting for etcd; sleep 1000")],
        ),
    ),
    Kind("pull-secret-wrong", ("401 Unauthorized",), _wrong_secret),
    _only("evicted-for-disk", "Evicted", _disk),
    Kind("secret-key-missing", ("CreateContainerConfigError",), _secret_key),
    _only("config-volume-missing", 'configmap "engine" not found', _mounting(configMap={"name": "engine"})),
    _only("folder-missing", "hostPath type check failed", _mounting(hostPath=_NO_FOLDER)),
    _only(
        "service-account-missing",
        'serviceaccount "dynamo" not found',
        _deployed(container(script=_SLEEP), serviceAccountName="dynamo"),
    ),
    _only(
        "priority-missing",
        "no PriorityClass with name",
        _deployed(container(script=_SLEEP), priorityClassName="inference"),
    ),
    Kind("limit-range", ("maximum memory usage",), _limit_range),
    Kind("claim-unbound", ("ProvisioningFailed", "unbound immediate"), _unbound),
    _only(
        "no-such-node",
        "didn't match Pod's node affinity/selector",
        _deployed(container(script=_SLEEP), nodeSelector={"nvidia.com/gpu.product": "H200"}),
    ),
    _only("one-a-node", "didn't match pod anti-affinity rules", _crowded),
    _only("host-port", "didn't have free ports", _same_port),
    _only(
        "gated",
        "SchedulingGated",
        _deployed(container(script=_SLEEP), schedulingGates=[{"name": "example.com/quota"}]),
    ),
    _only(
        "image-never",
        "ErrImageNeverPull",
        _deployed(container(image=f"{images.REGISTRY}/absent:1", imagePullPolicy="Never")),
    ),
    _only("image-misspelt", "InvalidImageName", _deployed(container(image="Registry/Model:1"))),
    _only("tag-missing", "not found", _deployed(container(image=_NO_TAG))),
    _crash("program-missing", "executable file not found", _deployed(container(command=["vllm", "serve"]))),
    _crash("ends-well", "Completed", _deployed(container(script="echo nothing to do"))),
    Kind(
        "startup-too-short",
        ("failed startup probe", '"exitCode": 137'),
        lambda namespace: [
            deployment("worker", namespace, container(script=f"sleep 30; {_SERVE}", startupProbe=_probe()))
        ],
    ),
    _only("download-fails", "BackoffLimitExceeded", _job("echo Cannot access gated repo for url x; exit 1")),
    _only("download-too-slow", "DeadlineExceeded", _job(_SLEEP, activeDeadlineSeconds=2)),
    _crash(
        "init-crashes",
        "fatal: no bucket",
        _deployed(
            container(script=_SLEEP), initContainers=[container("fetch", "echo fatal: no bucket; exit 1")]
        ),
    ),
    _crash(
        "segmentation-fault",
        '"exitCode": 139',
        _deployed(container(script="sh -c 'kill -SEGV $$$$'; exit $?")),
    ),
    _crash(
        "not-permitted",
        "Permission denied",
        _deployed(container(script="touch /cache", securityContext={"runAsUser": 65534})),
    ),
    _crash("memory-disk-full", "No space left on device", _full),
    Kind("runtime-missing", ('no runtime for "nvidia" is configured',), _runtime_class),
    _only(
        "root-not-allowed",
        "runAsNonRoot",
        _deployed(container(script=_SLEEP, securityContext={"runAsNonRoot": True})),
    ),
    _crash(
        "module-missing",
        "No module named",
        _deployed(container(image=images.DYNOCHECK, command=["python3", "-m", "vllm"])),
    ),
    _crash(
        "one-of-two",
        "unrecognized arguments",
        _deployed(
            container(script="echo error: unrecognized arguments: --tp >&2; exit 2"),
            container("proxy", _SLEEP),
        ),
    ),
)
