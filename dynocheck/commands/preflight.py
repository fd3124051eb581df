"""`dynocheck preflight`: judge a cluster, and with recipes whether those fit it."""

from dynocheck.commands._pipeline import Run, judge
from dynocheck.commands._settings import Choices
from dynocheck.facts import ClusterFact


def run(choices: Choices, recipes: tuple[str, ...]) -> int:
    return judge(Run.begun("preflight", choices, ClusterFact), recipes=recipes, cluster=True)
