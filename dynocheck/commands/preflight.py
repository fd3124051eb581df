"""`dynocheck preflight`: checks a cluster, and with recipes whether they fit it."""

from functools import partial

from dynocheck.commands._run import Run, RunContext, collect_hub_access, describe_schemas
from dynocheck.core.options import CommonOptions
from dynocheck.facts import ClusterFact, ServedKinds


def run(options: CommonOptions, recipes: tuple[str, ...], *, hub: bool = False) -> int:
    """Check the cluster.

    :param hub: ask the Hugging Face hub for the models of the recipes.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    if not recipes:
        return Run.begin("preflight", options, ClusterFact).judge(cluster=True)
    run = Run.begin("preflight", options, (ClusterFact, ServedKinds), recipes)
    context = RunContext(collect_hub_access(hub=hub), describe_target=partial(describe_schemas, run.checks))
    return run.judge(recipes, cluster=True, context=context)
