"""Finds out what a recipe's workloads do: download a model, or run a benchmark."""

import re
from collections.abc import Iterable, Iterator, Sequence
from math import prod

import msgspec

from dynocheck.facts import (
    POD_TEMPLATE_PATHS,
    Benchmark,
    Claim,
    Container,
    Download,
    EngineBuild,
    EnvVar,
    Manifest,
    Value,
    Word,
)
from dynocheck.recipe.fetching import FetchedModel, find_library_downloads, parse_download_command
from dynocheck.recipe.pods import PodReader
from dynocheck.recipe.volumes import read_items, read_volumes

_BENCHMARKS = re.compile(
    r"\b(aiperf|genai-perf|guidellm|inference-perf|bench_serving|benchmark_serving|vllm bench)\b"
)
_ENDPOINTS = ("ENDPOINT", "FRONTEND", "FRONTEND_URL", "SERVICE_URL", "BASE_URL", "URL")
_MODELS = ("TARGET_MODEL", "MODEL_NAME", "SERVED_MODEL_NAME", "MODEL")
_TOOLS = ("aiperf", "genai-perf", "guidellm", "inference-perf", "bench", "bench_serving", "benchmark_serving")
_BUILDER, _CONVERTERS = "trtllm-build", ("convert_checkpoint.py", "quantize.py")
_URL_FLAGS = ("--url", "-u", "--base-url", "--target")
_NAME_FLAGS = ("--served-model-name", "--model", "--model-names", "-m")


def find_downloads(manifest: Manifest, reader: PodReader) -> Iterator[Download]:
    """The models that a workload downloads from a hub."""
    for source, container in _read_containers(manifest, reader):
        for words, variables in reader.read_runs(source, container):
            fetched = parse_download_command([word.text for word in words])
            if fetched is not None:
                place = words[fetched.at].line, words[fetched.at].column
                own = {name: EnvVar(name, value, *place) for name, value in variables.items()}
                env = {**{variable.name: variable for variable in container.env}, **own}
                within = msgspec.structs.replace(container, env=tuple(env.values()))
                yield _build_download(manifest.file, within, fetched, place)
        environment = {variable.name: variable.value for variable in container.env}
        for element in [*read_items(source, "command"), *read_items(source, "args")]:
            code = element.text or ""
            for fetched in find_library_downloads(code, environment):
                place = reader.locate_line(element, code.count("\n", 0, fetched.at))
                yield _build_download(manifest.file, container, fetched, place)


def _build_download(
    file: str, container: Container, fetched: FetchedModel, place: tuple[int, int]
) -> Download:
    return Download(
        file=file,
        model=fetched.model,
        folder=container.resolve_on_claim(fetched.folder) if fetched.folder else None,
        cached=fetched.cached,
        revision=fetched.revision,
        path=fetched.folder,
        verb=fetched.verb,
        container=container,
        line=place[0],
        column=place[1],
    )


def find_builds(manifest: Manifest, reader: PodReader) -> Iterator[EngineBuild]:
    """The engines of TensorRT-LLM that a workload builds."""
    for source, container in _read_containers(manifest, reader):
        script = " ".join(e.text or "" for e in [*read_items(source, "command"), *read_items(source, "args")])
        if _BUILDER not in script:
            continue
        commands = reader.read_commands(source, container)
        fetched = (parse_download_command([word.text for word in words]) for words in commands)
        models = tuple(each.model for each in fetched if each is not None and each.model is not None)
        for words in (each for each in commands if _get_program(each) == _BUILDER):
            target = next(_find_flag_of(words, "--output_dir"), None)
            place = target or words[0]
            path = target.text if target is not None else None
            yield EngineBuild(
                file=manifest.file,
                name=manifest.name,
                namespace=manifest.root.get_text("metadata", "namespace") or None,
                folder=container.resolve_on_claim(path) if path else None,
                ranks=_count_ranks(commands),
                models=models,
                pod=manifest.root.get(*POD_TEMPLATE_PATHS[manifest.kind], "spec") or source,
                line=place.line,
                column=place.column,
            )


