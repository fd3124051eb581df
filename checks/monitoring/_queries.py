"""The queries and metrics that a recipe's alerts, dashboards and autoscalers name."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Location
from dynocheck.facts import Manifest, Recipe, Value, parse_quantity

_RULES = ("PrometheusRule", "Rules", "ClusterRules", "GlobalRules")  # the last of managed Prometheus
MONITORS = ("PodMonitor", "ServiceMonitor", "PodMonitoring", "ClusterPodMonitoring")
_HPA = "HorizontalPodAutoscaler"
_DASHBOARD_QUERY = re.compile(r'"expr": {0,4}("(?:[^"\\]|\\.){0,20000}")')
_INTERVAL = re.compile(r"\[\$\{?\w{1,40}\}?(:\$?\w{0,40})?\]")
_HPA_BLOCKS = {"Pods": "pods", "External": "external", "Object": "object"}
_GOOGLE = re.compile(r"(?:prometheus|custom)\.googleapis\.com\|([^|]+)(?:\|\w+)?")


class Query(NamedTuple):
    """A query in PromQL: what asks it, and all that its author calls it and says of it.

    `reader` is Prometheus, KEDA or Grafana; `threshold` is what KEDA compares the result with.
    """

    owner: str
    text: str
    location: Location
    described: str
    reader: str
    threshold: Value | None = None


class ScalingMetric(NamedTuple):
    """A metric that an autoscaler asks a metrics API for, and its target value, if it is a number."""

    owner: str
    name: str
    location: Location
    target: float | None


def list_queries(recipe: Recipe) -> Iterator[Query]:
    """Every query of a recipe's rules, KEDA triggers and dashboards."""
    for manifest in recipe.own_manifests:
        if manifest.kind in _RULES:
            yield from _list_rules(manifest)
        elif manifest.kind in ("ScaledObject", "ScaledJob"):
            yield from _list_triggers(manifest)
        elif manifest.kind == "ConfigMap":
            for key, value in _read_data(manifest).items():
                if key.endswith(".json"):
                    yield from _list_panels(manifest, value)
        elif manifest.kind == "GrafanaDashboard" and (text := manifest.root.get("spec", "json")) is not None:
            yield from _list_panels(manifest, text)


def list_scaling_metrics(recipe: Recipe) -> Iterator[ScalingMetric]:
    """Every metric that a recipe's HorizontalPodAutoscalers name, but those of resources."""
    for manifest in recipe.own_manifests:
        for metric in (
            manifest.root.get_items("spec", "metrics") if manifest.kind == "HorizontalPodAutoscaler" else ()
        ):
            block = metric.get(_HPA_BLOCKS.get(metric.get_text("type"), ""))
            name = block.get("metric", "name") if block is not None else None
            if block is not None and name is not None and name.text:
                google = _GOOGLE.fullmatch(name.text)
                yield ScalingMetric(
                    f"{_HPA} {manifest.name}",
                    google[1] if google else name.text,
                    Location(manifest.file, name.line, name.column),
                    _read_target(block),
                )


def list_kept(recipe: Recipe) -> Iterator[tuple[str, str, Location]]:
    """The patterns of names that a recipe's monitors keep, each with the monitor and its place."""
    for manifest in recipe.own_manifests:
        for relabeling in _list_relabelings(manifest):
            pattern = relabeling.get("regex")
            names = [label.text for label in relabeling.get_items("sourceLabels")]
            if relabeling.get_text("action").lower() == "keep" and names == ["__name__"] and pattern:
                place = Location(manifest.file, pattern.line, pattern.column)
                yield f"{manifest.kind} {manifest.name}", pattern.text or "", place


def _list_relabelings(manifest: Manifest) -> Iterator[Value]:
    if manifest.kind in MONITORS:
        for key in ("endpoints", "podMetricsEndpoints"):
            for endpoint in manifest.root.get_items("spec", key):
                yield from endpoint.get_items("metricRelabelings")
                yield from endpoint.get_items("metricRelabeling")


def list_recorded(recipe: Recipe) -> set[str]:
    """The names that a recipe's recording rules, and the rules of its metrics adapters, make.

    A name that an adapter makes of a series' own has `$1` or `${1}` for a part of it.
    """
    recorded = {
        rule.get_text("record")
        for manifest in recipe.own_manifests
        for rule in (_list_rule_values(manifest) if manifest.kind in _RULES else ())
    }
    adapted = (v.text for f in recipe.files for root in f.documents for v in root.find_all("as"))
    embedded = (
        name
        for manifest in recipe.own_manifests
        if manifest.kind == "ConfigMap"
        for value in _read_data(manifest).values()
        for name in _read_adapted(value.text or "")
    )
    return {name for name in (*recorded, *adapted, *embedded) if name}


def _read_adapted(rules: str) -> list[str]:
    """The names that an adapter's rules make, in the text of a ConfigMap."""
    names = re.findall(r"\bas: {0,4}[\"']?([\w:${}]{1,200})", rules)
    is_default = "metricsQuery:" in rules and rules.count("matches:") > len(names)
    return [*names, "$1"] if is_default else names


def _read_data(manifest: Manifest) -> dict[str, Value]:
    data = manifest.root.get("data")
    return data.mapping if data is not None else {}


def _list_rule_values(manifest: Manifest) -> Iterator[Value]:
    for group in manifest.root.get_items("spec", "groups"):
        yield from group.get_items("rules")


def _list_rules(manifest: Manifest) -> Iterator[Query]:
    for rule in _list_rule_values(manifest):
        expr = rule.get("expr")
        if expr is not None and expr.data is not None:
            kind = "alert" if rule.get("alert") is not None else "record"
            name = rule.get_text(kind)
            notes = rule.get("annotations")
            said = [value.text or "" for value in (notes.mapping.values() if notes is not None else ())]
            place = Location(manifest.file, expr.line, expr.column)
            yield Query(f"{kind} {name}", str(expr.data), place, " ".join((name, *said)), "Prometheus")


def _list_triggers(manifest: Manifest) -> Iterator[Query]:
    for trigger in manifest.root.get_items("spec", "triggers"):
        query = trigger.get("metadata", "query")
        if trigger.get_text("type") == "prometheus" and query is not None and query.text:
            yield Query(
                f"{manifest.kind} {manifest.name}",
                query.text,
                Location(manifest.file, query.line, query.column),
                f"{trigger.get_text('name')} {trigger.get_text('metadata', 'metricName')}",
                "KEDA",
                trigger.get("metadata", "threshold"),
            )


def _list_panels(manifest: Manifest, dashboard: Value) -> Iterator[Query]:
    """The queries of a dashboard, in which the interval that Grafana fills in is any."""
    text = dashboard.text or ""
    inline = "\n" not in text.strip()
    for found in _DASHBOARD_QUERY.finditer(text):
        line = dashboard.line if inline else dashboard.line + 1 + text.count("\n", 0, found.start())
        try:
            query = json.loads(found[1], strict=False)
        except ValueError:
            continue
        place = Location(manifest.file, line, None if not inline else dashboard.column)
        yield Query(f"dashboard {manifest.name}", _INTERVAL.sub("[5m]", query), place, "", "Grafana")


def _read_target(block: Value) -> float | None:
    target = block.get("target", "averageValue") or block.get("target", "value")
    amount = parse_quantity(target.data) if target is not None else None
    return float(amount) if amount is not None else None
