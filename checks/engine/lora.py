"""Checks of the LoRA adapters that an engine loads."""

import json
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, warn
from dynocheck.checks.engine._callers import Call, list_calls
from dynocheck.core.fixes import add_flag, replace_words, set_flag, set_variable
from dynocheck.engines.instances import EngineInstance, find_instances
from dynocheck.facts import Recipe, Recipes, Word

_MODULES = "--lora-modules"
_SIZES = ("max-loras", "max-cpu-loras")
_RANK = 16  # of --max-lora-rank
_RUNTIME = "VLLM_ALLOW_RUNTIME_LORA_UPDATING"
_ON = ("1", "true")
_CONTROLLERS = ("LoraAdapter", "ModelAdapter")  # of production-stack and AIBrix, which call the engine's API


class _Adapter(NamedTuple):
    """An adapter by its name and path, and the word of the command line that names it."""

    name: str
    path: str
    word: Word


@check("engine.lora", title="LoRA adapters load, and clients ask for them by name")
def lora(recipes: Recipes) -> Iterator[Result]:
    """An engine of vLLM loads the adapters of --lora-modules when it starts, and ends if it cannot: without
    --enable-lora, from a path that is not there, under a name twice, of a rank above --max-lora-rank, or with
    fewer adapters in the CPU's memory than on the GPU. One that exceeds --max-cpu-loras, which is --max-loras
    and 1 unless set, is read from disk again for its next request. Clients ask for an adapter by its name,
    which the model's own name hides. Adapters are loaded at run time only if a variable allows it.

    The rank is read from an adapter_config.json in the recipe, in a folder of the adapter's name.

    Source: vllm/config/lora.py and entrypoints/openai/serving_models.py of vLLM 0.8.5 to 0.32.0

    Fix: --enable-lora --lora-modules NAME=/adapters/NAME, with a volume mounted at /adapters
    """
    found = [
        (recipe, engine)
        for recipe in recipes
        for deployment in recipe.deployments
        for engine in find_instances(deployment)
        if engine.engine.name == "vllm" and engine.given.get("enable-lora", "lora-modules", *_SIZES)
    ]
    if not found:
        raise Skip("no engine with LoRA adapters")
    for recipe, engine in found:
        yield judged(1, "engines")
        yield from _check_sizes(engine)
        adapters = list(_list_adapters(engine))
        if adapters and engine.given.complete and not engine.given.is_enabled("enable-lora"):
            yield fail(
                f"{engine.name}: {_MODULES} needs --enable-lora: the adapters cannot be loaded",
                fix=add_flag("--enable-lora"),
                location=_locate(engine, adapters[0].word),
            )
        yield from _check_adapters(engine, adapters)
        yield from _check_count(engine, adapters)
        yield from _check_ranks(recipe, engine, adapters)
        yield from _check_callers(recipe, engine, adapters)


def _check_sizes(engine: EngineInstance) -> Iterator[Finding]:
    on_cpu, on_gpu = engine.given.get("max-cpu-loras"), engine.given.size("max-loras")
    if on_cpu is not None and on_gpu is not None and (count := on_cpu.integer) is not None and count < on_gpu:
        yield fail(
            f"{engine.name}: --max-cpu-loras {count} is less than --max-loras {on_gpu}: vLLM does not start",
            fix=set_flag("--max-cpu-loras", on_gpu),
            location=Location(on_cpu.file, on_cpu.line, on_cpu.column),
        )


def _check_adapters(engine: EngineInstance, adapters: list[_Adapter]) -> Iterator[Finding]:
    seen: set[str] = set()
    for adapter in adapters:
        if adapter.name in seen or adapter.name == (engine.served_name or engine.model):
            report, other = (fail, "another adapter") if adapter.name in seen else (warn, "the model, too")
            yield report(
                f"{engine.name}: {adapter.name} is the name of {other}",
                fix="give each adapter a name of its own",
                location=_locate(engine, adapter.word),
            )
        seen.add(adapter.name)
        if adapter.path.startswith("/") and engine.container.find_mount(adapter.path) is None:
            yield warn(
                f"{engine.name}: no volume is mounted at {adapter.path}: {adapter.name} must be in the image",
                fix=f"mount the volume with the adapters above {adapter.path}",
                location=_locate(engine, adapter.word),
            )


