"""What the API server refuses in Kubernetes' own kinds because two places of an object disagree."""

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from dynocheck.facts import POD_TEMPLATE_PATHS, Manifest, Value, parse_quantity
from dynocheck.schema.messages import join_path, quote
from dynocheck.schema.rules import RuleViolation

_OVERCOMMITTED = ("cpu", "memory", "ephemeral-storage")


def find_disagreements(manifest: Manifest) -> Iterator[RuleViolation]:
    """Each place of an object that fits its schema and not another place of it."""
    if manifest.group == "" and manifest.kind == "PersistentVolumeClaim":
        yield from _check_size(manifest)
    if manifest.group == "" and manifest.kind == "Service":
        yield from _check_service_ports(manifest.root)
    if manifest.kind in _CHECKS:
        yield from _CHECKS[manifest.kind](manifest.root)
    if manifest.group == "apps":
        yield from _check_selector(manifest.root)
    path = POD_TEMPLATE_PATHS.get(manifest.kind)
    spec = manifest.root.get(*path, "spec") if path is not None else None
    if spec is not None and path is not None:
        claims = _collect_names(manifest.root, "spec", "volumeClaimTemplates")
        yield from _check_pod(spec, ".".join((*path, "spec")), claims)


def _check_size(manifest: Manifest) -> Iterator[RuleViolation]:
    size = manifest.root.get("spec", "resources", "requests", "storage")
    if size is not None and _parse_amount(size) <= 0:
        yield size, "spec.resources.requests.storage", "must be greater than zero"


def _check_service_ports(root: Value) -> Iterator[RuleViolation]:
    seen: set[tuple[Any, Any]] = set()
    node_ports: set[tuple[Any, Any]] = set()
    inside = root.get_text("spec", "type") in ("", "ClusterIP")
    ports = _get_items(root.get("spec") or root, "ports")
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        if len(ports) > 1 and not port.get_text("name"):
            yield port, f"{path}.name", "is required, as there is more than one port"
        number = port.get("port")
        key = (port.get_text("protocol") or "TCP", number.data if number is not None else None)
        if key in seen:
            yield number or port, f"{path}.port", f"is {quote(key[1])} again, of the same protocol"
        seen.add(key)
        node_port = port.get("nodePort")
        if node_port is not None and node_port.data:
            if inside:
                yield node_port, f"{path}.nodePort", "needs type: NodePort or LoadBalancer"
            elif (key[0], node_port.data) in node_ports:
                yield node_port, f"{path}.nodePort", f"is {quote(node_port.data)} again, of the same protocol"
            node_ports.add((key[0], node_port.data))


def _lasts_without_pods(root: Value) -> bool:
    """Whether an autoscaler has a metric that is still there when no pod is."""
    return any(
        metric.get_text("type") in ("Object", "External") for metric in root.get_items("spec", "metrics")
    )


def _check_bounds(root: Value) -> Iterator[RuleViolation]:
    """Of an autoscaler: its bounds, and the targets of its metrics."""
    least, most = root.get("spec", "minReplicas"), root.get("spec", "maxReplicas")
    if least is not None and most is not None and _parse_amount(least) > _parse_amount(most):
        yield most, "spec.maxReplicas", f"is {quote(most.data)}, less than minReplicas {quote(least.data)}"
    if least is not None and least.data == 0 and not _lasts_without_pods(root):
        yield least, "spec.minReplicas", "is 0, which needs a metric of type Object or External"
    for index, metric in enumerate(root.get_items("spec", "metrics")):
        for block, target in ((key, value.get("target")) for key, value in metric.mapping.items()):
            for key in ("value", "averageValue"):
                value = target.get(key) if target is not None else None
                if value is not None and _parse_amount(value) <= 0:
                    yield value, f"spec.metrics[{index}].{block}.target.{key}", "must be greater than zero"


def _check_capacity(root: Value) -> Iterator[RuleViolation]:
    size = root.get("spec", "capacity", "storage")
    if size is not None and _parse_amount(size) <= 0:
        yield size, "spec.capacity.storage", "must be greater than zero"


def _check_quota(root: Value) -> Iterator[RuleViolation]:
    for name, amount in _read_entries(root.get("spec") or root, "hard").items():
        if _parse_amount(amount) < 0:
            yield amount, join_path("spec.hard", name), "must not be negative"


def _check_failure_policy(root: Value) -> Iterator[RuleViolation]:
    """Names of containers that a Job's policy has and its pods lack, and more failed indexes than indexes."""
    most, count = root.get("spec", "maxFailedIndexes"), root.get("spec", "completions")
    if most is not None and count is not None and _parse_amount(most) > _parse_amount(count):
        yield most, "spec.maxFailedIndexes", f"is {quote(most.data)}, over completions {quote(count.data)}"
    pod = root.get("spec", "template", "spec") or root
    names = {c.get_text("name") for key in ("containers", "initContainers") for c in _get_items(pod, key)}
    for index, rule in enumerate(root.get_items("spec", "podFailurePolicy", "rules")):
        name = rule.get("onExitCodes", "containerName")
        if name is not None and name.text not in names:
            path = f"spec.podFailurePolicy.rules[{index}].onExitCodes.containerName"
            yield name, path, f"is {quote(name.data)}, which no container is called"


