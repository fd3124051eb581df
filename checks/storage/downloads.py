"""Checks of whether downloads of models have enough disk, and outlive their pods."""

import re
from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.storage._fetches import Fetch, find_fetches, parse_amount
from dynocheck.core.fixes import replace_words, set_flag
from dynocheck.engines.model_lookup import CONFIG_FILES, add_hub_configs
from dynocheck.facts import EnvVar, HubModels, Recipe, Recipes, Value

_PERSISTENT = ("claim", "other")  # sources of mounts; other is a folder of the node, NFS and the like
_OFFLINE, _TRUE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"), ("1", "ON", "YES", "TRUE")
_JOB_KINDS = ("Job", "CronJob")
_GUARDS = re.compile(r"\[ |\btest\b|\bif\b|\bflock\b|\bexists\b|is_dir|is_file")  # looks for what is there
_PARTS = re.compile(r"--include|--exclude|\b(allow|ignore)_patterns")  # such as the tokenizer alone
_FASTEST, _USUAL = 0.5e9, 0.1e9  # bytes per second of a download
_DURATION, _SECONDS = re.compile(r"(\d{1,9})(s|m|h)"), {"s": 1, "m": 60, "h": 3600}
# Commands that copy, upload, convert or serve the downloaded files.
_USES = re.compile(
    r"\b(cp|mv|ln|rsync|tar|scp|aws|gsutil|gcloud|az|rclone|s5cmd|mc|oras|curl|push|upload\w*|convert\w*|quanti[sz]e"
    r"|build|serve|bench\w*|eval\w*|vllm|sglang|trtllm\S*|aiperf|genai-perf|modelexpress\S*)\b"
)


@check("storage.download", title="Downloads fit their disk and outlive their Job")
def download(recipes: Recipes, models: HubModels | None = None) -> Iterator[Result]:
    """What a Job writes to its container's filesystem or to an emptyDir is deleted with its pod, and every
    worker downloads the model again. The kubelet evicts the pod when a model is larger than the `sizeLimit`
    of the emptyDir or the container's limit of ephemeral-storage. A misspelt `hf download`, or one under
    HF_HUB_OFFLINE, fetches nothing.

    Where a Job leaves its files is not checked when its script does something with them. A README's `kubectl
    wait` whose timeout asks for more than 0.5 GB/s gives up before the download is complete.

    Fix: mount the claim of the model cache, and set HF_HOME or --local-dir below its mountPath
    """
    fetches = [fetch for recipe in add_hub_configs(recipes, models) for fetch in find_fetches(recipe)]
    if not fetches:
        raise Skip("no workload downloads a model")
    for fetch in fetches:
        if fetch.download.verb != "download":
            yield fail(
                f"hf has no command {fetch.download.verb}: {fetch.label} is not downloaded",
                fix=replace_words(fetch.download.verb, "download"),
                location=fetch.locate(fetch.download),
            )
        if (offline := _find_offline(fetch)) is not None:
            yield fail(
                f"{offline.name} is set: {fetch.label} is not downloaded",
                fix=f"remove {offline.name} from the Job",
                location=Location(fetch.template.manifest.file, offline.line, offline.column),
            )
        if fetch.size is None and _find_limits(fetch):
            yield unjudged(
                fetch.label,
                why="the size of the model is unknown, and its disk has a limit",
                needs=CONFIG_FILES,
                location=fetch.locate(fetch.download),
            )
        else:
            yield judged(1, "downloads")
        yield from _check_replicas(fetch)
        yield from _check_idle_gpus(fetch)
        exceeded = _check_limits(fetch)
        if exceeded is not None:
            yield exceeded
        elif _is_lost(fetch):
            yield warn(
                f"{fetch.label} is downloaded to {_describe_target(fetch)}, which goes with the Job's pod",
                fix="mount the claim of the model cache, and set HF_HOME or --local-dir below its mountPath",
                location=fetch.locate(fetch.download),
            )
    for recipe in recipes:
        yield from _check_waits(recipe, fetches)


def _find_offline(fetch: Fetch) -> EnvVar | None:
    """The variable that keeps a download from the hub; None where its script has a say in it."""
    container = fetch.download.container
    found = (container.find_variable(name) for name in _OFFLINE if name not in fetch.script)
    return next((each for each in found if each and (each.value or "").upper() in _TRUE), None)


