"""What a recipe's PodMonitors and ServiceMonitors select of the pods and Services beside them."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, fail, warn
from dynocheck.core.fixes import set_value
from dynocheck.core.spelling import find_slip
from dynocheck.facts import LabelledPod, Manifest, Recipe, Value, label_pods, may_match_any

_ENDPOINTS = {"PodMonitor": "podMetricsEndpoints", "ServiceMonitor": "endpoints"}
_GROUP = "monitoring.coreos.com"


def check_monitors(recipe: Recipe) -> Iterator[Finding]:
    """Reports monitors that select nothing of what their own file makes, or by the labels of pods no Service,
    and ports that what they select in their folder does not name. Of PodMonitors of other namespaces it is
    the labels alone. A monitor of the name of a Service is for that one.
    """
    monitors = [m for m in recipe.own_manifests if m.kind in _ENDPOINTS and m.group == _GROUP]
    pods = list(label_pods(recipe)) if monitors else []
    services = [m for m in recipe.manifests if m.kind == "Service" and not m.group] if monitors else []
    for monitor in monitors:
        mistaken = _find_pod_labels(monitor, services)
        if mistaken is not None:
            yield _report_pod_labels(monitor, mistaken)
        elif monitor.root.get("spec", "namespaceSelector") is None:
            if monitor.kind == "PodMonitor":
                yield from _check_pods(monitor, pods)
            else:
                yield from _check_services(monitor, services)
        elif monitor.kind == "ServiceMonitor":
            yield from _check_services(monitor, [each for each in services if _reaches(monitor, each)])
        yield from _check_timeouts(monitor)


def _find_pod_labels(monitor: Manifest, services: list[Manifest]) -> Manifest | None:
    """The Service of whose pods a ServiceMonitor has the labels, if no Service has them itself."""
    wanted = monitor.root.get("spec", "selector", "matchLabels")
    if monitor.kind != "ServiceMonitor" or wanted is None or not wanted.mapping:
        return None
    if any(_has_labels(service, wanted) for service in services):
        return None
    selectors = ((service, service.root.get("spec", "selector")) for service in services)
    return next((each for each, selector in selectors if selector and _holds(selector, wanted)), None)


def _report_pod_labels(monitor: Manifest, service: Manifest) -> Finding:
    place = monitor.root.get("spec", "selector") or monitor.root
    return warn(
        f"{monitor.kind} {monitor.name} selects no Service: its labels are those of the pods of Service "
        f"{service.name}, not of the Service itself",
        fix=f"write the labels in metadata.labels of Service {service.name} too",
        location=Location(monitor.file, place.line, place.column),
    )


def _check_pods(monitor: Manifest, pods: list[LabelledPod]) -> Iterator[Finding]:
    selector = monitor.root.get("spec", "selector")
    beside = [pod for pod in pods if pod.template.manifest.file == monitor.file]
    if beside and not any(pod.template.partial or pod.template.of_graph for pod in beside):
        yield from _report_unselected(monitor, "pod", selected=may_match_any(selector, beside))
    chosen = [
        pod.template
        for pod in pods
        if _is_near(pod.template.manifest, monitor) and may_match_any(selector, [pod])
    ]
    if chosen and not any(template.partial or template.of_graph for template in chosen):
        ports = [p for t in chosen for c in t.containers for p in c.get_items("ports")]
        yield from _check_ports(monitor, "pod", ports)


def _check_services(monitor: Manifest, services: list[Manifest]) -> Iterator[Finding]:
    wanted = monitor.root.get("spec", "selector", "matchLabels")
    if monitor.root.get("spec", "selector", "matchExpressions") is not None or wanted is None:
        return
    near = [service for service in services if _is_near(service, monitor)]
    chosen = [service for service in near if _has_labels(service, wanted)]
    beside = [service for service in near if service.file == monitor.file]
    meant = any(service.name == monitor.name or _has_slip(service, wanted) for service in near)
    if beside or meant:
        selected = any(service in chosen for service in beside or near)
        where = "file" if beside else "folder"
        yield from _report_unselected(monitor, "Service", selected=selected, where=where)
    if chosen:
        yield from _check_ports(
            monitor, "Service", [p for s in chosen for p in s.root.get_items("spec", "ports")]
        )


def _reaches(monitor: Manifest, service: Manifest) -> bool:
    """Whether a monitor looks into the namespace of a Service, as far as both spell it out."""
    selector = monitor.root.get("spec", "namespaceSelector")
    names = {name.text for name in selector.get_items("matchNames")} if selector is not None else set()
    namespace = service.root.get_text("metadata", "namespace")
    return bool(namespace) and (not names or namespace in names)


_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"(\d{1,9})(ms|[smh])")


def _check_timeouts(monitor: Manifest) -> Iterator[Finding]:
    """Reports endpoints whose timeout is over their interval: the operator leaves the whole monitor out."""
    for endpoint in monitor.root.get_items("spec", _ENDPOINTS[monitor.kind]):
        interval, timeout = endpoint.get("interval"), endpoint.get("scrapeTimeout")
        if interval is None or timeout is None:
            continue
        every, most = (_read_duration(value.text or "") for value in (interval, timeout))
        if every and most and most > every:
            yield fail(
                f"{monitor.kind} {monitor.name}: scrapeTimeout {timeout.text} is over its interval "
                f"{interval.text}: the operator leaves the monitor out",
                fix=set_value("scrapeTimeout", interval.text or ""),
                location=Location(monitor.file, timeout.line, timeout.column),
            )


def _read_duration(text: str) -> int:
    """The milliseconds of a duration; 0 if it is none of one unit."""
    found = _DURATION.fullmatch(text)
    return int(found[1]) * _UNITS_MS[found[2]] if found else 0


def _is_near(manifest: Manifest, monitor: Manifest) -> bool:
    return manifest.file.rpartition("/")[0] == monitor.file.rpartition("/")[0]


def _has_labels(service: Manifest, wanted: Value) -> bool:
    labels = service.root.get("metadata", "labels")
    return _holds(labels, wanted) if labels is not None else not wanted.mapping


def _has_slip(service: Manifest, wanted: Value) -> bool:
    """Whether a monitor asks for the labels of a Service, but for slips in their values."""
    labels = service.root.get("metadata", "labels")
    given = labels.mapping if labels is not None else {}
    pairs = [(given[key].text, value.text) for key, value in wanted.mapping.items() if key in given]
    return len(pairs) == len(wanted.mapping) > 0 and all(
        one == other or (one and other and find_slip(other, (one,))) for one, other in pairs
    )


def _holds(labels: Value, wanted: Value) -> bool:
    given = labels.mapping
    return all(key in given and given[key].data == value.data for key, value in wanted.mapping.items())


def _report_unselected(
    monitor: Manifest, what: str, *, selected: bool, where: str = "file"
) -> Iterator[Finding]:
    place = monitor.root.get("spec", "selector")
    if not selected and place is not None and place.mapping:
        yield warn(
            f"{monitor.kind} {monitor.name} selects no {what} of its {where}: nothing is collected",
            fix=f"select by the labels of the {what}",
            location=Location(monitor.file, place.line, place.column),
        )


def _check_ports(monitor: Manifest, what: str, ports: list[Value]) -> Iterator[Finding]:
    """Reports the names of ports that none of what a monitor selects has."""
    names = sorted({name for port in ports if (name := port.get_text("name"))})
    for endpoint in monitor.root.get_items("spec", _ENDPOINTS[monitor.kind]):
        port = endpoint.get("port")
        if port is not None and port.text and "$" not in port.text and port.text not in names:
            listed = f"the names are {', '.join(names)}" if names else "none has a name"
            yield warn(
                f"{monitor.kind} {monitor.name} collects from port {port.text}, which no {what} that it "
                f"selects has: {listed}",
                fix=set_value("port", names[0]) if len(names) == 1 else None,
                location=Location(monitor.file, port.line, port.column),
            )