def _count_ranks(commands: Iterable[Sequence[Word]]) -> int | None:
    """The product of the sizes that a checkpoint is converted for; None if it is converted elsewhere."""
    for words in commands:
        if any((word.text or "").rpartition("/")[2] in _CONVERTERS for word in words):
            sizes = [next(_find_flag_of(words, flag), None) for flag in ("--tp_size", "--pp_size")]
            texts = [size.text if size is not None else "1" for size in sizes]
            return prod(int(text or "") for text in texts) if all(map(_is_count, texts)) else None
    return None


def _is_count(text: str | None) -> bool:
    return text is not None and text.isdecimal() and len(text) < 5


def _find_flag_of(words: Sequence[Word], flag: str) -> Iterator[Word]:
    """The values of a flag of any program, each at its place."""
    for word, following in zip(words, [*words[1:], None], strict=True):
        name, equals, inline = (word.text or "").partition("=")
        if name == flag and equals:
            yield Word(inline, word.line, word.column)
        elif name == flag and following is not None:
            yield following


def _get_program(words: Sequence[Word]) -> str:
    return (words[0].text or "").rpartition("/")[2] if words else ""


def find_benchmarks(manifest: Manifest, reader: PodReader) -> Iterator[Benchmark]:
    """The benchmarks of a workload: one for each container that runs a load generator."""
    for source, container in _read_containers(manifest, reader):
        script = " ".join(e.text or "" for e in [*read_items(source, "command"), *read_items(source, "args")])
        if _BENCHMARKS.search(script):
            commands = reader.read_commands(source, container)
            yield Benchmark(
                file=manifest.file,
                name=manifest.name,
                endpoint=_find_target(commands, _URL_FLAGS, container, _ENDPOINTS),
                model=_find_target(commands, _NAME_FLAGS, container, _MODELS),
                container=container,
                commands=commands,
                line=source.line,
                column=source.column,
            )


def _find_target(
    commands: Iterable[Sequence[Word]], flags: Sequence[str], container: Container, names: Sequence[str]
) -> EnvVar | None:
    """The value that a load generator gets by one of these flags, or the variable that it comes from.

    A flag whose value is a path is ignored: it does not contain the requested name.

    :param names: the names of variables, the likeliest first.
    """
    variable = next((v for n in names if (v := container.find_variable(n))), None)
    value = next((v for words in commands for flag in flags for v in _find_flag_values(words, flag)), None)
    if value is None or value.value is None or value.value.startswith(("/", ".")):
        return variable
    return variable if variable is not None and (variable.value or "?") in value.value else value


def _find_flag_values(words: Sequence[Word], flag: str) -> Iterator[EnvVar]:
    """The values of a flag of a load generator, each with the name of the flag."""
    start = next((i for i, word in enumerate(words) if _is_tool(word.text or "")), len(words))
    if any(word.text in ("install", "pip") for word in words):
        return
    for word, following in zip(words[start:], [*words[start + 1 :], None], strict=False):
        name, equals, inline = (word.text or "").partition("=")
        if name == flag and equals:
            yield EnvVar(flag, inline, word.line, word.column)
        elif name == flag and following is not None:
            yield EnvVar(flag, following.text, following.line, following.column)


def _is_tool(word: str) -> bool:
    return word.rpartition("/")[2].rpartition(".")[2] in _TOOLS or word.endswith("_serving.py")


def read_claims(manifest: Manifest) -> Iterator[Claim]:
    """The claim of a manifest, if it is a PersistentVolumeClaim."""
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
        access_modes=tuple(mode.text or "" for mode in read_items(root, "spec", "accessModes")),
        size=str(size.plain) if size else None,
        line=place.line,
        column=place.column,
    )


def _read_containers(manifest: Manifest, reader: PodReader) -> Iterator[tuple[Value, Container]]:
    path = POD_TEMPLATE_PATHS.get(manifest.kind)
    pod = manifest.root.get(*path, "spec") if path is not None else None
    if pod is not None:
        mountable = read_volumes(pod)
        for source in [*read_items(pod, "initContainers"), *read_items(pod, "containers")]:
            yield source, reader.read_container(source, mountable)