def _check_replicas(fetch: Fetch) -> Iterator[Finding]:
    """Reports replicas that start together and each download to the same folder of a claim.

    Not where the script looks first, or lets one go ahead.
    """
    spec = fetch.template.manifest.root.get("spec")
    replicas = spec.get("replicas") if spec is not None else None
    count = replicas.data if replicas is not None else 1
    if fetch.template.manifest.kind != "Deployment" or not isinstance(count, int) or count < 2:
        return
    mount = fetch.mount
    if mount is not None and mount.source == "claim" and not _GUARDS.search(fetch.script):
        yield warn(
            f"{count} replicas download {fetch.label} into claim {mount.name} when they start",
            fix="download it once, with a Job that completes before",
            location=fetch.locate(fetch.download),
        )


def _check_idle_gpus(fetch: Fetch) -> Iterator[Finding]:
    """Reports a Job's container whose GPUs wait for its own download."""
    gpus = fetch.find_limit("nvidia.com/gpu")
    if gpus is None or fetch.template.manifest.kind not in _JOB_KINDS or _PARTS.search(fetch.script):
        return
    if gpus[0] > 0:
        size = f" ({fetch.size / 1e9:.0f} GB)" if fetch.size is not None else ""
        held = f"{gpus[1].data} GPU{'s' if gpus[0] > 1 else ''}"
        yield warn(
            f"Job {fetch.template.manifest.name} holds {held} while it downloads {fetch.label}{size}",
            fix="download it before, with a Job without GPUs",
            location=fetch.locate(fetch.download),
        )


def _check_waits(recipe: Recipe, fetches: list[Fetch]) -> Iterator[Finding]:
    """Reports `kubectl wait` on pages that wait too short a time for the Job of a download."""
    files = {file.path for file in recipe.own_files}
    sizes = {
        fetch.template.manifest.name: fetch.size
        for fetch in fetches
        if fetch.size is not None and fetch.template.manifest.file in files
    }
    commands = [(page, words) for page in recipe.pages for words in page.commands]
    for page, words in commands:
        texts = [word.text or "" for word in words]
        seconds = _find_timeout(texts)
        jobs = [text.partition("/")[2] for text in texts if text.lower().startswith(("job/", "jobs/"))]
        for job in jobs if texts[:2] == ["kubectl", "wait"] and seconds else ():
            size = sizes.get(job)
            if size is not None and size / seconds > _FASTEST:
                yield warn(
                    f"kubectl wait gives up after {seconds:g} s; job {job} downloads {size / 1e9:.0f} GB",
                    fix=set_flag("--timeout", f"{ceil(size / _USUAL / 600) * 600}s"),
                    location=Location(page.path, words[0].line, words[0].column),
                )


def _find_timeout(texts: list[str]) -> float:
    """The seconds of a command's --timeout; 0 if it has none, or waits for ever."""
    for text, following in zip(texts, [*texts[1:], ""], strict=True):
        if text.partition("=")[0] == "--timeout":
            found = _DURATION.fullmatch(text.partition("=")[2] or following)
            return float(found[1]) * _SECONDS[found[2]] if found else 0
    return 0


def _find_limits(fetch: Fetch) -> list[tuple[str, tuple[Fraction, Value]]]:
    """The limits of the disk that a model is downloaded to, by name."""
    empty = fetch.empty_dir
    limits = [("sizeLimit", parse_amount(empty.get("sizeLimit")) if empty is not None else None)]
    is_on_disk = fetch.folder is not None and (fetch.mount is None or empty is not None)
    if is_on_disk and not fetch.is_in_memory:
        limits.append(("limit of ephemeral-storage", fetch.find_limit("ephemeral-storage")))
    return [(name, limit) for name, limit in limits if limit is not None and limit[0] > 0]


def _check_limits(fetch: Fetch) -> Finding | None:
    """A failure for the first limit of the kubelet that is smaller than the model."""
    for name, limit in _find_limits(fetch):
        if fetch.size is not None and limit[0] < fetch.size:
            return fail(
                f"{fetch.label} is {fetch.size / 1e9:.0f} GB; the {name} of its target is {limit[1].data}",
                fix="download to a claim, or raise the limit",
                location=fetch.locate(limit[1]),
            )
    return None


def _is_lost(fetch: Fetch) -> bool:
    """Whether a Job's files are deleted with its pod before anything else uses them."""
    if fetch.template.manifest.kind not in _JOB_KINDS or _USES.search(fetch.script):
        return False
    if len(fetch.template.containers) > 1:
        return False  # the others may use them
    mounts = fetch.download.container.mounts
    if not any(mount.source in _PERSISTENT for mount in mounts) and not fetch.container.get("volumeDevices"):
        return True
    return fetch.folder is not None and (fetch.mount is None or fetch.mount.source not in _PERSISTENT)


def _describe_target(fetch: Fetch) -> str:
    if fetch.empty_dir is not None:
        return f"emptyDir {fetch.folder}"
    return f"{fetch.folder} in the container's filesystem" if fetch.folder else "the container's filesystem"
