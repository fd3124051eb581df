"""`dynocheck recipe`: judge recipe folders, variants or manifests, offline unless a cluster is added."""

from typing import Any

from dynocheck.commands._pipeline import Run, RunContext, judge
from dynocheck.commands._settings import CommonOptions
from dynocheck.core.errors import UsageError
from dynocheck.facts import RecipeFact
from dynocheck.facts.k8s.definitions import DefinitionPaths
from dynocheck.facts.recipe.engines import EngineParsers


def run(
    choices: CommonOptions,
    paths: tuple[str, ...],
    *,
    cluster: bool,
    crds: tuple[str, ...] = (),
    engine_parser: bool = False,
) -> int:
    if not paths and choices.snapshot is None:
        raise UsageError("no recipe named: dynocheck recipe PATH...")
    sources: dict[type, Any] = {DefinitionPaths: DefinitionPaths(crds)} if crds else {}
    sources |= {EngineParsers: EngineParsers(("vllm",))} if engine_parser else {}
    scene = RunContext(sources=sources)
    return judge(Run.begin("recipe", choices, RecipeFact), recipes=paths, cluster=cluster, scene=scene)
