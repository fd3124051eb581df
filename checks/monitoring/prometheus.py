"""Checks of whether metrics of Dynamo and of the GPUs are collected."""

import json
import shlex
from collections import defaultdict
from collections.abc import Iterator

from dynocheck import Finding, Result, Skip, Subject, check, same_place, unjudged, warn
from dynocheck.checks.platform._deployments import check_ready, list_images
from dynocheck.core.outcomes import Unjudged
from dynocheck.facts import (
    Collector,
    CustomResourceDefinitions,
    Namespaces,
    Nodes,
    PodMonitor,
    PodMonitors,
    Recipes,
    ResourceSlices,
    Workload,
    Workloads,
    list_gpu_nodes,
)

_GRAPHS = "dynamographdeployments.nvidia.com"
_NAME = "app.kubernetes.io/name"
# Its Prometheus is for the platform; another reads what users monitor, once it is enabled:
# https://docs.openshift.com/container-platform/4.15/observability/monitoring/enabling-monitoring-for-user-defined-projects.html
_OPENSHIFT = "openshift-monitoring"
_EXPORTER = "dcgm-exporter"
_INSTALL = (
    "helm upgrade --install prometheus kube-prometheus-stack "
    "--repo https://prometheus-community.github.io/helm-charts --namespace monitoring --create-namespace "
    "--set prometheus.prometheusSpec.podMonitorSelectorNilUsesHelmValues=false"
)
# Images of other collectors that read PodMonitors, by what their configuration selects:
# https://grafana.com/docs/alloy/latest/reference/components/prometheus/prometheus.operator.podmonitors/
# https://docs.victoriametrics.com/operator/integrations/prometheus/
# https://opentelemetry.io/docs/platforms/kubernetes/operator/target-allocator/
_OTHERS = {
    "grafana/alloy": "Grafana Alloy",
    "grafana/agent": "Grafana Agent",
    "victoriametrics/operator": "the VictoriaMetrics operator",
    "target-allocator": "OpenTelemetry's target allocator",
}
_ESCAPED_DOT = "\\."
_LOST = "their metrics are lost unless something else collects them"


def _find_planners(recipes: Recipes | None) -> list[str]:
    """The names of the graphs with a planner, which reads these metrics."""
    return [
        graph.name
        for recipe in recipes or ()
        for graph in recipe.graphs
        if any(component.role == "planner" for component in graph.components)
    ]


@check("monitoring.prometheus", title="Prometheus collects the metrics of Dynamo's pods")
def prometheus(
    monitors: PodMonitors,
    namespaces: Namespaces,
    definitions: CustomResourceDefinitions,
    workloads: Workloads | None,
    recipes: Recipes | None,
) -> Iterator[Result]:
    """The planner's `sla` mode, autoscaling by metrics and dashboards read what Prometheus collects.

    Dynamo's chart creates PodMonitors when the Prometheus operator is installed before it. A Prometheus reads
    those that its `podMonitorSelector` and `podMonitorNamespaceSelector` select; kube-prometheus-stack
    selects only its own by default. Without the operator only a recipe with a planner gets a warning, as
    serving does not need Prometheus. What other collectors read, such as Grafana Alloy, is not judged; scrape
    configurations written by hand are not looked for.

    Fix: helm upgrade prometheus kube-prometheus-stack --reuse-values
    --set prometheus.prometheusSpec.podMonitorSelectorNilUsesHelmValues=false
    """
    planners = _find_planners(recipes)
    if not monitors.served:
        if not planners:
            raise Skip("the Prometheus operator is not installed; serving does not need it")
        yield warn(
            f"{', '.join(planners)} has a planner, whose sla mode reads Prometheus, but the Prometheus "
            "operator is not installed",
            fix=_INSTALL,
            evidence={"graphs": planners},
        )
        return
    graphs = definitions.find(_GRAPHS)
    if not monitors.items:
        if graphs is None:
            raise Skip("Dynamo is not installed")
        yield warn(
            "the Prometheus operator is installed, but no PodMonitor selects Dynamo's pods",
            fix="helm upgrade dynamo-platform CHART --reuse-values "
            "--set dynamo-operator.dynamo.metrics.podMonitors.enabled=true",
        )
        return
    if not monitors.collectors_served:
        raise Skip(
            "PodMonitors are served without Prometheus and PrometheusAgent: another collector reads them"
        )
    if monitors.collectors:
        yield from _check_operator(workloads)
    unread: dict[tuple[str, ...], list[PodMonitor]] = defaultdict(list)
    for monitor in monitors.items:
        if not any(_selects(c, monitor, namespaces) for c in monitors.collectors):
            unread[monitor.namespace, *sorted(f"{k}={v}" for k, v in monitor.labels.items())].append(monitor)
    other = _find_other(workloads)
    for group in unread.values():
        yield _explain_other(group, other) if other else _report_unread(group, monitors, namespaces)
    yield from _report_down(monitors, namespaces)


