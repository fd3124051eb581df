"""`dynocheck preflight`: checks a cluster, and with recipes whether they fit it."""

from functools import partial

from dynocheck.commands._each_node import KINDS, join_reports
from dynocheck.commands._run import Run, RunContext, collect_hub_access, describe_schemas
from dynocheck.core.options import CommonOptions
from dynocheck.facts import ClusterFact, ServedKinds


def run(
    options: CommonOptions, recipes: tuple[str, ...], *, hub: bool = False, node_reports: str | None = None
) -> int:
    """Check the cluster.

    :param hub: ask the Hugging Face hub for the models of the recipes.
    :param node_reports: a file of what the nodes said of themselves.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    kinds = (ClusterFact, *((ServedKinds,) if recipes else ()), *(KINDS if node_reports else ()))
    run = Run.begin("preflight", options, kinds, recipes)
    context = RunContext()
    if recipes:
        context = RunContext(
            collect_hub_access(hub=hub), describe_target=partial(describe_schemas, run.checks)
        )
    run, context = join_reports(run, context, node_reports)
    return run.judge(recipes, cluster=True, context=context)