def _check_count(engine: EngineInstance, adapters: Sequence[_Adapter]) -> Iterator[Finding]:
    kept = engine.given.size("max-cpu-loras" if engine.given.get("max-cpu-loras") else "max-loras")
    if kept is not None and kept < len(adapters) and engine.given.complete:
        yield warn(
            f"{engine.name}: {len(adapters)} adapters, {kept} of them in memory at a time: requests for "
            "another read it from disk again",
            fix=add_flag("--max-cpu-loras", len(adapters))
            if engine.given.get("max-cpu-loras") is None
            else set_flag("--max-cpu-loras", len(adapters)),
            location=_locate(engine, adapters[0].word),
        )


def _check_ranks(recipe: Recipe, engine: EngineInstance, adapters: Sequence[_Adapter]) -> Iterator[Finding]:
    given = engine.given.get("max-lora-rank")
    most = _RANK if given is None else given.integer
    for adapter in adapters:
        folders = {adapter.name, adapter.path.rstrip("/").rpartition("/")[2]}
        ranks = {each.rank for each in recipe.adapters if each.name in folders}
        rank = ranks.pop() if len(ranks) == 1 else None
        if rank is not None and most is not None and rank > most and engine.given.complete:
            yield fail(
                f"{engine.name}: {adapter.name} has rank {rank}, --max-lora-rank is {most}: "
                "vLLM cannot load it",
                fix=set_flag("--max-lora-rank", next((n for n in (32, 64, 128, 256) if n >= rank), 512)),
                location=_locate(engine, adapter.word),
            )


def _check_callers(recipe: Recipe, engine: EngineInstance, adapters: Sequence[_Adapter]) -> Iterator[Finding]:
    """Reports who has adapters loaded that the engine refuses, or asks for a name that it does not serve."""
    variable = engine.find_variable(_RUNTIME)
    allowed = variable is not None and (variable.value is None or variable.value.strip().lower() in _ON)
    if allowed or engine.graph.of_dynamo:
        return
    calls = [call for call in list_calls(recipe) if call.servers == (engine.graph,)]
    loading = [call.owner for call in calls if call.loads]
    if not loading and len(_list_enabled(recipe)) == 1:
        loading = [f"{each.kind} {each.name}" for each in recipe.own_manifests if each.kind in _CONTROLLERS]
    if loading:
        yield fail(
            f"{engine.name}: {loading[0]} has adapters loaded at run time, which needs {_RUNTIME}",
            fix=set_variable(_RUNTIME, "True"),
            location=Location(engine.graph.file, engine.launch.line, engine.launch.column),
        )
    elif adapters:
        yield from _check_names(engine, adapters, calls)


def _list_enabled(recipe: Recipe) -> list[EngineInstance]:
    """The engines that take adapters."""
    engines = (engine for server in recipe.servers for engine in find_instances(server))
    return [engine for engine in engines if engine.given.is_enabled("enable-lora")]


def _check_names(
    engine: EngineInstance, adapters: Sequence[_Adapter], calls: Sequence[Call]
) -> Iterator[Finding]:
    known = {word.text or "" for word in engine.launch.words} | {adapter.name for adapter in adapters}
    known |= {engine.served_name or engine.model or ""}
    if "" in known or not engine.given.complete:
        return
    for call in calls:
        for name, place in call.models:
            if name not in known:
                names = [adapter.name for adapter in adapters]
                yield fail(
                    f"{call.owner} asks {engine.name} for {name}, its adapters are {', '.join(names)}",
                    fix=replace_words(name, names[0]),
                    location=place,
                )


def _list_adapters(engine: EngineInstance) -> Iterator[_Adapter]:
    """The adapters that the words behind --lora-modules name, as NAME=PATH or as JSON."""
    words = iter(engine.launch.words)
    for word in words:
        if word.text == _MODULES:
            for value in takewhile(lambda each: not (each.text or "-").startswith("-"), words):
                name, path = _read_adapter(value.text or "")
                if name and "$" not in name + path:
                    yield _Adapter(name, path, value)


def _read_adapter(text: str) -> tuple[str, str]:
    if not text.startswith("{"):
        name, _, path = text.partition("=")
        return name, path
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return "", ""
    return str(given.get("name", "")), str(given.get("path", ""))


def _locate(engine: EngineInstance, word: Word) -> Location:
    return Location(engine.graph.file, word.line, word.column)
