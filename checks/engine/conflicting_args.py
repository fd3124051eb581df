"""Checks that an engine's command line and configuration files agree."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, check, judged, warn
from dynocheck.checks.engine._coverage import describe_incomplete
from dynocheck.checks.engine._programs import Program, list_programs
from dynocheck.core.fixes import remove_argument
from dynocheck.engines.arguments import Argument
from dynocheck.engines.command_line import FlagOccurrence, parse_flags
from dynocheck.engines.instances import EngineInstance, find_instances
from dynocheck.facts import Recipes
from dynocheck.secrets import clip

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_NESTED_KEYS = {"free-gpu-memory-fraction": ("kv-cache-config", "free_gpu_memory_fraction")}


@check("engine.cli-vs-yaml", title="Command line and engine configuration agree")
def cli_vs_yaml(recipes: Recipes) -> Iterator[Result]:
    """An argument set in two places misleads readers of one of them. For TensorRT-LLM the file of
    --extra-engine-args wins over the command line, and --override-engine-args over both; for trtllm-serve the
    file of --config, and from 1.3.0rc29 on the command line. For SGLang the command line wins over the file
    of --config; for vLLM the command line over --config, and that over --engine-config-json. Of a number that
    is given twice on one command line the last counts.

    Fix: remove the overridden argument
    """
    workers = [
        worker for recipe in recipes for graph in recipe.deployments for worker in find_instances(graph)
    ]
    if not workers:
        raise Skip("no engine")
    for worker in workers:
        yield judged(1, "engines") if worker.given.complete else describe_incomplete(worker)
        for lost, won in (*worker.given.conflicts, *_find_nested_conflicts(worker)):
            yield warn(
                f"{worker.name}: {lost.name} is {_shorten(lost.value)} here and "
                f"{_shorten(won.value)} at {_describe_place(won, lost)}, which wins",
                fix=remove_argument(lost.spelled or lost.name, f"or set it to {_shorten(won.value)}"),
                location=Location(lost.file, lost.line, lost.column),
            )
    for program in list_programs(recipes, None):
        yield from _check_repeated(program)


def _check_repeated(program: Program) -> Iterator[Finding]:
    """Reports a flag that has another number earlier on the same command line."""
    last: dict[str, FlagOccurrence] = {}
    for flag in reversed([*parse_flags(program.launch, program.parsers)]):
        names = {option.names[0] for option in flag.candidates if option.kind in ("value", "optional")}
        if len(names) != 1 or not (isinstance(flag.value, str) and _NUMBER.fullmatch(flag.value)):
            continue
        won = last.setdefault(names.pop(), flag)
        if flag.value != won.value:
            yield warn(
                f"{program.component.name}: {flag.spelled} is {flag.value} here and {won.value} at line "
                f"{won.word.line}, which wins",
                fix=remove_argument(flag.spelled, f"or set it to {won.value}"),
                location=program.locate(flag),
            )


def _find_nested_conflicts(worker: EngineInstance) -> Iterator[tuple[Argument, Argument]]:
    """TensorRT-LLM's flags that a nested key of its file overrides, each with that key."""
    if worker.engine.name != "trtllm":
        return
    for flag, (section, key) in _NESTED_KEYS.items():
        lost, won, value = worker.given.get(flag), worker.given.get(section), worker.get_nested(section, key)
        if (
            lost is not None
            and won is not None
            and value is not None
            and lost.known
            and not lost.equals(value)
        ):
            yield lost, Argument(flag, value, won.file, won.line, won.column)


def _shorten(value: object) -> str:
    return clip(str(value), 40)


def _describe_place(won: Argument, lost: Argument) -> str:
    return f"line {won.line}" if won.file == lost.file else f"{won.file}:{won.line}"
