"""Who collects the metrics of Dynamo's pods: the objects of the Prometheus operator."""

from functools import partial
from typing import Any, TypeVar

import msgspec

from dynocheck import probe
from dynocheck.facts import Access
from dynocheck.facts.k8s.label_selectors import LabelSelector, SelectorExpression
from dynocheck.facts.k8s.monitoring import Collector, PodMonitor, PodMonitors
from dynocheck.kube import Cluster, NotFound, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition

_GROUP = "monitoring.coreos.com"
_METRICS = "nvidia.com/metrics-enabled"  # the operator puts it on every pod that has metrics
_COLLECTORS = {"Prometheus": "v1/prometheuses", "PrometheusAgent": "v1alpha1/prometheusagents"}

T = TypeVar("T")


class _Requirement(msgspec.Struct):
    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class _Selector(msgspec.Struct, rename="camel"):
    match_labels: dict[str, str] | None = None
    match_expressions: list[_Requirement] | None = None


class _CollectorSpec(msgspec.Struct, rename="camel"):
    pod_monitor_selector: _Selector | None = None
    pod_monitor_namespace_selector: _Selector | None = None


class _Status(msgspec.Struct):
    conditions: list[StatusCondition] | None = None


class _Collector(msgspec.Struct):
    metadata: ObjectMeta
    spec: _CollectorSpec = msgspec.field(default_factory=_CollectorSpec)
    status: _Status = msgspec.field(default_factory=_Status)


class _MonitorSpec(msgspec.Struct):
    selector: _Selector = msgspec.field(default_factory=_Selector)


class _Monitor(msgspec.Struct):
    metadata: ObjectMeta
    spec: _MonitorSpec = msgspec.field(default_factory=_MonitorSpec)


@probe(access=[Access("list", each, _GROUP) for each in ("podmonitors", "prometheuses", "prometheusagents")])
def pod_monitors(cluster: Cluster) -> PodMonitors:
    calls: list[Any] = [
        partial(_list_if_served, cluster, "v1/podmonitors", _Monitor),
        *(partial(_list_if_served, cluster, path, _Collector) for path in _COLLECTORS.values()),
    ]
    monitors, *collectors = run_parallel(calls)
    made = (_convert_monitor(found) for found in monitors or ())
    return PodMonitors(
        items=tuple(monitor for monitor in made if _METRICS in monitor.pods.keys),
        collectors=tuple(
            _convert_collector(kind, found)
            for kind, each in zip(_COLLECTORS, collectors, strict=True)
            for found in each or ()
        ),
        served=monitors is not None,
        collectors_served=any(each is not None for each in collectors),
    )


def _list_if_served(cluster: Cluster, path: str, kind: type[T]) -> list[T] | None:
    """The objects of a type, or None when the cluster does not have the type."""
    try:
        return cluster.items(f"/apis/{_GROUP}/{path}", kind)
    except NotFound:
        return None


def _convert_monitor(found: _Monitor) -> PodMonitor:
    meta = found.metadata
    return PodMonitor(
        namespace=meta.namespace,
        name=meta.name,
        labels=meta.labels or {},
        pods=_convert_selector(found.spec.selector) or LabelSelector(),
    )


def _convert_collector(kind: str, found: _Collector) -> Collector:
    conditions = {c.type: c.status for c in found.status.conditions or ()}
    return Collector(
        kind=kind,
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        labels=found.metadata.labels or {},
        monitors=_convert_selector(found.spec.pod_monitor_selector),
        namespaces=_convert_selector(found.spec.pod_monitor_namespace_selector),
        available=conditions["Available"] != "False" if "Available" in conditions else None,
    )


def _convert_selector(found: _Selector | None) -> LabelSelector | None:
    if found is None:
        return None
    return LabelSelector(
        found.match_labels or {},
        tuple(
            SelectorExpression(r.key, r.operator, tuple(r.values or ()))
            for r in found.match_expressions or ()
        ),
    )
