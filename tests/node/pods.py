"""Pods in few words, and how one of them stands."""

from collections.abc import Callable
from typing import Any

from tests.controlplane.api import Object, wait
from tests.controlplane.server import ControlPlane
from tests.node import images

_NO_LONGER_THERE = "unable to retrieve container logs for"  # answered with 200


def container(name: str = "main", script: str = "", image: str = images.BUSYBOX, **more: Any) -> Object:
    """A container that runs a script of the shell, or what its image names."""
    command = {"command": ["sh", "-c", script]} if script else {}
    return {"name": name, "image": image, **command, **more}


def pod(name: str, namespace: str, *containers: Object, **spec: Any) -> Object:
    """A pod that need not say goodbye."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    whole = {"terminationGracePeriodSeconds": 0, "containers": list(containers), **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole}


def deployment(name: str, namespace: str, *containers: Object, replicas: int = 1, **spec: Any) -> Object:
    """A Deployment of such pods."""
    template = pod(name, namespace, *containers, **spec)
    labels = template["metadata"]["labels"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
        },
    }


def service(name: str, namespace: str, port: int) -> Object:
    """A Service of the pods whose label `app` is its name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]},
    }


def until(
    cluster: ControlPlane, namespace: str, name: str, holds: Callable[[Object], bool], limit_s: float = 60
) -> Object:
    """Wait until something holds of a pod, and give the pod as it is then."""
    found: list[Object] = []

    def look() -> bool:
        found[:] = [cluster.get(f"/api/v1/namespaces/{namespace}/pods/{name}")]
        return holds(found[0])

    wait(look, f"bring pod {name} to that", 60)
    return found[0]


def ended(found: Object) -> bool:
    """Whether a pod came to its end, good or bad."""
    return found["status"].get("phase") in ("Succeeded", "Failed")


def logs(
    cluster: ControlPlane, namespace: str, name: str, container: str = "main", *, previous: bool = False
) -> str:
    """Give what a container said, or what the one before it said; "" where there is none."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
    answer = cluster.http.get(path, params={"container": container, "previous": str(previous).lower()})
    return "" if answer.is_error or answer.text.startswith(_NO_LONGER_THERE) else answer.text


def ready(found: Object) -> bool:
    """Whether each container of a pod is ready."""
    conditions = {each["type"]: each["status"] for each in found["status"].get("conditions", ())}
    return conditions.get("Ready") == "True"


def until_log(cluster: ControlPlane, namespace: str, name: str, part: str) -> str:
    """Wait until a pod said this, and give all that it said."""
    wait(lambda: part in logs(cluster, namespace, name), f"show {part!r} in the log of {name}", 60)
    return logs(cluster, namespace, name)
