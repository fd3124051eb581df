"""Situations of the monitoring checks."""

from tests.clusters import gpu, monitoring
from tests.clusters.objects import make_namespace
from tests.controlplane.api import wait
from tests.controlplane.server import ControlPlane
from tests.situations import Situation, applied, deleted, steps

MINE = {"matchLabels": {"release": "prometheus"}}
LABELLED = {"matchLabels": {"monitored": "yes"}}
OWN_RELEASE = applied(monitoring.prometheus(podMonitorSelector=MINE, podMonitorNamespaceSelector={}))
OWN_NAMESPACE = applied(monitoring.prometheus(podMonitorSelector={}))
BY_LABEL = applied(monitoring.prometheus(podMonitorSelector={}, podMonitorNamespaceSelector=LABELLED))
EXPORTER = "nvidia-dcgm-exporter"


def no_prometheus_operator(cluster: ControlPlane) -> None:
    for plural in ("podmonitors", "prometheuses", "servicemonitors", "prometheusrules"):
        cluster.remove_crds(f"{plural}.{monitoring.GROUP}")
    served = f"/apis/{monitoring.GROUP}/v1/podmonitors"
    wait(lambda: cluster.http.get(served).status_code == 404, "serve no monitors")


WARN = {"monitoring.prometheus": "warn"}
FRONT = "dynamo-frontend"
SITUATIONS = [
    Situation(
        "Prometheus for its own release", OWN_RELEASE, WARN, FRONT, says="dynamo-frontend, dynamo-worker"
    ),
    Situation("Prometheus for its own namespace", OWN_NAMESPACE, WARN, FRONT),
    Situation("Prometheus for namespaces with a label", BY_LABEL, WARN, FRONT),
    Situation(
        "namespace with the label", steps(BY_LABEL, applied(make_namespace("dynamo-system", monitored="yes")))
    ),
    Situation("one Prometheus of two", steps(OWN_RELEASE, applied(monitoring.prometheus("dynamo")))),
    Situation(
        "Prometheus is down",
        applied(monitoring.prometheus(available="False")),
        WARN,
        "prometheus",
        "not available",
    ),
    Situation("no Prometheus", deleted(monitoring.prometheus()), WARN, FRONT, "no Prometheus"),
    Situation(
        "no PodMonitor",
        deleted(monitoring.pod_monitor("frontend"), monitoring.pod_monitor("worker")),
        WARN,
        says="no PodMonitor",
    ),
    Situation(
        "Prometheus without its operator's pods",
        applied(monitoring.operator(ready=0)),
        WARN,
        "prometheus-operator",
    ),
    Situation("no Prometheus operator", no_prometheus_operator, {"monitoring.prometheus": "skip"}),
    Situation(
        "exporter not ready",
        applied(gpu.operand(EXPORTER, ready=2)),
        {"monitoring.dcgm-exporter": "warn", "gpu.operands": "warn"},
        EXPORTER,
        says="2 of 3 nodes",
    ),
    Situation(
        "exporter on no node",
        applied(gpu.operand(EXPORTER, ready=0, desired=0)),
        {"monitoring.dcgm-exporter": "warn"},
        EXPORTER,
    ),
    Situation("no exporter", deleted(gpu.operand(EXPORTER)), {"monitoring.dcgm-exporter": "skip"}),
]