def _check_port_ranges(root: Value) -> Iterator[RuleViolation]:
    for way in ("ingress", "egress"):
        for number, rule in enumerate(root.get_items("spec", way)):
            for index, port in enumerate(rule.get_items("ports")):
                first, last = port.get("port"), port.get("endPort")
                if last is not None and (
                    first is None or first.text or _parse_amount(first) > _parse_amount(last)
                ):
                    path = f"spec.{way}[{number}].ports[{index}].endPort"
                    yield last, path, "needs a port, which is a number that is not greater"


_KEYS_OF_SECRETS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _check_secret(root: Value) -> Iterator[RuleViolation]:
    """Keys that the type of a Secret needs, and JSON where it needs that."""
    kept = {key: value for part in ("data", "stringData") for key, value in _read_entries(root, part).items()}
    for key in _KEYS_OF_SECRETS.get(root.get_text("type"), ()):
        if key not in kept:
            yield root.get("data") or root, join_path("data", key), "is required for its type"
        elif key.startswith(".docker") and not _is_json(root, key):
            yield kept[key], join_path("data", key), "must be JSON"


def _read_entries(root: Value, part: str) -> dict[str, Value]:
    found = root.get(part)
    return found.data if found is not None and isinstance(found.data, dict) else {}


def _is_json(root: Value, key: str) -> bool:
    plain = _read_entries(root, "stringData").get(key)
    encoded = _read_entries(root, "data").get(key)
    try:
        text = plain.text if plain is not None else base64.b64decode((encoded and encoded.text) or "")
        json.loads(text or "")
    except ValueError:
        return False
    return True


def _check_limits(root: Value) -> Iterator[RuleViolation]:
    """Amounts of a LimitRange that are not in the order of min, defaultRequest, default and max."""
    order = ("min", "defaultRequest", "default", "max")
    for index, limit in enumerate(root.get_items("spec", "limits")):
        given = {part: _read_entries(limit, part) for part in order}
        for low, high in itertools.combinations(order, 2):
            for name, value in given[low].items():
                if name in given[high] and _parse_amount(value) > _parse_amount(given[high][name]):
                    path = join_path(f"spec.limits[{index}].{high}", name)
                    yield given[high][name], path, f"is less than its {low}, {quote(value.data)}"


def _check_selector(root: Value) -> Iterator[RuleViolation]:
    """Labels that a selector asks for and the template lacks, and a selector whose parts are empty."""
    labels = root.get("spec", "template", "metadata", "labels")
    given = {key: value or "" for key, value in labels.plain.items()} if labels is not None else {}
    selector = root.get("spec", "selector") or root
    if selector is not root and selector.mapping and not any(each.data for each in selector.mapping.values()):
        yield selector, "spec.selector", "must not be empty"
    for key, value in _read_entries(selector, "matchLabels").items():
        if given.get(key) != (value.data or ""):
            path = join_path("spec.selector.matchLabels", key)
            yield value, path, f"is {quote(value.data)}, which is no label of the template"
    for index, wish in enumerate(root.get_items("spec", "selector", "matchExpressions")):
        if not _selects(wish, given):
            yield wish, f"spec.selector.matchExpressions[{index}]", "does not select the template's labels"


def _selects(wish: Value, labels: dict[str, Any]) -> bool:
    key, operator = wish.get_text("key"), wish.get_text("operator")
    values = [value.plain for value in wish.get_items("values")]
    is_there = key in labels
    if operator in ("Exists", "DoesNotExist"):
        return is_there == (operator == "Exists")
    return (is_there and labels[key] in values) == (operator == "In")


def _check_pod(spec: Value, path: str, claims: set[str]) -> Iterator[RuleViolation]:
    volumes = {volume.get("name") for volume in _get_items(spec, "volumes")}
    known = claims | {name.text for name in volumes if name is not None and name.text}
    offered = {claim.get_text("name") for claim in _get_items(spec, "resourceClaims")}
    yield from _check_container_names(spec, path)
    yield from _check_host_ports(spec, path)
    for index, volume in enumerate(_get_items(spec, "volumes")):
        size = volume.get("emptyDir", "sizeLimit")
        if size is not None and _parse_amount(size) < 0:
            yield size, f"{path}.volumes[{index}].emptyDir.sizeLimit", "must not be negative"
    for field in ("initContainers", "containers"):
        for index, container in enumerate(_get_items(spec, field)):
            here = f"{path}.{field}[{index}]"
            yield from _check_mounts(container, here, known)
            yield from _check_resources(container, here)
            yield from _check_claims(container, here, offered)


