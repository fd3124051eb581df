"""`dynocheck preflight`: judge a cluster, and with recipes whether those fit it."""

from dynocheck.commands._pipeline import Run, judge
from dynocheck.commands._settings import CommonOptions
from dynocheck.facts import ClusterFact


def run(choices: CommonOptions, recipes: tuple[str, ...]) -> int:
    return judge(Run.begin("preflight", choices, ClusterFact), recipes=recipes, cluster=True)
