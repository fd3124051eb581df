"""Whether a workload that downloads a model has room for it, and leaves it where it lasts."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.storage.weight_paths import find_hf_home
from dynocheck.engines.model_lookup import resolve_downloaded
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.pods import PodTemplate, index_containers
from dynocheck.facts.k8s.quantity import parse_quantity
from dynocheck.facts.recipe.recipes import Container, Download, Mount, Recipe, Value

_PERSISTENT = ("claim", "other")  # of the sources of a mount: other are folders of the node, NFS and the like
_JOB_KINDS = ("Job", "CronJob")
# What a script may do with the files afterwards, or use them for.
_USES = re.compile(
    r"\b(cp|mv|ln|rsync|tar|scp|aws|gsutil|gcloud|az|rclone|s5cmd|mc|oras|curl|push|upload\w*|convert\w*|quanti[sz]e"
    r"|build|serve|bench\w*|eval\w*|vllm|sglang|trtllm\S*|aiperf|genai-perf|modelexpress\S*)\b"
)
_MOVED = re.compile(r"\b(HF_HOME|HF_HUB_CACHE|HUGGINGFACE_HUB_CACHE|XDG_CACHE_HOME)=|\bcd\b")
# hf-xet 1.5.0 to 1.6.0 hold 2 GB and 512 MB for each of 8 files, at high performance 16 GB and 2 GB: docs.rs,
# xet-runtime 1.5.2, config/groups/reconstruction.rs; https://github.com/huggingface/xet-core/issues/926. From
# 1.7.0 on they go by the memory of the container: https://github.com/huggingface/xet-core/pull/943.
_BUFFERS, _FAST_BUFFERS = 6_096_000_000, 32_000_000_000
_PINNED = re.compile(r"\bhf[-_]xet\s*={2,3}\s*1\.[56]\.\d+\b", re.IGNORECASE)
_FAST = ("HF_XET_HIGH_PERFORMANCE", "HF_XET_HP")
_ON = ("1", "true", "yes", "on")


class _Fetch(NamedTuple):
    """A download, the pod that it is in, its container as it is written, and the bytes that it fetches."""

    download: Download
    template: PodTemplate
    container: Value
    size: float | None

    @property
    def label(self) -> str:
        return self.download.model or "a model"

    @property
    def place(self) -> Location:
        return Location(self.download.file, self.download.line, self.download.column)

    @property
    def script(self) -> str:
        found = (self.container.get(key) for key in ("command", "args"))
        return " ".join(each.text or "" for part in found if part is not None for each in part.sequence)

    @property
    def folder(self) -> str | None:
        """Where it goes in the container, None when that is not certain."""
        download = self.download
        path = find_hf_home(download.container) if download.cached else download.path
        moved = download.cached and _MOVED.search(self.script)
        return path if path is not None and path.startswith("/") and not moved else None

    def find_limit(self, resource: str) -> tuple[Fraction, Value] | None:
        return _parse_amount(self.container.get("resources", "limits", resource))


@check("storage.download", title="What a Job downloads is still there when the Job has ended")
def download(recipes: Recipes) -> Iterator[Finding]:
    """What a Job writes to its container's own files, or to an emptyDir, goes with its pod: every worker
    fetches the model again. Where it is larger than the `sizeLimit` of the emptyDir, or than the container's
    limit of ephemeral-storage, the kubelet ends the pod before it is there.

    A Job whose script does something with the files is not judged for where it leaves them.

    Fix: mount the claim of the model cache, and set HF_HOME or --local-dir below its mountPath
    """
    fetches = [fetch for recipe in recipes for fetch in _find_fetches(recipe)]
    if not fetches:
        raise Skip("no workload downloads a model")
    for fetch in fetches:
        empty = _find_empty_dir(fetch)
        short = _check_limits(fetch, empty)
        if short is not None:
            yield short
        elif _is_lost(fetch):
            yield warn(
                f"{fetch.label} is downloaded to {_describe_target(fetch, empty)}, which goes with the pod "
                "of the Job",
                fix="mount the claim of the model cache, and set HF_HOME or --local-dir below its mountPath",
                location=fetch.place,
            )


@check("memory.download", title="Downloads have the memory that they take")
def memory_download(recipes: Recipes) -> Iterator[Finding]:
    """An emptyDir in memory counts against the memory of its container: weights that are larger than its
    limit end the download with OOMKilled.

    So do the buffers of hf-xet 1.5 and 1.6, which `hf download` uses: up to 6.1 GB for a large model, and 32
    GB with HF_XET_HIGH_PERFORMANCE, whatever the limit. Later ones go by the limit. Which one is installed is
    known only where the script pins it.

    Fix: pip install 'hf_xet>=1.7', HF_HUB_DISABLE_XET=1, or a higher limit
    """
    judged = False
    for fetch in (fetch for recipe in recipes for fetch in _find_fetches(recipe)):
        limit = fetch.find_limit("memory")
        if limit is None:
            continue
        empty = _find_empty_dir(fetch)
        medium = empty.get("medium") if empty is not None else None
        if medium is not None and medium.data == "Memory" and fetch.size is not None:
            judged = True
            if fetch.size > limit[0]:
                yield fail(
                    f"{fetch.label} has {fetch.size / 1e9:.0f} GB, and is downloaded to memory of which the "
                    f"container has {limit[1].data}",
                    fix="download to a claim",
                    location=Location(fetch.download.file, limit[1].line, limit[1].column),
                )
                continue
        held = _estimate_buffers(fetch)
        judged = judged or held is not None
        if held is not None and held > limit[0]:
            yield warn(
                f"hf-xet as it is pinned may hold {held / 1e9:.1f} GB while it downloads {fetch.label}, "
                f"and the container has {limit[1].data}",
                fix="pin hf_xet>=1.7, which goes by the limit, or set HF_HUB_DISABLE_XET=1",
                location=Location(fetch.download.file, limit[1].line, limit[1].column),
            )
    if not judged:
        raise Skip("no download of known size to memory, and none that pins an hf-xet of fixed buffers")


def _find_fetches(recipe: Recipe) -> Iterator[_Fetch]:
    pods = index_containers(recipe)
    for each in recipe.downloads:
        found = pods.get((each.file, each.container.line, each.container.column))
        if found is not None:
            row = resolve_downloaded(recipe, each.model) if each.model else None
            yield _Fetch(each, *found, row.disk_bytes if row is not None else None)


def _find_mount(fetch: _Fetch) -> Mount | None:
    return fetch.download.container.find_mount(fetch.folder) if fetch.folder else None


def _find_empty_dir(fetch: _Fetch) -> Value | None:
    """The emptyDir that it goes to, if it does."""
    mount, volumes = _find_mount(fetch), fetch.template.spec.get("volumes")
    entries = fetch.container.get("volumeMounts")
    if mount is None or mount.source != "empty" or volumes is None or entries is None:
        return None
    names = [
        _get_text(each, "name") for each in entries.sequence if _get_text(each, "mountPath") == mount.path
    ]
    named = (each for each in volumes.sequence if _get_text(each, "name") in names)
    return next((empty for each in named if (empty := each.get("emptyDir")) is not None), None)


def _check_limits(fetch: _Fetch, empty: Value | None) -> Finding | None:
    """A limit that the kubelet holds it to, and that is less than it takes."""
    on_disk = fetch.folder is not None and (_find_mount(fetch) is None or empty is not None)
    limits = [("sizeLimit", _parse_amount(empty.get("sizeLimit")) if empty is not None else None)]
    medium = empty.get("medium") if empty is not None else None
    if medium is None or medium.data != "Memory":
        limits.append(
            ("limit of ephemeral-storage", fetch.find_limit("ephemeral-storage") if on_disk else None)
        )
    for name, limit in limits:
        if limit is not None and fetch.size is not None and 0 < limit[0] < fetch.size:
            return fail(
                f"{fetch.label} has {fetch.size / 1e9:.0f} GB, and goes where the {name} is {limit[1].data}",
                fix="download to a claim, or raise the limit",
                location=Location(fetch.download.file, limit[1].line, limit[1].column),
            )
    return None


def _is_lost(fetch: _Fetch) -> bool:
    if fetch.template.manifest.kind not in _JOB_KINDS or _USES.search(fetch.script):
        return False
    if len(fetch.template.containers) > 1:
        return False  # the others may use it
    mounts = fetch.download.container.mounts
    if not any(mount.source in _PERSISTENT for mount in mounts) and not fetch.container.get("volumeDevices"):
        return True
    mount = _find_mount(fetch)
    return fetch.folder is not None and (mount is None or mount.source not in _PERSISTENT)


def _describe_target(fetch: _Fetch, empty: Value | None) -> str:
    if empty is not None:
        return f"an emptyDir, {fetch.folder}"
    return f"{fetch.folder} in the container's own files" if fetch.folder else "the container's own files"


def _estimate_buffers(fetch: _Fetch) -> float | None:
    """The bytes that hf-xet holds at most while it downloads, None when that is not known."""
    container = fetch.download.container
    tuned = any(variable.name.startswith("HF_XET_RECONSTRUCTION_") for variable in container.env)
    if (
        not _PINNED.search(fetch.script)
        or fetch.size is None
        or tuned
        or _is_on(container, "HF_HUB_DISABLE_XET")
    ):
        return None
    fast = any(_is_on(container, name) for name in _FAST)
    return min(fetch.size, _FAST_BUFFERS if fast else _BUFFERS)


def _is_on(container: Container, name: str) -> bool:
    variable = container.find_variable(name)
    return variable is not None and (variable.value or "").lower() in _ON


def _parse_amount(value: Value | None) -> tuple[Fraction, Value] | None:
    if value is None or (found := parse_quantity(value.data)) is None:
        return None
    return found, value


def _get_text(value: Value, key: str) -> str | None:
    found = value.get(key)
    return found.text if found is not None else None
