"""Downloads of models with the pods that make them."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from dynocheck import Location
from dynocheck.checks.storage.weight_paths import find_hf_home
from dynocheck.engines.model_lookup import resolve_downloaded
from dynocheck.facts import Download, Mount, PodTemplate, Recipe, Value, index_containers, parse_quantity

_MOVED = re.compile(r"\b(HF_HOME|HF_HUB_CACHE|HUGGINGFACE_HUB_CACHE|XDG_CACHE_HOME)=|\bcd\b")


class Fetch(NamedTuple):
    """A download with its pod, the source of its container, and its size in bytes where that is known."""

    download: Download
    template: PodTemplate
    container: Value
    size: float | None

    @property
    def label(self) -> str:
        return self.download.model or "a model"

    @property
    def script(self) -> str:
        parts = (self.container.get(key) for key in ("command", "args"))
        return " ".join(word.text or "" for part in parts if part is not None for word in part.sequence)

    @property
    def folder(self) -> str | None:
        """The absolute target folder in the container, None when it is unknown."""
        download = self.download
        path = find_hf_home(download.container) if download.cached else download.path
        is_moved = download.cached and _MOVED.search(self.script)
        return path if path is not None and path.startswith("/") and not is_moved else None

    @property
    def mount(self) -> Mount | None:
        """The mount that the target folder is on."""
        return self.download.container.find_mount(self.folder) if self.folder else None

    @property
    def empty_dir(self) -> Value | None:
        """The emptyDir that the target folder is on."""
        mount = self.mount
        if mount is None or mount.source != "empty":
            return None
        mounts = _list_items(self.container, "volumeMounts")
        names = [_get_text(m, "name") for m in mounts if _get_text(m, "mountPath") == mount.path]
        volumes = (v for v in _list_items(self.template.spec, "volumes") if _get_text(v, "name") in names)
        return next((empty for v in volumes if (empty := v.get("emptyDir")) is not None), None)

    @property
    def is_in_memory(self) -> bool:
        """Whether the target folder is on an emptyDir in memory."""
        medium = self.empty_dir.get("medium") if self.empty_dir is not None else None
        return medium is not None and medium.data == "Memory"

    def find_limit(self, resource: str) -> tuple[Fraction, Value] | None:
        """The container's limit of a resource, with its place."""
        return parse_amount(self.container.get("resources", "limits", resource))

    def locate(self, place: Value | Download) -> Location:
        return Location(self.download.file, place.line, place.column)


def find_fetches(recipe: Recipe) -> Iterator[Fetch]:
    containers = index_containers(recipe)
    for download in recipe.downloads:
        entry = containers.get((download.file, download.container.line, download.container.column))
        if entry is not None:
            row = resolve_downloaded(recipe, download.model) if download.model else None
            yield Fetch(download, *entry, row.disk_bytes if row is not None else None)


def parse_amount(value: Value | None) -> tuple[Fraction, Value] | None:
    """A quantity with its place; None when there is none or it cannot be parsed."""
    if value is None or (amount := parse_quantity(value.data)) is None:
        return None
    return amount, value


def _list_items(value: Value, key: str) -> list[Value]:
    items = value.get(key)
    return list(items.sequence) if items is not None else []


def _get_text(value: Value, key: str) -> str | None:
    field = value.get(key)
    return field.text if field is not None else None