def _check_container_names(spec: Value, path: str) -> Iterator[RuleViolation]:
    """Names that a container has from an init container."""
    earlier = {container.get_text("name") for container in _get_items(spec, "initContainers")} - {""}
    for index, container in enumerate(_get_items(spec, "containers")):
        name = container.get("name")
        if name is not None and name.text in earlier:
            yield name, f"{path}.containers[{index}].name", "is also the name of an init container"


def _check_host_ports(spec: Value, path: str) -> Iterator[RuleViolation]:
    in_host = spec.get("hostNetwork")
    is_in_host = in_host is not None and in_host.data is True
    seen: set[tuple[Any, ...]] = set()
    for number, container in enumerate(_get_items(spec, "containers")):
        for index, port in enumerate(_get_items(container, "ports")):
            here = f"{path}.containers[{number}].ports[{index}].hostPort"
            host, inner = port.get("hostPort"), port.get("containerPort")
            if host is None or not host.data:
                continue
            if is_in_host and inner is not None and host.data != inner.data:
                yield host, here, f"is {quote(host.data)}, must be containerPort with hostNetwork"
            key = (port.get_text("protocol") or "TCP", port.get_text("hostIP"), host.data)
            if key in seen:
                yield host, here, f"is {quote(host.data)} again, of the same protocol"
            seen.add(key)


def _check_claims(container: Value, path: str, offered: set[str]) -> Iterator[RuleViolation]:
    for index, claim in enumerate(container.get_items("resources", "claims")):
        name = claim.get("name")
        if name is not None and name.text not in offered:
            yield (
                name,
                f"{path}.resources.claims[{index}].name",
                f"no resource claim is called {quote(name.data)}",
            )


def _check_mounts(container: Value, path: str, known: set[str]) -> Iterator[RuleViolation]:
    if any("${" in name for name in known):
        return
    for index, mount in enumerate(_get_items(container, "volumeMounts")):
        name = mount.get("name")
        if name is not None and name.text not in known:
            yield name, f"{path}.volumeMounts[{index}].name", f"no volume is called {quote(name.data)}"


def _check_resources(container: Value, path: str) -> Iterator[RuleViolation]:
    """What is requested against its limit."""
    given = {field: _read_resources(container, field) for field in ("limits", "requests")}
    for field, entries in given.items():
        for name, value in entries.items():
            here = join_path(f"{path}.resources.{field}", name)
            amount = _parse_amount(value)
            if amount < 0:
                yield value, here, "must not be negative"
            elif amount.denominator != 1 and name not in _OVERCOMMITTED:
                yield value, here, f"is {quote(value.data)}, must be a whole number"
        if any(name.startswith("hugepages-") for name in entries) and not entries.keys() & {"cpu", "memory"}:
            yield container, f"{path}.resources.{field}", "has huge pages, which need cpu or memory too"
    for name, asked in given["requests"].items():
        if says := _compare_to_limit(name, asked, given["limits"].get(name)):
            yield asked, join_path(f"{path}.resources.requests", name), says


def _compare_to_limit(name: str, asked: Value, limit: Value | None) -> str | None:
    shared = name in _OVERCOMMITTED
    if limit is None:
        return None if shared else "needs a limit too: it cannot be given to more than one"
    if any(value.data is not None and parse_quantity(value.data) is None for value in (asked, limit)):
        return None
    if shared and _parse_amount(asked) > _parse_amount(limit):
        return f"is {quote(asked.data)}, more than its limit of {quote(limit.data)}"
    if not shared and _parse_amount(asked) != _parse_amount(limit):
        return f"is {quote(asked.data)}, must be its limit of {quote(limit.data)}"
    return None


def _read_resources(container: Value, field: str) -> dict[str, Value]:
    found = container.get("resources", field)
    return found.data if found is not None and isinstance(found.data, dict) else {}


def _parse_amount(value: Value) -> Fraction:
    """A quantity that fits its schema; null counts as 0."""
    return parse_quantity(value.data) or Fraction(0)


def _get_items(value: Value, field: str) -> list[Value]:
    found = value.get(field)
    return found.sequence if found is not None else []


def _collect_names(root: Value, *path: str) -> set[str]:
    found = root.get(*path)
    names = [item.get("metadata", "name") for item in found.sequence] if found is not None else []
    return {name.text for name in names if name is not None and name.text}


_CHECKS: dict[str, Callable[[Value], Iterator[RuleViolation]]] = {
    "HorizontalPodAutoscaler": _check_bounds,
    "Job": _check_failure_policy,
    "LimitRange": _check_limits,
    "NetworkPolicy": _check_port_ranges,
    "PersistentVolume": _check_capacity,
    "ResourceQuota": _check_quota,
    "Secret": _check_secret,
}
