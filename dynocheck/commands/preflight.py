"""`dynocheck preflight`: checks a cluster, and with recipes whether they fit it."""

from dynocheck.commands._run import Run
from dynocheck.core.options import CommonOptions
from dynocheck.facts import ClusterFact


def run(options: CommonOptions, recipes: tuple[str, ...]) -> int:
    """Check the cluster.

    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    return Run.begin("preflight", options, ClusterFact, recipes).judge(recipes, cluster=True)
