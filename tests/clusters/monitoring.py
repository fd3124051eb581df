"""The Prometheus operator's types, a Prometheus that reads all PodMonitors, the exporter of GPU metrics."""

from typing import Any

from tests.clusters.objects import make_namespace, make_object, make_workload
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ("prometheus-operator",)
GROUP = "monitoring.coreos.com"
PROMETHEUSES = f"prometheuses.{GROUP}"
METRICS = {"nvidia.com/metrics-enabled": "true"}


def prometheus_definition() -> Object:
    """The type Prometheus, which is not among the published ones at hand, with a schema of anything."""
    names = {"plural": "prometheuses", "singular": "prometheus", "kind": "Prometheus"}
    anything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": anything,
        "subresources": {"status": {}},
    }
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}
    return make_object("apiextensions.k8s.io/v1 CustomResourceDefinition", PROMETHEUSES, spec=spec)


def prometheus(name: str = "prometheus", *, available: str = "True", **spec: Any) -> Object:
    """A Prometheus; without a spec one that reads every PodMonitor of every namespace."""
    spec = spec or {"podMonitorSelector": {}, "podMonitorNamespaceSelector": {}}
    status = {"conditions": [{"type": "Available", "status": available}]}
    return make_object(f"{GROUP}/v1 Prometheus", name, "monitoring", spec=spec, status=status)


def pod_monitor(role: str) -> Object:
    """A PodMonitor as Dynamo's chart makes it for a kind of component."""
    spec = {
        "namespaceSelector": {"any": True},
        "podMetricsEndpoints": [{"interval": "5s", "path": "/metrics", "port": "http"}],
        "selector": {"matchLabels": {"nvidia.com/dynamo-component-type": role, **METRICS}},
    }
    return make_object(f"{GROUP}/v1 PodMonitor", f"dynamo-{role}", "dynamo-system", spec=spec)


def operator(*, ready: int = 1) -> Object:
    """The Deployment of the Prometheus operator."""
    image = "quay.io/prometheus-operator/prometheus-operator:v0.86.0"
    return make_workload("Deployment", "prometheus-operator", "monitoring", image, ready=ready)


def furnish(cluster: ControlPlane) -> None:
    cluster.apply(make_namespace("monitoring"), make_namespace("dynamo-system"))
    cluster.apply(
        prometheus_definition(), operator(), prometheus(), pod_monitor("frontend"), pod_monitor("worker")
    )
