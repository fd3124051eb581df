"""Reads the volumes of pods, their mounts, and the files of mounted ConfigMaps."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dynocheck.facts import Mount, Value, find_implied_claims

_SOURCES = {
    "persistentVolumeClaim": ("claim", "claimName"),
    "configMap": ("configmap", "name"),
    "secret": ("secret", "secretName"),
    "emptyDir": ("empty", ""),
}


class Volume(NamedTuple):
    """A volume of a pod: a mount without a path, and its manifest."""

    mount: Mount
    source: Value

    @property
    def read_only(self) -> Value | None:
        """The field that makes every mount of a claim read-only."""
        return self.source.get("persistentVolumeClaim", "readOnly")


def read_items(value: Value, *path: str) -> list[Value]:
    """The mappings and strings in the list at this path."""
    return [item for item in value.get_items(*path) if isinstance(item.data, (dict, str))]


def read_sidecars(pod: Value) -> list[Value]:
    """The init containers of a pod that run beside its containers: those that are always restarted."""
    return [each for each in pod.get_items("initContainers") if each.get_text("restartPolicy") == "Always"]


def read_volumes(pod: Value) -> dict[str, Volume]:
    """The volumes of a pod by name."""
    return {
        volume.get_text("name"): Volume(_build_mount(volume), volume) for volume in read_items(pod, "volumes")
    }


def read_component_volumes(pod: Value, main: Value) -> dict[str, Volume]:
    """The volumes of a graph's pod by name, with the claims that the operator adds for its main container."""
    implied = {}
    for name in find_implied_claims(pod, main):
        claim = Value({"persistentVolumeClaim": Value({"claimName": name}, name.line, name.column)}, 1, 1)
        implied[name.text or ""] = Volume(_build_mount(claim), claim)
    return implied | read_volumes(pod)


def _build_mount(volume: Value) -> Mount:
    for kind, (source, key) in _SOURCES.items():
        found = volume.get(kind)
        if found is not None:
            place = (found.get(key) if key else None) or found
            return Mount("", source, place.text or "", place.line, place.column)
    return Mount("", "other", "", volume.line, volume.column)


def read_mounts(container: Value, volumes: Mapping[str, Volume]) -> Iterator[tuple[Mount, Value]]:
    """The mounts of a container, each with its entry in the manifest."""
    for entry in read_items(container, "volumeMounts"):
        volume = volumes.get(entry.get_text("name"))
        if volume is not None:
            path = entry.get("mountPath") or entry
            sub_path = entry.get_text("subPath").strip("/")
            source, name = volume.mount.source, volume.mount.name
            fixed = any(v is not None and v.data is True for v in (entry.get("readOnly"), volume.read_only))
            yield Mount(path.text or "", source, name, path.line, path.column, sub_path, fixed), entry


def list_config_map_files(config_map: Value, data: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """The files of a ConfigMap volume by path: all keys, or the paths in `items`."""
    chosen = config_map.get("items")
    if chosen is None:
        yield from data.items()
        return
    for item in read_items(config_map, "items"):
        if item.get_text("key") in data:
            yield item.get_text("path"), data[item.get_text("key")]


def resolve_mounted_path(path: str, mount_path: str, sub_path: str) -> str | None:
    """The path in the container of a file of a volume; None if the mount's subPath excludes it."""
    mount_path = mount_path.rstrip("/")
    if not sub_path or path == sub_path:
        return mount_path if path == sub_path else f"{mount_path}/{path}"
    return f"{mount_path}/{path.removeprefix(sub_path + '/')}" if path.startswith(sub_path + "/") else None
