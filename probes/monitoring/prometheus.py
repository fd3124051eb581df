"""Probe of the Prometheus operator's objects that collect the metrics of Dynamo's pods."""

from functools import partial
from typing import Any, TypeVar

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, Collector, LabelSelector, PodMonitor, PodMonitors, SelectorExpression
from dynocheck.kube import Cluster, NotFound, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition

_GROUP = "monitoring.coreos.com"
_METRICS = "nvidia.com/metrics-enabled"  # label that the Dynamo operator sets on pods with metrics
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


@probe(
    access=[Access("list", plural, _GROUP) for plural in ("podmonitors", "prometheuses", "prometheusagents")]
)
def pod_monitors(cluster: Cluster) -> PodMonitors:
    calls: list[Any] = [
        partial(_list_if_served, cluster, "v1/podmonitors", _Monitor),
        *(partial(_list_if_served, cluster, path, _Collector) for path in _COLLECTORS.values()),
    ]
    monitors, *collectors = run_parallel(calls)
    converted = (_convert_monitor(monitor) for monitor in monitors or ())
    return PodMonitors(
        items=tuple(monitor for monitor in converted if _METRICS in monitor.pods.keys),
        collectors=tuple(
            _convert_collector(kind, item)
            for kind, items in zip(_COLLECTORS, collectors, strict=True)
            for item in items or ()
        ),
        served=monitors is not None,
        collectors_served=any(items is not None for items in collectors),
    )


def _list_if_served(cluster: Cluster, path: str, kind: type[T]) -> list[T] | None:
    """The objects of a type, or None when the cluster does not serve the type."""
    try:
        return cluster.items(f"/apis/{_GROUP}/{path}", kind)
    except NotFound:
        return None


def _convert_monitor(monitor: _Monitor) -> PodMonitor:
    meta = monitor.metadata
    return PodMonitor(
        namespace=meta.namespace,
        name=meta.name,
        labels=meta.labels or {},
        pods=_convert_selector(monitor.spec.selector) or LabelSelector(),
    )


def _convert_collector(kind: str, collector: _Collector) -> Collector:
    conditions = {c.type: c.status for c in collector.status.conditions or ()}
    return Collector(
        kind=kind,
        namespace=collector.metadata.namespace,
        name=collector.metadata.name,
        labels=collector.metadata.labels or {},
        monitors=_convert_selector(collector.spec.pod_monitor_selector),
        namespaces=_convert_selector(collector.spec.pod_monitor_namespace_selector),
        available=conditions["Available"] != "False" if "Available" in conditions else None,
    )


def _convert_selector(selector: _Selector | None) -> LabelSelector | None:
    if selector is None:
        return None
    return LabelSelector(
        selector.match_labels or {},
        tuple(
            SelectorExpression(r.key, r.operator, tuple(r.values or ()))
            for r in selector.match_expressions or ()
        ),
    )
