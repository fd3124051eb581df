"""`dynocheck recipe`: judge recipe folders, variants or manifests, offline unless a cluster is added."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dynocheck.commands._pipeline import Run, RunContext, judge
from dynocheck.commands._settings import CommonOptions
from dynocheck.core.errors import UsageError
from dynocheck.core.registry import Check
from dynocheck.facts import Fact, RecipeFact
from dynocheck.facts.k8s.definitions import DefinitionPaths, ServerVersion
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
    begun = Run.begin("recipe", choices, RecipeFact)
    scene = RunContext(sources=sources, describe=partial(_schemas, begun.checks))
    return judge(begun, recipes=paths, cluster=cluster, scene=scene)


def _schemas(checks: Sequence[Check], facts: Mapping[type[Fact], Any]) -> dict[str, str]:
    """The release of Kubernetes by whose schemas the objects are judged, when a check does that."""
    if not any(need.fact is ServerVersion for check in checks for need in check.needs):
        return {}
    from dynocheck.data import kubernetes_schemas

    server = facts.get(ServerVersion, ServerVersion())
    return {"schemas": kubernetes_schemas.describe_release(server.version)}
