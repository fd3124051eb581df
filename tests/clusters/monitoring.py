"""The Prometheus operator's types, a Prometheus that reads all PodMonitors, the exporter of GPU metrics."""

from __future__ import annotations

from typing import Any

from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ("prometheus-operator",)
GROUP = "monitoring.coreos.com"
PROMETHEUSES = f"prometheuses.{GROUP}"
METRICS = {"nvidia.com/metrics-enabled": "true"}


def prometheus_definition() -> dict[str, Any]:
    """The type Prometheus, which is not among the published ones at hand, with a schema of anything."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": PROMETHEUSES},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "prometheuses", "singular": "prometheus", "kind": "Prometheus"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": anything},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


def prometheus(name: str = "prometheus", *, available: str = "True", **spec: Any) -> dict[str, Any]:
    """A Prometheus; without a spec one that reads every PodMonitor of every namespace."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Prometheus",
        "metadata": {"name": name, "namespace": "monitoring"},
        "spec": spec or {"podMonitorSelector": {}, "podMonitorNamespaceSelector": {}},
        "status": {"conditions": [{"type": "Available", "status": available}]},
    }


def pod_monitor(name: str, role: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """A PodMonitor as Dynamo's chart makes it."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "PodMonitor",
        "metadata": {"name": name, "namespace": "dynamo-system", "labels": labels or {}},
        "spec": {
            "namespaceSelector": {"any": True},
            "podMetricsEndpoints": [{"interval": "5s", "path": "/metrics", "port": "http"}],
            "selector": {"matchLabels": {"nvidia.com/dynamo-component-type": role, **METRICS}},
        },
    }


def furnish(cluster: ControlPlane) -> None:
    for name in ("monitoring", "dynamo-system"):
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    cluster.apply(prometheus_definition(), prometheus())
    cluster.apply(*(pod_monitor(f"dynamo-{role}", role) for role in ("frontend", "worker")))
