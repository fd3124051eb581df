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
)
