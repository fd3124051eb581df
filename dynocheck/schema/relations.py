"""What the API server refuses in Kubernetes' own kinds because two places of an object disagree."""

from collections.abc import Iterator
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


def _check_selector(root: Value) -> Iterator[RuleViolation]:
    """Labels that a selector asks for and the template lacks."""
    labels = root.get("spec", "template", "metadata", "labels")
    given = labels.plain if labels is not None else {}
    wanted = root.get("spec", "selector", "matchLabels")
    for key, value in wanted.mapping.items() if wanted is not None else ():
        if given.get(key) != value.data:
            path = join_path("spec.selector.matchLabels", key)
            yield value, path, f"is {quote(value.data)}, which is no label of the template"


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
