"""What a recipe's Jobs and Pods are for: fetching a model, or putting load on a service."""

import re
from collections.abc import Iterator

from dynocheck.facts.recipe import Benchmark, Claim, Container, Download, Manifest, Value
from dynocheck.recipe.fetching import Fetched, by_command, by_library
from dynocheck.recipe.pods import Reader
from dynocheck.recipe.volumes import items, volumes

_POD_PATHS = {
    "Pod": ("spec",),
    "Job": ("spec", "template", "spec"),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet"), ("spec", "template", "spec")),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
_BENCHMARKS = re.compile(
    r"\b(aiperf|genai-perf|guidellm|inference-perf|bench_serving|benchmark_serving|vllm bench)\b"
)
_ENDPOINTS = ("ENDPOINT", "FRONTEND", "FRONTEND_URL", "SERVICE_URL", "BASE_URL", "URL")
_MODELS = ("TARGET_MODEL", "MODEL_NAME", "SERVED_MODEL_NAME", "MODEL")


def downloads(manifest: Manifest, reader: Reader) -> Iterator[Download]:
    """The models that a workload fetches from a hub."""
    for source, container in _containers(manifest, reader):
        for words in reader.commands(source, container):
            fetched = by_command([word.text for word in words])
            if fetched is not None:
                place = words[fetched.at].line, words[fetched.at].column
                yield _download(manifest.file, container, fetched, place)
        environment = {variable.name: variable.value for variable in container.env}
        for element in [*items(source, "command"), *items(source, "args")]:
            code = element.text or ""
            for fetched in by_library(code, environment):
                place = reader.place(element, code.count("\n", 0, fetched.at))
                yield _download(manifest.file, container, fetched, place)


def _download(file: str, container: Container, fetched: Fetched, place: tuple[int, int]) -> Download:
    return Download(
        file=file,
        model=fetched.model,
        folder=container.on_claim(fetched.folder) if fetched.folder else None,
        cached=fetched.cached,
        revision=fetched.revision,
        path=fetched.folder,
        container=container,
        line=place[0],
        column=place[1],
    )


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
                container=container,
                commands=reader.commands(source, container),
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
    size = root.get("spec", "resources", "requests", "storage")
    yield Claim(
        file=manifest.file,
        name=manifest.name,
        storage_class=storage_class.text if storage_class else None,
        access_modes=tuple(mode.text or "" for mode in items(root, "spec", "accessModes")),
        size=str(size.plain) if size else None,
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
