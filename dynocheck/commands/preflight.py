"""`dynocheck preflight`: checks a cluster, and with recipes whether they fit it."""

from dynocheck.commands._run import Run, RunContext, collect_hub_access
from dynocheck.core.options import CommonOptions
from dynocheck.facts import ClusterFact


def run(options: CommonOptions, recipes: tuple[str, ...], *, hub: bool = False) -> int:
    """Check the cluster.

    :param hub: ask the Hugging Face hub for the models of the recipes.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    context = RunContext(sources=collect_hub_access(hub=hub) if recipes else {})
    return Run.begin("preflight", options, ClusterFact, recipes).judge(recipes, cluster=True, context=context)
