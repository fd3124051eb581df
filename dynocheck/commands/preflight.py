"""`dynocheck preflight`: judge a cluster, and with recipes whether those fit it."""

from dynocheck.commands.judging import Choices, judge
from dynocheck.facts import ClusterFact


def run(choices: Choices, recipes: tuple[str, ...]) -> int:
    return judge("preflight", choices, ClusterFact, recipes=recipes, cluster=True)
