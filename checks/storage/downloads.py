"""Checks of whether downloads of models have enough disk and memory, and outlive their pods."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.storage.weight_paths import find_hf_home
from dynocheck.engines.model_lookup import resolve_downloaded
from dynocheck.facts import (
    Container,
    Download,
    Mount,
    PodTemplate,
    Recipe,
    Recipes,
    Value,
    index_containers,
    parse_quantity,
)

_PERSISTENT = ("claim", "other")  # sources of mounts; other is a folder of the node, NFS and the like
_JOB_KINDS = ("Job", "CronJob")
# Commands that copy, upload, convert or serve the downloaded files.
_USES = re.compile(
    r"\b(cp|mv|ln|rsync|tar|scp|aws|gsutil|gcloud|az|rclone|s5cmd|mc|oras|curl|push|upload\w*|convert\w*|quanti[sz]e"
    r"|build|serve|bench\w*|eval\w*|vllm|sglang|trtllm\S*|aiperf|genai-perf|modelexpress\S*)\b"
)
_MOVED = re.compile(r"\b(HF_HOME|HF_HUB_CACHE|HUGGINGFACE_HUB_CACHE|XDG_CACHE_HOME)=|\bcd\b")
# hf-xet 1.5.0 to 1.6.0 buffers 2 GB, and 512 MB for each of 8 files; with high performance 16 GB and 2 GB:
# docs.rs, xet-runtime 1.5.2, config/groups/reconstruction.rs; https://github.com/huggingface/xet-core/issues/926.
# Since 1.7.0 buffers depend on the container's memory: https://github.com/huggingface/xet-core/pull/943.
_BUFFERS, _FAST_BUFFERS = 6_096_000_000, 32_000_000_000
_PINNED = re.compile(r"\bhf[-_]xet\s*={2,3}\s*1\.[56]\.\d+\b", re.IGNORECASE)
_FAST = ("HF_XET_HIGH_PERFORMANCE", "HF_XET_HP")


class _Fetch(NamedTuple):
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
        return _parse_amount(self.container.get("resources", "limits", resource))

    def locate(self, place: Value | Download) -> Location:
        return Location(self.download.file, place.line, place.column)


@check("storage.download", title="Downloads fit their disk and outlive their Job")
def download(recipes: Recipes) -> Iterator[Finding]:
    """What a Job writes to its container's filesystem or to an emptyDir is deleted with its pod, and every
    worker downloads the model again. The kubelet evicts the pod when a model is larger than the `sizeLimit`
    of the emptyDir or the container's limit of ephemeral-storage.

    Where a Job leaves its files is not checked when its script does something with them.

    Fix: mount the claim of the model cache, and set HF_HOME or --local-dir below its mountPath
    """
    fetches = [fetch for recipe in recipes for fetch in _find_fetches(recipe)]
    if not fetches:
        raise Skip("no workload downloads a model")
    for fetch in fetches:
        exceeded = _check_limits(fetch)
        if exceeded is not None:
            yield exceeded
        elif _is_lost(fetch):
            yield warn(
                f"{fetch.label} is downloaded to {_describe_target(fetch)}, which goes with the Job's pod",
                fix="mount the claim of the model cache, and set HF_HOME or --local-dir below its mountPath",
                location=fetch.locate(fetch.download),
            )


@check("memory.download", title="Downloads fit their container's memory limit")
def memory_download(recipes: Recipes) -> Iterator[Finding]:
    """Files on an emptyDir in memory count against the container's memory limit: a larger download ends with
    OOMKilled.

    So do the buffers of hf-xet 1.5 and 1.6, which `hf download` uses: up to 6.1 GB for a large model, and 32
    GB with HF_XET_HIGH_PERFORMANCE, whatever the limit. Later versions respect the limit. The version is
    known only where the script pins it.

    Fix: pip install 'hf_xet>=1.7', HF_HUB_DISABLE_XET=1, or a higher limit
    """
    has_known_needs = False
    for fetch in (fetch for recipe in recipes for fetch in _find_fetches(recipe)):
        limit = fetch.find_limit("memory")
        if limit is None:
            continue
        amount, source = limit
        in_memory = fetch.size if fetch.is_in_memory else None
        buffers = _estimate_buffers(fetch)
        has_known_needs = has_known_needs or in_memory is not None or buffers is not None
        if in_memory is not None and in_memory > amount:
            yield fail(
                f"{fetch.label} is {in_memory / 1e9:.0f} GB and is downloaded to memory; "
                f"the container's limit is {source.data}",
                fix="download to a claim",
                location=fetch.locate(source),
            )
        elif buffers is not None and buffers > amount:
            yield warn(
                f"the pinned hf-xet may buffer {buffers / 1e9:.1f} GB while it downloads {fetch.label}; "
                f"the container's limit is {source.data}",
                fix="pin hf_xet>=1.7, which goes by the limit, or set HF_HUB_DISABLE_XET=1",
                location=fetch.locate(source),
            )
    if not has_known_needs:
        raise Skip("no download of known size goes to memory or pins an hf-xet with fixed buffers")


def _find_fetches(recipe: Recipe) -> Iterator[_Fetch]:
    containers = index_containers(recipe)
    for download in recipe.downloads:
        entry = containers.get((download.file, download.container.line, download.container.column))
        if entry is not None:
            row = resolve_downloaded(recipe, download.model) if download.model else None
            yield _Fetch(download, *entry, row.disk_bytes if row is not None else None)


def _check_limits(fetch: _Fetch) -> Finding | None:
    """A failure for the first limit of the kubelet that is smaller than the model."""
    empty = fetch.empty_dir
    limits = [("sizeLimit", _parse_amount(empty.get("sizeLimit")) if empty is not None else None)]
    is_on_disk = fetch.folder is not None and (fetch.mount is None or empty is not None)
    if is_on_disk and not fetch.is_in_memory:
        limits.append(("limit of ephemeral-storage", fetch.find_limit("ephemeral-storage")))
    for name, limit in limits:
        if limit is not None and fetch.size is not None and 0 < limit[0] < fetch.size:
            return fail(
                f"{fetch.label} is {fetch.size / 1e9:.0f} GB; the {name} of its target is {limit[1].data}",
                fix="download to a claim, or raise the limit",
                location=fetch.locate(limit[1]),
            )
    return None


def _is_lost(fetch: _Fetch) -> bool:
    """Whether a Job's files are deleted with its pod before anything else uses them."""
    if fetch.template.manifest.kind not in _JOB_KINDS or _USES.search(fetch.script):
        return False
    if len(fetch.template.containers) > 1:
        return False  # the others may use them
    mounts = fetch.download.container.mounts
    if not any(mount.source in _PERSISTENT for mount in mounts) and not fetch.container.get("volumeDevices"):
        return True
    return fetch.folder is not None and (fetch.mount is None or fetch.mount.source not in _PERSISTENT)


def _describe_target(fetch: _Fetch) -> str:
    if fetch.empty_dir is not None:
        return f"emptyDir {fetch.folder}"
    return f"{fetch.folder} in the container's filesystem" if fetch.folder else "the container's filesystem"


def _estimate_buffers(fetch: _Fetch) -> float | None:
    """The most bytes that hf-xet buffers during a download, None when that is unknown."""
    container = fetch.download.container
    if fetch.size is None or not _PINNED.search(fetch.script) or _is_on(container, "HF_HUB_DISABLE_XET"):
        return None
    if any(variable.name.startswith("HF_XET_RECONSTRUCTION_") for variable in container.env):
        return None
    is_fast = any(_is_on(container, name) for name in _FAST)
    return min(fetch.size, _FAST_BUFFERS if is_fast else _BUFFERS)


def _is_on(container: Container, name: str) -> bool:
    variable = container.find_variable(name)
    return variable is not None and (variable.value or "").lower() in ("1", "true", "yes", "on")


def _parse_amount(value: Value | None) -> tuple[Fraction, Value] | None:
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
