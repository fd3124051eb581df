"""What the API server refuses in Kubernetes' own kinds because two places of an object disagree."""

import base64
import ipaddress
import itertools
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from dynocheck.facts import POD_TEMPLATE_PATHS, Manifest, Value, parse_quantity
from dynocheck.schema.messages import join_path, quote
from dynocheck.schema.rules import RuleViolation

_OVERCOMMITTED = ("cpu", "memory", "ephemeral-storage")
_COUNTED = ("pods", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims")
_MOST_PRIORITY = 10**9  # of a class that is not the system's
_SYSTEM_CLASSES = ("system-cluster-critical", "system-node-critical")
_BY_SIDECARS = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")
_GRACE_S = 30  # seconds that a pod has to end


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
    if manifest.kind == "Deployment" and manifest.group == "apps":
        yield from _check_deadline(manifest.root)
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
        elif (name in _COUNTED or name.startswith("count/")) and _parse_amount(amount).denominator != 1:
            yield amount, join_path("spec.hard", name), f"is {quote(amount.data)}, must be a whole number"


def _check_deadline(root: Value) -> Iterator[RuleViolation]:
    deadline, ready = root.get("spec", "progressDeadlineSeconds"), root.get("spec", "minReadySeconds")
    limit = _parse_amount(deadline) if deadline is not None else Fraction(600)
    if ready is not None and limit <= _parse_amount(ready):
        message = f"must be greater than minReadySeconds {quote(ready.data)}"
        yield deadline or ready, "spec.progressDeadlineSeconds", message


def _check_priority(root: Value) -> Iterator[RuleViolation]:
    name, value = root.get("metadata", "name"), root.get("value")
    if name is not None and name.text in _SYSTEM_CLASSES:
        return
    if name is not None and (name.text or "").startswith("system-"):
        yield name, "metadata.name", "must not begin with system-, which Kubernetes keeps for its own"
    elif value is not None and _parse_amount(value) > _MOST_PRIORITY:
        yield value, "value", f"is {quote(value.data)}, must be at most {_MOST_PRIORITY}"


def _check_keys(root: Value) -> Iterator[RuleViolation]:
    """Keys that a ConfigMap has as text and as bytes."""
    texts = _read_entries(root, "data")
    for key, value in _read_entries(root, "binaryData").items():
        if key in texts:
            yield value, join_path("binaryData", key), "is a key of data too"


def _check_constraints(root: Value) -> Iterator[RuleViolation]:
    """Constraints and settings of a claim for requests that it lacks."""
    claims = (root.get("spec", "spec", "devices"), root.get("spec", "devices"))
    for place, devices in zip(("spec.spec.devices", "spec.devices"), claims, strict=True):
        requests = devices.get_items("requests") if devices is not None else []
        names = {request.get_text("name") for request in requests}
        names |= {
            f"{request.get_text('name')}/{each.get_text('name')}"
            for request in requests
            for each in request.get_items("firstAvailable")
        }
        for part in ("constraints", "config"):
            for index, rule in enumerate(devices.get_items(part) if devices is not None else ()):
                for number, name in enumerate(rule.get_items("requests")):
                    if name.text not in names:
                        path = f"{place}.{part}[{index}].requests[{number}]"
                        yield name, path, f"is {quote(name.data)}, which no request is called"


_SECURITY_LEVELS = ("privileged", "baseline", "restricted")


def _check_security_labels(root: Value) -> Iterator[RuleViolation]:
    """The levels of pod security that a Namespace enforces, or warns of."""
    for key, value in _read_entries(root.get("metadata") or root, "labels").items():
        mode = key.removeprefix("pod-security.kubernetes.io/")
        if mode in ("enforce", "audit", "warn") and mode != key and value.text not in _SECURITY_LEVELS:
            message = f"is {quote(value.data)}, must be {', '.join(_SECURITY_LEVELS[:2])} or restricted"
            yield value, join_path("metadata.labels", key), message


def _check_failure_policy(root: Value) -> Iterator[RuleViolation]:
    """Names of containers that a Job's policy has and its pods lack, and more failed indexes than indexes."""
    most, count = root.get("spec", "maxFailedIndexes"), root.get("spec", "completions")
    if most is not None and count is not None and _parse_amount(most) > _parse_amount(count):
        yield most, "spec.maxFailedIndexes", f"is {quote(most.data)}, over completions {quote(count.data)}"
    pod = root.get("spec", "template", "spec") or root
    names = {c.get_text("name") for key in ("containers", "initContainers") for c in _get_items(pod, key)}
    each_index = root.get("spec", "backoffLimitPerIndex") is not None
    for index, rule in enumerate(root.get_items("spec", "podFailurePolicy", "rules")):
        action = rule.get("action")
        if action is not None and action.text == "FailIndex" and not each_index:
            yield action, f"spec.podFailurePolicy.rules[{index}].action", "needs backoffLimitPerIndex"
        name = rule.get("onExitCodes", "containerName")
        if name is not None and name.text not in names:
            path = f"spec.podFailurePolicy.rules[{index}].onExitCodes.containerName"
            yield name, path, f"is {quote(name.data)}, which no container is called"


def _check_policy(root: Value) -> Iterator[RuleViolation]:
    """Of a NetworkPolicy: ranges of ports, and blocks that are taken out of others."""
    for way in ("ingress", "egress"):
        for number, rule in enumerate(root.get_items("spec", way)):
            for index, peer in enumerate(rule.get_items("from" if way == "ingress" else "to")):
                block = peer.get("ipBlock")
                for at, out in enumerate(block.get_items("except") if block is not None else ()):
                    if block is not None and not _is_part(out.text, block.get_text("cidr")):
                        side = "from" if way == "ingress" else "to"
                        path = f"spec.{way}[{number}].{side}[{index}].ipBlock.except[{at}]"
                        yield out, path, f"must be a part of {block.get_text('cidr')}"
            for index, port in enumerate(rule.get_items("ports")):
                first, last = port.get("port"), port.get("endPort")
                if last is not None and (
                    first is None or first.text or _parse_amount(first) > _parse_amount(last)
                ):
                    path = f"spec.{way}[{number}].ports[{index}].endPort"
                    yield last, path, "needs a port, which is a number that is not greater"


def _is_part(block: str | None, whole: str) -> bool:
    """Whether a block of addresses is within another and smaller; true for what is no block at all."""
    try:
        inner, outer = (ipaddress.ip_network(each or "", strict=False) for each in (block, whole))
    except ValueError:
        return True
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner != outer and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner != outer and inner.subnet_of(outer)


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
    if root.get_text("type") == "kubernetes.io/basic-auth" and not kept.keys() & {"username", "password"}:
        yield root.get("data") or root, "data", "needs username or password for its type"
    account = "kubernetes.io/service-account.name"
    if root.get_text("type") == "kubernetes.io/service-account-token":
        annotations = root.get("metadata", "annotations")
        if annotations is None or not annotations.get_text(account):
            place = join_path("metadata.annotations", account)
            yield annotations or root.get("metadata") or root, place, "is required for its type"


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
        yield from _check_ratios(limit, f"spec.limits[{index}].maxLimitRequestRatio")
        given = {part: _read_entries(limit, part) for part in order}
        for low, high in itertools.combinations(order, 2):
            for name, value in given[low].items():
                if name in given[high] and _parse_amount(value) > _parse_amount(given[high][name]):
                    path = join_path(f"spec.limits[{index}].{high}", name)
                    yield given[high][name], path, f"is less than its {low}, {quote(value.data)}"


def _check_ratios(limit: Value, path: str) -> Iterator[RuleViolation]:
    """Ratios of a limit to its request that are below 1, or more than min and max allow anyway."""
    for name, ratio in _read_entries(limit, "maxLimitRequestRatio").items():
        ends = [_read_entries(limit, side).get(name) for side in ("min", "max")]
        least, most = (_parse_amount(end) if end is not None else Fraction(0) for end in ends)
        if _parse_amount(ratio) < 1:
            yield ratio, join_path(path, name), f"is {quote(ratio.data)}, must be at least 1"
        elif 0 < least <= most and _parse_amount(ratio) > most / least:
            yield ratio, join_path(path, name), f"is {quote(ratio.data)}, more than max by min"


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
            yield from _check_propagation(container, here)
            yield from _check_sleep(container, here, spec)
            if field == "initContainers" and container.get_text("restartPolicy") != "Always":
                for part in _BY_SIDECARS:
                    if (value := container.get(part)) is not None and value.data is not None:
                        message = "is for an init container with restartPolicy: Always alone"
                        yield value, f"{here}.{part}", message
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


def _check_propagation(container: Value, path: str) -> Iterator[RuleViolation]:
    privileged = container.get("securityContext", "privileged")
    for index, mount in enumerate(_get_items(container, "volumeMounts")):
        way = mount.get("mountPropagation")
        if way is not None and way.text == "Bidirectional" and not (privileged and privileged.data is True):
            yield way, f"{path}.volumeMounts[{index}].mountPropagation", "needs a privileged container"


def _check_sleep(container: Value, path: str, spec: Value) -> Iterator[RuleViolation]:
    """Sleeps of hooks that last longer than a pod may take to end."""
    grace = spec.get("terminationGracePeriodSeconds")
    most = _parse_amount(grace) if grace is not None and grace.data is not None else _GRACE_S
    for hook in ("postStart", "preStop"):
        seconds = container.get("lifecycle", hook, "sleep", "seconds")
        if seconds is not None and not 0 <= _parse_amount(seconds) <= most:
            message = f"is {quote(seconds.data)}, must be from 0 to terminationGracePeriodSeconds, {most}"
            yield seconds, f"{path}.lifecycle.{hook}.sleep.seconds", message


_HUGE = {"hugepages-2Mi": 2 << 20, "hugepages-1Gi": 1 << 30}


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
            elif amount % _HUGE.get(name, 1) and name in _HUGE:
                yield value, here, f"is {quote(value.data)}, must be a multiple of {name.partition('-')[2]}"
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
    "ConfigMap": _check_keys,
    "HorizontalPodAutoscaler": _check_bounds,
    "Job": _check_failure_policy,
    "LimitRange": _check_limits,
    "Namespace": _check_security_labels,
    "NetworkPolicy": _check_policy,
    "PersistentVolume": _check_capacity,
    "PriorityClass": _check_priority,
    "ResourceClaim": _check_constraints,
    "ResourceClaimTemplate": _check_constraints,
    "ResourceQuota": _check_quota,
    "Secret": _check_secret,
}