def _check_operator(workloads: Workloads | None) -> Iterator[Result]:
    """Warn of a Prometheus operator that does not run, so that what it was told last stays."""
    if workloads is None:
        why = "whether it runs could not be read"
        yield unjudged("the Prometheus operator", why=why, needs="list deployments")
        return
    found = [
        w
        for w in workloads
        if w.kind == "Deployment"
        and (any(map(_is_operator, list_images(w))) or _is_operator(w.labels.get(_NAME, "")))
    ]
    yield from check_ready(found, "Prometheus operator", "prometheuses.monitoring.coreos.com", warn)


def _is_operator(name: str) -> bool:
    """Whether an image or label is that of the operator; mirrors and charts put something before it."""
    return name.endswith("prometheus-operator")


def _find_other(workloads: Workloads | None) -> str:
    """The name of another collector of PodMonitors that runs, empty if there is none."""
    images = [image for workload in workloads or () if workload.ready for image in workload.images]
    return next((name for part, name in _OTHERS.items() if any(part in image for image in images)), "")


def _explain_other(group: list[PodMonitor], collector: str) -> Unjudged:
    names = ", ".join(f"{monitor.namespace}/{monitor.name}" for monitor in group)
    why = f"no Prometheus selects it, but {collector} runs and may"
    return unjudged(f"PodMonitor {names}", why=why, needs=f"the configuration of {collector}")


def _selects(collector: Collector, monitor: PodMonitor, namespaces: Namespaces) -> bool:
    return not _find_refusals(collector, monitor, namespaces)


def _find_refusals(collector: Collector, monitor: PodMonitor, namespaces: Namespaces) -> dict[str, str]:
    """The selectors of a collector that exclude a monitor, with what they select instead."""
    refusals = {}
    if collector.monitors is None:
        refusals["podMonitorSelector"] = "nothing"
    elif not collector.monitors.matches(monitor.labels):
        refusals["podMonitorSelector"] = str(collector.monitors)
    if collector.namespaces is None:
        if collector.namespace != monitor.namespace:
            refusals["podMonitorNamespaceSelector"] = f"only {collector.namespace}"
    elif not collector.namespaces.matches(namespaces.find_labels(monitor.namespace)):
        refusals["podMonitorNamespaceSelector"] = str(collector.namespaces)
    return refusals


def _report_unread(group: list[PodMonitor], monitors: PodMonitors, namespaces: Namespaces) -> Finding:
    """A warning for monitors of one namespace with equal labels that no collector selects."""
    names = ", ".join(monitor.name for monitor in group)
    subject = Subject("PodMonitor", group[0].name, group[0].namespace)
    if not monitors.collectors:
        return warn(f"no Prometheus exists to read {names}: {_LOST}", fix=_INSTALL, subject=subject)
    refusals = {
        f"{c.kind} {c.namespace}/{c.name}": _find_refusals(c, group[0], namespaces)
        for c in monitors.collectors
    }
    return warn(
        f"no Prometheus selects {names}: {_LOST}",
        fix=_suggest_relabel(group[0], monitors, namespaces),
        evidence=refusals,
        subject=subject,
    )


