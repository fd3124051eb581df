"""What Dynamo's operator makes of a graph: Deployments, Services, labels, environment, probes and conditions.

The frontend and the workers are the real ones of `tests.dynamo`, with the mocker as engine. Whatever image a
graph names, its containers hold nothing but this machine's libraries and Dynamo's environment, mounted
read-only. They find each other by files in a folder of the node, where the real operator uses the API server.
"""

import json
import sys
from pathlib import Path

from tests.controlplane.api import Object, wait
from tests.dynamo.build import Home
from tests.node import images
from tests.node.node import Node

KIND = ("nvidia.com/v1beta1", "DynamoGraphDeployment")
_PREFIX = "nvidia.com/"
_FRONTEND, _SYSTEM = 8000, 9090
_LIBRARIES = ("/usr", "/lib", "/lib64")
_COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
_LIMIT_S = 90.0


class Operator:
    """Makes what a graph asks for: `deploy` is one run of the operator's loop, until all is ready."""

    def __init__(self, node: Node, home: Home) -> None:
        self._node, self._cluster = node, node.cluster
        environment = home.python.parent.parent
        self._path = f"{environment / 'bin'}:/usr/bin:/bin"
        self._mounts, self._machine = show_machine(environment)

    def deploy(self, graph: Object) -> None:
        """Apply a graph and what it is made of; set its status when every component is ready.

        :raises TimeoutError: a component is not ready in time.
        """
        (made,) = self._cluster.apply(graph)
        for component in made["spec"]["components"]:
            self._cluster.apply(self._deployment(made, component), _service(made, component))
        wait(lambda: self._are_ready(made), "make the components of the graph ready", _LIMIT_S)
        self._cluster.patch_status({**made, "status": _status(made)})

    def _deployment(self, graph: Object, component: Object) -> Object:
        labels = _labels(graph, component)
        spec = json.loads(json.dumps(component["podTemplate"]["spec"]))
        spec["terminationGracePeriodSeconds"] = 0
        spec["volumes"] = [*spec.get("volumes", ()), *self._volumes(graph)]
        (container,) = spec["containers"]
        container["volumeMounts"] = [*self._mounts, {"name": "discovery", "mountPath": "/discovery"}]
        container["image"] = images.BUSYBOX
        container["env"] = [*self._environment(graph, component), *container.get("env", ())]
        container |= _frontend() if component["type"] == "frontend" else _worker()
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": _name(graph, component), "namespace": _namespace(graph), "labels": labels},
            "spec": {
                "replicas": component.get("replicas", 1),
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }

    def _volumes(self, graph: Object) -> list[Object]:
        discovery = self._node.folder / "discovery" / graph["metadata"]["uid"]
        return [
            *self._machine,
            {"name": "discovery", "hostPath": {"path": str(discovery), "type": "DirectoryOrCreate"}},
        ]

    def _environment(self, graph: Object, component: Object) -> list[Object]:
        given = {
            "PATH": self._path,
            "HOME": "/tmp",
            "HF_HUB_OFFLINE": "1",
            "DYN_FILE_KV": "/discovery",
            "DYN_DISCOVERY_BACKEND": "file",
            "DYN_NAMESPACE": f"{_namespace(graph)}-{graph['metadata']['name']}",
        }
        if component["type"] == "frontend":
            given["DYN_HTTP_PORT"] = str(_FRONTEND)
        else:
            given |= {
                "DYN_SYSTEM_PORT": str(_SYSTEM),
                "DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS": '["generate"]',
            }
        fields = {
            "POD_NAME": "metadata.name",
            "POD_NAMESPACE": "metadata.namespace",
            "POD_IP": "status.podIP",
        }
        return [
            *({"name": name, "value": value} for name, value in given.items()),
            *({"name": n, "valueFrom": {"fieldRef": {"fieldPath": path}}} for n, path in fields.items()),
        ]

    def _are_ready(self, graph: Object) -> bool:
        path = f"/apis/apps/v1/namespaces/{_namespace(graph)}/deployments"
        status = {item["metadata"]["name"]: item["status"] for item in self._cluster.get(path)["items"]}
        return all(
            status.get(_name(graph, each), {}).get("readyReplicas", 0) == each.get("replicas", 1)
            for each in graph["spec"]["components"]
        )


