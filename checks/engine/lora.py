"""Checks of the LoRA adapters that an engine loads."""

import json
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, warn
from dynocheck.core.fixes import add_flag, set_flag
from dynocheck.engines.instances import EngineInstance, find_instances
from dynocheck.facts import Recipes, Word

_MODULES = "--lora-modules"
_SIZES = ("max-loras", "max-cpu-loras")


class _Adapter(NamedTuple):
    """An adapter by its name and path, and the word of the command line that names it."""

    name: str
    path: str
    word: Word


@check("engine.lora", title="LoRA adapters are enabled, mounted and named once")
def lora(recipes: Recipes) -> Iterator[Result]:
    """An engine of vLLM loads the adapters of --lora-modules when it starts, and ends if it cannot: without
    --enable-lora, from a path that is not there, under a name twice, or with fewer adapters in the CPU's
    memory than on the GPU. Clients ask for an adapter by its name, which the model's own name hides.

    Source: vllm/config/lora.py and entrypoints/openai/serving_models.py of vLLM 0.8.5 to 0.31.0

    Fix: --enable-lora --lora-modules NAME=/adapters/NAME, with a volume mounted at /adapters
    """
    engines = [e for recipe in recipes for d in recipe.deployments for e in find_instances(d)]
    found = [
        e for e in engines if e.engine.name == "vllm" and e.given.get("lora-modules", *_SIZES) is not None
    ]
    if not found:
        raise Skip("no engine with LoRA adapters")
    for engine in found:
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