def _suggest_relabel(monitor: PodMonitor, monitors: PodMonitors, namespaces: Namespaces) -> str:
    """The command that adds the labels a Prometheus selects, or else one that opens its selectors."""
    for collector in monitors.collectors:
        selector = collector.monitors
        others = _find_refusals(collector, monitor, namespaces).keys() - {"podMonitorSelector"}
        if not others and selector is not None and selector.labels and not selector.expressions:
            settings = " ".join(f"--set {_format_setting(*label)}" for label in selector.labels.items())
            return f"helm upgrade dynamo-platform CHART --reuse-values {settings}"
    if {collector.namespace for collector in monitors.collectors} == {_OPENSHIFT}:
        return f"oc edit configmap cluster-monitoring-config -n {_OPENSHIFT}   # enableUserWorkload: true"
    first = monitors.collectors[0]
    everything = {"matchLabels": None, "matchExpressions": None}  # a merge with {} would change nothing
    spec = {"spec": dict.fromkeys(_find_refusals(first, monitor, namespaces), everything)}
    patch = json.dumps(spec, separators=(",", ":"))
    return (
        f"kubectl patch {first.kind.lower()} {first.name} -n {first.namespace} --type merge -p '{patch}'   "
        "# selects all; name labels to select fewer"
    )


def _format_setting(key: str, value: str) -> str:
    """The Helm setting that adds a label to Dynamo's PodMonitors; dots of the key are escaped."""
    path = "dynamo-operator.dynamo.metrics.podMonitors.labels"
    return shlex.quote(f"{path}.{key.replace('.', _ESCAPED_DOT)}={value}")


def _report_down(monitors: PodMonitors, namespaces: Namespaces) -> Iterator[Finding]:
    """A warning for each Prometheus that reads Dynamo's monitors and has condition Available=False."""
    for collector in monitors.collectors:
        reads = any(_selects(collector, monitor, namespaces) for monitor in monitors.items)
        if reads and collector.available is False:
            yield warn(
                "reads Dynamo's PodMonitors but is not available",
                fix=f"kubectl describe {collector.kind.lower()} {collector.name} -n {collector.namespace}",
                subject=Subject(collector.kind, collector.name, collector.namespace),
            )


@check(
    "monitoring.dcgm-exporter",
    title="dcgm-exporter is ready where installed",
    explained_by={"gpu.operands": same_place},
)
def dcgm_exporter(workloads: Workloads, nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """Dashboards and alerts of GPU use, memory and faults read dcgm-exporter; serving does not need it.

    It is found by its image in any namespace, from the GPU Operator, its own chart or a cloud. A cluster
    without it gets no warning, as it may collect these metrics otherwise.

    Fix: kubectl describe daemonset NAME
    """
    with_gpus = list_gpu_nodes(nodes, slices)
    exporters = [workload for workload in workloads if _is_exporter(workload)]
    if not exporters:
        raise Skip("dcgm-exporter is not installed; serving does not need it")
    running = [exporter for exporter in exporters if exporter.desired]
    if not running and not with_gpus:
        raise Skip("no node has GPUs")
    for exporter in running or exporters:
        if not exporter.is_ready:
            yield _report_not_ready(exporter, len(with_gpus))


def _report_not_ready(exporter: Workload, gpu_nodes: int) -> Finding:
    if not exporter.desired:
        message = f"selects 0 nodes; {gpu_nodes} have GPUs"
    elif exporter.ready < exporter.desired:
        message = f"is ready on {exporter.ready} of {exporter.desired} nodes"
    else:
        message = "changed; its controller has not observed the change yet"
    return warn(
        message,
        fix=f"kubectl describe daemonset {exporter.name} -n {exporter.namespace}",
        evidence={"node selector": exporter.node_selector} if exporter.node_selector else {},
        subject=Subject("DaemonSet", exporter.name, exporter.namespace),
    )


def _is_exporter(workload: Workload) -> bool:
    """Whether it is a DaemonSet with the image of dcgm-exporter, from any registry."""
    names = (image.partition("@")[0].rpartition("/")[2] for image in workload.images)
    return workload.kind == "DaemonSet" and any(_EXPORTER in name for name in names)