def show_machine(*folders: Path) -> tuple[list[Object], list[Object]]:
    """The mounts and volumes by which a pod has this machine's libraries, its Python and these folders."""
    paths = [*_LIBRARIES, sys.base_prefix, *map(str, folders)]
    shown = [path for path in dict.fromkeys(paths) if Path(path).exists() and not _inside(path, paths)]
    return (
        [{"name": f"machine-{n}", "mountPath": path, "readOnly": True} for n, path in enumerate(shown)],
        [{"name": f"machine-{n}", "hostPath": {"path": path}} for n, path in enumerate(shown)],
    )


def _inside(path: str, others: list[str]) -> bool:
    """Whether a path lies in another one of these."""
    return any(Path(other) in Path(path).parents for other in others)


def _frontend() -> Object:
    return {
        "ports": [{"name": "http", "containerPort": _FRONTEND}],
        "livenessProbe": _probe(
            "/live", "http", initialDelaySeconds=15, periodSeconds=10, failureThreshold=3
        ),
        "readinessProbe": _probe("/health", "http", periodSeconds=1, timeoutSeconds=3, failureThreshold=3),
    }


def _worker() -> Object:
    return {
        "ports": [{"name": "system", "containerPort": _SYSTEM}],
        "startupProbe": _probe("/live", "system", periodSeconds=1, timeoutSeconds=5, failureThreshold=720),
        "livenessProbe": _probe("/live", "system", periodSeconds=5, timeoutSeconds=4, failureThreshold=1),
        "readinessProbe": _probe("/health", "system", periodSeconds=1, timeoutSeconds=4, failureThreshold=3),
    }


def _probe(path: str, port: str, **more: int) -> Object:
    return {"httpGet": {"path": path, "port": port}, **more}


def _service(graph: Object, component: Object) -> Object:
    name, port = ("http", _FRONTEND) if component["type"] == "frontend" else ("system", _SYSTEM)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": _name(graph, component), "namespace": _namespace(graph)},
        "spec": {
            "selector": _labels(graph, component),
            "ports": [{"name": name, "port": port, "targetPort": name}],
        },
    }


def _labels(graph: Object, component: Object) -> Object:
    labels = {
        "dynamo-graph-deployment-name": graph["metadata"]["name"],
        "dynamo-component": component["name"],
        "dynamo-component-type": component["type"],
        "dynamo-namespace": f"{_namespace(graph)}-{graph['metadata']['name']}",
    }
    if component["type"] != "frontend":
        labels["dynamo-component-class"] = "worker"
    return {f"{_PREFIX}{name}": value for name, value in labels.items()}


def _status(graph: Object) -> Object:
    reason = "all_resources_are_ready"
    ready = {"type": "Ready", "status": "True", "reason": reason, "message": "All resources are ready"}
    return {
        "state": "successful",
        "observedGeneration": graph["metadata"]["generation"],
        "conditions": [{**ready, "lastTransitionTime": graph["metadata"]["creationTimestamp"]}],
        "components": {
            each["name"]: {
                "componentKind": "Deployment",
                "componentNames": [_name(graph, each)],
                **dict.fromkeys(_COUNTS, each.get("replicas", 1)),
            }
            for each in graph["spec"]["components"]
        },
    }


def _name(graph: Object, component: Object) -> str:
    return f"{graph['metadata']['name']}-{component['name'].lower()}"


def _namespace(graph: Object) -> str:
    namespace: str = graph["metadata"]["namespace"]
    return namespace
