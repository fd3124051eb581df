"""What a recipe's Jobs and Pods are for: fetching a model, or putting load on a service."""

import posixpath
import re
from collections.abc import Iterator

from dynocheck.facts.recipe import Benchmark, Claim, Container, Download, Manifest, Value, Word
from dynocheck.recipe.pods import Reader, items, volumes

_POD_PATHS = {
    "Pod": ("spec",),
    "Job": ("spec", "template", "spec"),
    "Deployment": ("spec", "template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
_BENCHMARKS = re.compile(
    r"\b(aiperf|genai-perf|guidellm|inference-perf|bench_serving|benchmark_serving|vllm bench)\b"
)
_ENDPOINTS = ("ENDPOINT", "FRONTEND", "FRONTEND_URL", "SERVICE_URL", "BASE_URL", "URL")
_MODELS = ("TARGET_MODEL", "MODEL_NAME", "SERVED_MODEL_NAME", "MODEL")
_HUB_ID = re.compile(r"""["']([\w.-]+/[\w.-]+)["']""")


def downloads(manifest: Manifest, reader: Reader) -> Iterator[Download]:
    """The models that a workload fetches from a hub."""
    for source, container in _containers(manifest, reader):
        for words in reader.processes(source, container):
            yield from _fetched(words, container, manifest.file)
        for element in [*items(source, "command"), *items(source, "args")]:
            yield from _snapshots(element, manifest.file)


def benchmarks(manifest: Manifest, reader: Reader) -> Iterator[Benchmark]:
    """The workload itself, when one of its containers runs a load generator."""
    for source, container in _containers(manifest, reader):
        script = " ".join(e.text or "" for e in [*items(source, "command"), *items(source, "args")])
        if _BENCHMARKS.search(script):
            yield Benchmark(
                file=manifest.file,
                name=manifest.name,
                endpoint=next((v for n in _ENDPOINTS if (v := container.variable(n))), None),
                model=next((v for n in _MODELS if (v := container.variable(n))), None),
                line=source.line,
                column=source.column,
            )


def claims(manifest: Manifest) -> Iterator[Claim]:
    """The claim that a manifest is, if it is one."""
    if manifest.kind != "PersistentVolumeClaim":
        return
    root = manifest.root
    storage_class = root.get("spec", "storageClassName")
    place = root.get("metadata", "name") or root
    yield Claim(
        file=manifest.file,
        name=manifest.name,
        storage_class=storage_class.text if storage_class else None,
        access_modes=tuple(mode.text or "" for mode in items(root, "spec", "accessModes")),
        line=place.line,
        column=place.column,
    )


def _containers(manifest: Manifest, reader: Reader) -> Iterator[tuple[Value, Container]]:
    path = _POD_PATHS.get(manifest.kind)
    pod = manifest.root.get(*path) if path else None
    if pod is not None:
        mountable = volumes(pod)
        for source in [*items(pod, "initContainers"), *items(pod, "containers")]:
            yield source, reader.container(source, mountable)


def _fetched(words: tuple[Word, ...], container: Container, file: str) -> Iterator[Download]:
    """`hf download MODEL`, or its older name `huggingface-cli download MODEL`."""
    texts = [word.text for word in words]
    for i in range(len(words) - 2):
        if texts[i + 1] == "download" and (texts[i] or "").rpartition("/")[2] in ("hf", "huggingface-cli"):
            folder = _option(texts[i + 2 :], "--local-dir")
            model = words[i + 2]
            yield Download(
                file=file,
                model=model.text,
                folder=on_claim(container, folder) if folder else None,
                line=model.line,
                column=model.column,
            )
            return


def _snapshots(script: Value, file: str) -> Iterator[Download]:
    """Python's `snapshot_download`, under whatever name: every quoted hub id of a script that imports it."""
    code = script.text or ""
    if "snapshot_download" not in code:
        return
    found = list(_HUB_ID.finditer(code))
    for match in found:
        line = script.line + code.count("\n", 0, match.start())
        yield Download(file=file, model=match.group(1), folder=None, line=line, column=script.column)
    if not found:
        yield Download(file=file, model=None, folder=None, line=script.line, column=script.column)


def _option(texts: list[str | None], name: str) -> str | None:
    for i, word in enumerate(texts):
        if word == name and i + 1 < len(texts):
            return texts[i + 1]
        if word is not None and word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def on_claim(container: Container, path: str) -> str | None:
    """A path in a container relative to the claim it lies on, as `claim:path`; None when it is on none."""
    for mount in container.mounts:
        if mount.source == "claim" and mount.path and (path + "/").startswith(mount.path.rstrip("/") + "/"):
            return f"{mount.name}:{posixpath.relpath(path, mount.path)}"
    return None
