"""Whether anybody collects the metrics of Dynamo and of the GPUs."""

import shlex
from collections import defaultdict
from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, warn
from dynocheck.facts import CustomResourceDefinitions, Nodes, Recipes, ResourceSlices
from dynocheck.facts.k8s.monitoring import Collector, PodMonitor, PodMonitors
from dynocheck.facts.k8s.namespaces import Namespaces
from dynocheck.facts.k8s.workloads import Workload, Workloads

_GRAPHS = "dynamographdeployments.nvidia.com"
_EXPORTER = "dcgm-exporter"
_INSTALL = (
    "helm upgrade --install prometheus kube-prometheus-stack "
    "--repo https://prometheus-community.github.io/helm-charts --namespace monitoring --create-namespace "
    "--set prometheus.prometheusSpec.podMonitorSelectorNilUsesHelmValues=false"
)
_ESCAPED_DOT = "\\."
_LOST = "what they would collect is lost, unless it is collected otherwise"


def _find_planners(recipes: Recipes | None) -> list[str]:
    """The graphs that have a planner, which decides by these metrics."""
    return [
        graph.name
        for recipe in recipes or ()
        for graph in recipe.graphs
        if any(component.role == "planner" for component in graph.components)
    ]


@check("monitoring.prometheus", title="A Prometheus collects the metrics of Dynamo's pods")
def prometheus(
    monitors: PodMonitors,
    namespaces: Namespaces,
    definitions: CustomResourceDefinitions,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """The planner's `sla` mode, autoscaling by metrics and every dashboard read what Prometheus collected.

    Dynamo's chart brings PodMonitors where the Prometheus operator was there first. A Prometheus reads
    those that its `podMonitorSelector` and `podMonitorNamespaceSelector` select, and kube-prometheus-stack
    selects only its own unless told otherwise. Without the operator it is a warning only for a recipe with
    a planner: serving itself needs none of it. Who else may collect is not looked at: collectors of other
    makers that read PodMonitors, and what a Prometheus was told to scrape by hand.

    Fix: helm upgrade prometheus kube-prometheus-stack --reuse-values
    --set prometheus.prometheusSpec.podMonitorSelectorNilUsesHelmValues=false
    """
    planners = _find_planners(recipes)
    if not monitors.served:
        if not planners:
            raise Skip("the Prometheus operator is not installed, and serving does not need it")
        yield warn(
            f"{', '.join(planners)} has a planner, whose mode sla reads Prometheus, and the Prometheus "
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
            "the Prometheus operator is there, and no PodMonitor looks for Dynamo's pods",
            fix="helm upgrade dynamo-platform CHART --reuse-values "
            "--set dynamo-operator.dynamo.metrics.podMonitors.enabled=true",
        )
        return
    if not monitors.collectors_served:
        raise Skip("PodMonitors are there without the types of who reads them: another collector's, it seems")
    unread: dict[tuple[str, ...], list[PodMonitor]] = defaultdict(list)
    for monitor in monitors.items:
        readers = [c for c in monitors.collectors if _selects(c, monitor, namespaces)]
        if not readers:
            unread[monitor.namespace, *sorted(f"{k}={v}" for k, v in monitor.labels.items())].append(monitor)
    for alike in unread.values():
        yield _report_unread(alike, monitors, namespaces)
    yield from _report_down(monitors, namespaces)


def _selects(collector: Collector, monitor: PodMonitor, namespaces: Namespaces) -> bool:
    return not _find_refusals(collector, monitor, namespaces)


def _find_refusals(collector: Collector, monitor: PodMonitor, namespaces: Namespaces) -> dict[str, str]:
    """The selectors of a collector that leave a monitor out, and what they want."""
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


def _report_unread(alike: list[PodMonitor], monitors: PodMonitors, namespaces: Namespaces) -> Finding:
    """Monitors of one namespace and with the same labels, which nobody selects."""
    names = ", ".join(monitor.name for monitor in alike)
    subject = Subject("PodMonitor", alike[0].name, alike[0].namespace)
    if not monitors.collectors:
        return warn(f"there is no Prometheus to read {names}: {_LOST}", fix=_INSTALL, subject=subject)
    refusals = {
        f"{c.kind} {c.namespace}/{c.name}": _find_refusals(c, alike[0], namespaces)
        for c in monitors.collectors
    }
    return warn(
        f"no Prometheus selects {names}: {_LOST}",
        fix=_suggest_relabel(alike, monitors, namespaces),
        evidence=refusals,
        subject=subject,
    )


def _suggest_relabel(alike: list[PodMonitor], monitors: PodMonitors, namespaces: Namespaces) -> str:
    """The labels that one Prometheus asks for, where labels are all that it wants."""
    for collector in monitors.collectors:
        wanted = collector.monitors
        lacks = _find_refusals(collector, alike[0], namespaces).keys() - {"podMonitorSelector"}
        if not lacks and wanted is not None and wanted.labels and not wanted.expressions:
            settings = " ".join(f"--set {_format_setting(*label)}" for label in wanted.labels.items())
            return f"helm upgrade dynamo-platform CHART --reuse-values {settings}"
    first = monitors.collectors[0]
    return f"kubectl edit {first.kind.lower()} {first.name} -n {first.namespace}   # its podMonitor selectors"


def _format_setting(key: str, value: str) -> str:
    """What gives Dynamo's PodMonitors this label; Helm takes a dot for a step down unless it is escaped."""
    path = "dynamo-operator.dynamo.metrics.podMonitors.labels"
    return shlex.quote(f"{path}.{key.replace('.', _ESCAPED_DOT)}={value}")


def _report_down(monitors: PodMonitors, namespaces: Namespaces) -> Iterator[Finding]:
    """Each Prometheus that reads Dynamo's monitors and says of itself that it is not available."""
    for collector in monitors.collectors:
        reads = any(_selects(collector, monitor, namespaces) for monitor in monitors.items)
        if reads and collector.available is False:
            yield warn(
                "reads Dynamo's PodMonitors, and is not available",
                fix=f"kubectl describe {collector.kind.lower()} {collector.name} -n {collector.namespace}",
                subject=Subject(collector.kind, collector.name, collector.namespace),
            )


@check("monitoring.dcgm-exporter", title="The exporter of GPU metrics runs, where there is one")
def dcgm_exporter(workloads: Workloads, nodes: Nodes, slices: ResourceSlices) -> Iterator[Finding]:
    """Dynamo serves without it; dashboards and alerts of GPU use, memory and faults read it.

    It is found by its image in any namespace, from the GPU Operator, its own chart or a cloud. A cluster
    without one may get these metrics otherwise, so that none is no warning.

    Fix: kubectl describe daemonset NAME
    """
    with_gpus = {node.name for node in nodes if node.has_gpu_label or node.gpus}
    with_gpus |= {each.node for each in slices if each.driver == "gpu.nvidia.com" and each.node is not None}
    exporters = [each for each in workloads if each.kind == "DaemonSet" and _is_exporter(each)]
    if not exporters:
        raise Skip("no dcgm-exporter is installed, and Dynamo serves without it")
    running = [each for each in exporters if each.desired]
    if not running and not with_gpus:
        raise Skip("no node has GPUs")
    for exporter in running or exporters:
        if not exporter.is_ready:
            yield _report_not_ready(exporter, len(with_gpus))


def _report_not_ready(exporter: Workload, gpu_nodes: int) -> Finding:
    if not exporter.desired:
        seen = f"is to run on no node, though {gpu_nodes} have GPUs"
    elif exporter.ready < exporter.desired:
        seen = f"is ready on {exporter.ready} of {exporter.desired} nodes"
    else:
        seen = "has been changed, and its controller has not told of it yet"
    return warn(
        seen,
        fix=f"kubectl describe daemonset {exporter.name} -n {exporter.namespace}",
        evidence={"node selector": exporter.node_selector} if exporter.node_selector else {},
        subject=Subject("DaemonSet", exporter.name, exporter.namespace),
    )


def _is_exporter(workload: Workload) -> bool:
    """Whether a container of it is the exporter, from whichever registry."""
    return any(_EXPORTER in image.partition("@")[0].rpartition("/")[2] for image in workload.images)
