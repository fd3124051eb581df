"""Situations of the monitoring checks."""

from __future__ import annotations

from typing import Any

from tests.clusters import gpu, monitoring
from tests.controlplane.api import wait
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

HELM: dict[str, Any] = {
    "podMonitorSelector": {"matchLabels": {"release": "prometheus"}},
    "podMonitorNamespaceSelector": {},
}


def only_its_own_release(cluster: ControlPlane) -> None:
    cluster.apply(monitoring.prometheus(**HELM))


def only_its_own_namespace(cluster: ControlPlane) -> None:
    cluster.apply(monitoring.prometheus(podMonitorSelector={}))


def only_namespaces_with_a_label(cluster: ControlPlane) -> None:
    wanted = {"matchLabels": {"monitored": "yes"}}
    cluster.apply(monitoring.prometheus(podMonitorSelector={}, podMonitorNamespaceSelector=wanted))


def namespace_has_the_label(cluster: ControlPlane) -> None:
    only_namespaces_with_a_label(cluster)
    metadata = {"name": "dynamo-system", "labels": {"monitored": "yes"}}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


def one_of_two_reads(cluster: ControlPlane) -> None:
    only_its_own_release(cluster)
    cluster.apply(monitoring.prometheus("dynamo"))


def prometheus_is_down(cluster: ControlPlane) -> None:
    cluster.apply(monitoring.prometheus(available="False"))


def no_prometheus(cluster: ControlPlane) -> None:
    cluster.delete(monitoring.prometheus())


def no_pod_monitor(cluster: ControlPlane) -> None:
    for role in ("frontend", "worker"):
        cluster.delete(monitoring.pod_monitor(f"dynamo-{role}", role))


def no_prometheus_operator(cluster: ControlPlane) -> None:
    for plural in ("podmonitors", "prometheuses", "servicemonitors", "prometheusrules"):
        cluster.remove_crds(f"{plural}.{monitoring.GROUP}")
    served = f"/apis/{monitoring.GROUP}/v1/podmonitors"
    wait(lambda: cluster.http.get(served).status_code == 404, "serve no monitors")


def exporter_not_ready(cluster: ControlPlane) -> None:
    cluster.apply(gpu.operand("nvidia-dcgm-exporter", ready=2))


def exporter_on_no_node(cluster: ControlPlane) -> None:
    cluster.apply(gpu.operand("nvidia-dcgm-exporter", ready=0, desired=0))


def no_exporter(cluster: ControlPlane) -> None:
    cluster.delete(gpu.operand("nvidia-dcgm-exporter"))


SITUATIONS = [
    Situation(
        "Prometheus for its own release",
        only_its_own_release,
        {"monitoring.prometheus": "warn"},
        "dynamo-frontend",
        says="no Prometheus selects dynamo-frontend, dynamo-worker",
    ),
    Situation(
        "Prometheus for its own namespace",
        only_its_own_namespace,
        {"monitoring.prometheus": "warn"},
        "dynamo-frontend",
    ),
    Situation(
        "Prometheus for namespaces with a label",
        only_namespaces_with_a_label,
        {"monitoring.prometheus": "warn"},
        "dynamo-frontend",
    ),
    Situation("namespace with the label", namespace_has_the_label),
    Situation("one Prometheus of two", one_of_two_reads),
    Situation(
        "Prometheus is down",
        prometheus_is_down,
        {"monitoring.prometheus": "warn"},
        "prometheus",
        "not available",
    ),
    Situation(
        "no Prometheus",
        no_prometheus,
        {"monitoring.prometheus": "warn"},
        "dynamo-frontend",
        says="no Prometheus exists to read",
    ),
    Situation(
        "no PodMonitor",
        no_pod_monitor,
        {"monitoring.prometheus": "warn"},
        says="no PodMonitor selects Dynamo's pods",
    ),
    Situation("no Prometheus operator", no_prometheus_operator, {"monitoring.prometheus": "skip"}),
    Situation(
        "exporter not ready",
        exporter_not_ready,
        {"monitoring.dcgm-exporter": "warn", "gpu.operands": "warn"},
        "nvidia-dcgm-exporter",
        says="is ready on 2 of 3 nodes",
    ),
    Situation(
        "exporter on no node",
        exporter_on_no_node,
        {"monitoring.dcgm-exporter": "warn"},
        "nvidia-dcgm-exporter",
    ),
    Situation("no exporter", no_exporter, {"monitoring.dcgm-exporter": "skip"}),
]
