"""What the API server refuses in Kubernetes' own kinds because two places of an object disagree."""

from collections.abc import Iterator
from fractions import Fraction

from dynocheck.facts.k8s.pods import TEMPLATES
from dynocheck.facts.k8s.quantity import quantity
from dynocheck.facts.recipe.recipes import Manifest, Value
from dynocheck.schema.messages import joined, quoted
from dynocheck.schema.rules import Broken

_OVERCOMMITTED = ("cpu", "memory", "ephemeral-storage")


def disagreeing(manifest: Manifest) -> Iterator[Broken]:
    """Each place of an object that fits its schema and not another place of it."""
    if manifest.group == "" and manifest.kind == "PersistentVolumeClaim":
        yield from _size(manifest)
    path = TEMPLATES.get(manifest.kind)
    spec = manifest.root.get(*path, "spec") if path is not None else None
    if spec is not None and path is not None:
        claims = _names(manifest.root, "spec", "volumeClaimTemplates")
        yield from _pod(spec, ".".join((*path, "spec")), claims)


def _size(manifest: Manifest) -> Iterator[Broken]:
    size = manifest.root.get("spec", "resources", "requests", "storage")
    if size is not None and _amount(size) <= 0:
        yield size, "spec.resources.requests.storage", "must be greater than zero"


def _pod(spec: Value, path: str, claims: set[str]) -> Iterator[Broken]:
    volumes = {volume.get("name") for volume in _list(spec, "volumes")}
    known = claims | {name.text for name in volumes if name is not None and name.text}
    for field in ("initContainers", "containers"):
        for index, container in enumerate(_list(spec, field)):
            here = f"{path}.{field}[{index}]"
            yield from _mounts(container, here, known)
            yield from _amounts(container, here)


def _mounts(container: Value, path: str, known: set[str]) -> Iterator[Broken]:
    for index, mount in enumerate(_list(container, "volumeMounts")):
        name = mount.get("name")
        if name is not None and name.text not in known:
            yield name, f"{path}.volumeMounts[{index}].name", f"no volume is called {quoted(name.data)}"


def _amounts(container: Value, path: str) -> Iterator[Broken]:
    """What is requested against its limit."""
    given = {field: _entries(container, field) for field in ("limits", "requests")}
    for field, entries in given.items():
        for name, value in entries.items():
            if _amount(value) < 0:
                yield value, joined(f"{path}.resources.{field}", name), "must not be negative"
    for name, asked in given["requests"].items():
        if says := _refusal(name, asked, given["limits"].get(name)):
            yield asked, joined(f"{path}.resources.requests", name), says


def _refusal(name: str, asked: Value, limit: Value | None) -> str | None:
    shared = name in _OVERCOMMITTED
    if limit is None:
        return None if shared else "needs a limit too: it cannot be given to more than one"
    if shared and _amount(asked) > _amount(limit):
        return f"is {quoted(asked.data)}, more than its limit of {quoted(limit.data)}"
    if not shared and _amount(asked) != _amount(limit):
        return f"is {quoted(asked.data)}, must be its limit of {quoted(limit.data)}"
    return None


def _entries(container: Value, field: str) -> dict[str, Value]:
    found = container.get("resources", field)
    return found.data if found is not None and isinstance(found.data, dict) else {}


def _amount(value: Value) -> Fraction:
    """A quantity that fits its schema; null counts as 0."""
    return quantity(value.data) or Fraction(0)


def _list(value: Value, field: str) -> list[Value]:
    found = value.get(field)
    return found.sequence if found is not None else []


def _names(root: Value, *path: str) -> set[str]:
    found = root.get(*path)
    names = [item.get("metadata", "name") for item in found.sequence] if found is not None else []
    return {name.text for name in names if name is not None and name.text}
