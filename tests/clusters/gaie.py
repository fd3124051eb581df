"""agentgateway, a Gateway and a route through it to a pool with its endpoint picker, as Dynamo has them."""

from __future__ import annotations

from typing import Any

from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ("gateway-api/v1.5.1", "gaie/v1.2.1")
CONTROLLER = "agentgateway.dev/agentgateway"
CONTROLLER_NAMESPACE = "agentgateway-system"
SERVING = "serving"
COMPONENT = "nvidia.com/dynamo-component-type"
GRAPH = "nvidia.com/dynamo-graph-deployment-name"
PICKER = {GRAPH: "qwen", COMPONENT: "epp"}
WORKERS = {"nvidia.com/dynamo-component-class": "worker", "nvidia.com/dynamo-namespace": "serving-qwen"}
GROUP = "inference.networking.k8s.io"
CONFIG = """\
apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- {name: kv, type: dyn-decode-scorer}
- {type: max-score-picker}
schedulingProfiles:
- name: decode
  plugins:
  - {pluginRef: kv, weight: 1}
  - {pluginRef: max-score-picker}
"""


def condition(kind: str, status: str = "True", reason: str = "", generation: int = 1) -> dict[str, Any]:
    """A condition that a controller wrote of this generation."""
    return {
        "type": kind,
        "status": status,
        "reason": reason or kind,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": generation,
    }


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def gateway_class(
    name: str = "agentgateway", controller: str = CONTROLLER, accepted: str = "True"
) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": controller},
        "status": {"conditions": [condition("Accepted", accepted)]},
    }


def gateway(
    place: str = CONTROLLER_NAMESPACE,
    class_name: str = "agentgateway",
    *,
    routes_from: str = "All",
    programmed: str = "True",
    port: int = 80,
) -> dict[str, Any]:
    """The Gateway of Dynamo's installer."""
    allowed = {"namespaces": {"from": routes_from}}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "inference-gateway", "namespace": place},
        "spec": {
            "gatewayClassName": class_name,
            "listeners": [{"name": "http", "port": port, "protocol": "HTTP", "allowedRoutes": allowed}],
        },
        "status": {"conditions": [condition("Accepted"), condition("Programmed", programmed)]},
    }


def route(
    gateway_namespace: str | None = CONTROLLER_NAMESPACE,
    controller: str = CONTROLLER,
    *,
    group: str = GROUP,
    pool: str = "qwen-pool",
    accepted: str = "True",
    resolved: str = "True",
    told: bool = True,
) -> dict[str, Any]:
    """A route to the pool, and what its controller says of it."""
    place = {"namespace": gateway_namespace} if gateway_namespace else {}
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "inference-gateway", **place}
    backend = {"group": group, "kind": "InferencePool", "name": pool, "port": 8000}
    conditions = [condition("Accepted", accepted), condition("ResolvedRefs", resolved)]
    status = {"parentRef": parent, "controllerName": controller, "conditions": conditions}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "qwen-route", "namespace": SERVING},
        "spec": {"parentRefs": [parent], "rules": [{"backendRefs": [backend]}]},
        "status": {"parents": [status] if told else []},
    }


def pool(
    labels: dict[str, str] | None = None, *, port: int = 9002, name: str = "qwen-pool"
) -> dict[str, Any]:
    """The pool that Dynamo's operator makes for a graph."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "InferencePool",
        "metadata": {"name": name, "namespace": SERVING},
        "spec": {
            "selector": {"matchLabels": labels or WORKERS},
            "targetPorts": [{"number": 8000}],
            "endpointPickerRef": {"name": "qwen-epp", "port": {"number": port}},
        },
    }


def service(name: str = "qwen-epp") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": SERVING, "labels": PICKER},
        "spec": {"selector": PICKER, "ports": [{"name": "grpc", "port": 9002}]},
    }


def config(text: str = CONFIG) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "qwen-epp-config", "namespace": SERVING},
        "data": {"epp-config-dynamo.yaml": text},
    }


def deployment(
    name: str,
    place: str,
    labels: dict[str, str],
    image: str = "registry.example/app:1",
    *,
    replicas: int = 1,
    ready: int | None = None,
) -> dict[str, Any]:
    """A Deployment and what its controller reports of it."""
    container = {"name": "main", "image": image}
    ready = replicas if ready is None else ready
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": place, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "readyReplicas": ready,
            "updatedReplicas": replicas,
        },
    }


def controller(
    image: str = "cr.agentgateway.dev/controller:v1.0.0", *, replicas: int = 1, ready: int | None = None
) -> dict[str, Any]:
    """The control plane of agentgateway, as its chart has it."""
    labels = {"agentgateway": "agentgateway", "app.kubernetes.io/name": "agentgateway"}
    return deployment("agentgateway", CONTROLLER_NAMESPACE, labels, image, replicas=replicas, ready=ready)


def picker(replicas: int = 1, ready: int | None = None) -> dict[str, Any]:
    return deployment("qwen-epp", SERVING, PICKER, replicas=replicas, ready=ready)


def picker_pod(cluster: ControlPlane, *, ready: bool = True) -> None:
    """A pod of the endpoint picker, which starts from its ConfigMap."""
    item = {"key": "epp-config-dynamo.yaml", "path": "epp-config-dynamo.yaml"}
    container = {
        "name": "main",
        "image": "registry.example/epp:1",
        "args": ["--config-file", "/etc/epp/epp-config-dynamo.yaml"],
        "volumeMounts": [{"name": "epp-config", "mountPath": "/etc/epp"}],
    }
    volume = {"name": "epp-config", "configMap": {"name": "qwen-epp-config", "items": [item]}}
    spec = {"containers": [container], "volumes": [volume]}
    cluster.pod("qwen-epp-0", SERVING, node="gpu-1", labels=PICKER, ready=ready, spec=spec)


def furnish(cluster: ControlPlane) -> None:
    """Dynamo's installer for agentgateway was run, and a graph with an endpoint picker applied."""
    cluster.apply(namespace(CONTROLLER_NAMESPACE), namespace(SERVING))
    cluster.apply(controller(), gateway_class(), gateway(), route(), pool(), service(), config(), picker())
    cluster.pod("qwen-worker-0", SERVING, node="gpu-2", labels=WORKERS)
    picker_pod(cluster)
