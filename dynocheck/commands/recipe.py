"""`dynocheck recipe`: checks recipe folders, variants or manifests, offline unless --cluster is given."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dynocheck.commands._each_node import KINDS, join_reports
from dynocheck.commands._inventory import describe_inventory
from dynocheck.commands._run import Run, RunContext, collect_hub_access, describe_schemas
from dynocheck.core.declarations import Check
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.facts import DefinitionPaths, EngineParsers, Fact, RecipeFact, Recipes
from dynocheck.recipe.templates import parse_assignments


def run(
    options: CommonOptions,
    paths: tuple[str, ...],
    *,
    cluster: bool,
    crds: tuple[str, ...] = (),
    assignments: tuple[str, ...] = (),
    env_files: tuple[str, ...] = (),
    engine_parser: bool = False,
    hub: bool = False,
    node_reports: str | None = None,
) -> int:
    """Check recipes.

    :param crds: directories with CRDs.
    :param assignments: NAME=VALUE that fills in templates; overrides the same in `env_files`.
    :param engine_parser: judge flags by the installed vLLM's parser too.
    :param node_reports: a file of what the cluster's nodes said of themselves.
    :param hub: ask the Hugging Face hub for the models.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    if not paths and options.snapshot is None:
        raise UsageError("no recipe given: dynocheck recipe PATH...")
    if node_reports and not (cluster or options.snapshot):
        raise UsageError("--with: only with --cluster or --snapshot")
    variables = parse_assignments(assignments, env_files)
    sources: dict[type, Any] = {DefinitionPaths: DefinitionPaths(crds)} if crds else {}
    sources |= collect_hub_access(hub=hub)
    sources |= {EngineParsers: EngineParsers(("vllm",))} if engine_parser else {}
    run = Run.begin("recipe", options, (RecipeFact, *(KINDS if node_reports else ())), paths)
    context = RunContext(sources=sources, describe_target=partial(_describe_target, run.checks))
    run, context = join_reports(run, context, node_reports)
    return run.judge(paths, variables, cluster=cluster, context=context)


def _describe_target(checks: Sequence[Check], facts: Mapping[type[Fact], Any]) -> dict[str, str]:
    """What the recipes hold, and what judges their objects."""
    found = describe_inventory(facts.get(Recipes, Recipes(())))
    return ({"found": found} if found else {}) | describe_schemas(checks, facts)
