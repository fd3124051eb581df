"""The volumes of pods: where containers mount them, and which files they put there."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dynocheck.facts.recipe.recipes import Mount, Value

_SOURCES = {
    "persistentVolumeClaim": ("claim", "claimName"),
    "configMap": ("configmap", "name"),
    "secret": ("secret", "secretName"),
    "emptyDir": ("empty", ""),
}


class Volume(NamedTuple):
    """A volume of a pod: as a mount that has no path yet, and as it is written."""

    mount: Mount
    source: Value

    @property
    def read_only(self) -> Value | None:
        """Whether a claim is mounted to be read only, wherever it is."""
        return self.source.get("persistentVolumeClaim", "readOnly")


def read_items(value: Value, *path: str) -> list[Value]:
    """The mappings and strings in the list at this path."""
    return [item for item in value.get_items(*path) if isinstance(item.data, (dict, str))]


def read_volumes(pod: Value) -> dict[str, Volume]:
    """The volumes of a pod by name."""
    return {
        volume.get_text("name"): Volume(_build_mount(volume), volume) for volume in read_items(pod, "volumes")
    }


def _build_mount(volume: Value) -> Mount:
    for kind, (source, key) in _SOURCES.items():
        found = volume.get(kind)
        if found is not None:
            place = (found.get(key) if key else None) or found
            return Mount("", source, place.text or "", place.line, place.column)
    return Mount("", "other", "", volume.line, volume.column)


def read_mounts(container: Value, volumes: Mapping[str, Volume]) -> Iterator[tuple[Mount, Value]]:
    """What a container mounts of these volumes, each with how it is written."""
    for entry in read_items(container, "volumeMounts"):
        volume = volumes.get(entry.get_text("name"))
        if volume is not None:
            path = entry.get("mountPath") or entry
            sub_path = entry.get_text("subPath").strip("/")
            source, name = volume.mount.source, volume.mount.name
            fixed = any(v is not None and v.data is True for v in (entry.get("readOnly"), volume.read_only))
            yield Mount(path.text or "", source, name, path.line, path.column, sub_path, fixed), entry


def list_config_map_files(config_map: Value, data: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """The files of a volume that is a ConfigMap: its keys, or the paths that it gives some of them."""
    chosen = config_map.get("items")
    if chosen is None:
        yield from data.items()
        return
    for item in read_items(config_map, "items"):
        if item.get_text("key") in data:
            yield item.get_text("path"), data[item.get_text("key")]


def resolve_mounted_path(path: str, mount_path: str, sub_path: str) -> str | None:
    """Where a file of a volume is in the container, or None when the mount leaves it out."""
    mount_path = mount_path.rstrip("/")
    if not sub_path or path == sub_path:
        return mount_path if path == sub_path else f"{mount_path}/{path}"
    return f"{mount_path}/{path.removeprefix(sub_path + '/')}" if path.startswith(sub_path + "/") else None
