"""What the API server refuses in Kubernetes' own kinds because two places of an object disagree."""

from collections.abc import Iterator
from fractions import Fraction

from dynocheck.facts import POD_TEMPLATE_PATHS, Manifest, Value, parse_quantity
from dynocheck.schema.messages import join_path, quote
from dynocheck.schema.rules import RuleViolation

_OVERCOMMITTED = ("cpu", "memory", "ephemeral-storage")


def find_disagreements(manifest: Manifest) -> Iterator[RuleViolation]:
    """Each place of an object that fits its schema and not another place of it."""
    if manifest.group == "" and manifest.kind == "PersistentVolumeClaim":
        yield from _check_size(manifest)
    path = POD_TEMPLATE_PATHS.get(manifest.kind)
    spec = manifest.root.get(*path, "spec") if path is not None else None
    if spec is not None and path is not None:
        claims = _collect_names(manifest.root, "spec", "volumeClaimTemplates")
        yield from _check_pod(spec, ".".join((*path, "spec")), claims)


def _check_size(manifest: Manifest) -> Iterator[RuleViolation]:
    size = manifest.root.get("spec", "resources", "requests", "storage")
    if size is not None and _parse_amount(size) <= 0:
        yield size, "spec.resources.requests.storage", "must be greater than zero"


def _check_pod(spec: Value, path: str, claims: set[str]) -> Iterator[RuleViolation]:
    volumes = {volume.get("name") for volume in _get_items(spec, "volumes")}
    known = claims | {name.text for name in volumes if name is not None and name.text}
    for field in ("initContainers", "containers"):
        for index, container in enumerate(_get_items(spec, field)):
            here = f"{path}.{field}[{index}]"
            yield from _check_mounts(container, here, known)
            yield from _check_resources(container, here)


def _check_mounts(container: Value, path: str, known: set[str]) -> Iterator[RuleViolation]:
    for index, mount in enumerate(_get_items(container, "volumeMounts")):
        name = mount.get("name")
        if name is not None and name.text not in known:
            yield name, f"{path}.volumeMounts[{index}].name", f"no volume is called {quote(name.data)}"


def _check_resources(container: Value, path: str) -> Iterator[RuleViolation]:
    """What is requested against its limit."""
    given = {field: _read_resources(container, field) for field in ("limits", "requests")}
    for field, entries in given.items():
        for name, value in entries.items():
            if _parse_amount(value) < 0:
                yield value, join_path(f"{path}.resources.{field}", name), "must not be negative"
    for name, asked in given["requests"].items():
        if says := _compare_to_limit(name, asked, given["limits"].get(name)):
            yield asked, join_path(f"{path}.resources.requests", name), says


def _compare_to_limit(name: str, asked: Value, limit: Value | None) -> str | None:
    shared = name in _OVERCOMMITTED
    if limit is None:
        return None if shared else "needs a limit too: it cannot be given to more than one"
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
