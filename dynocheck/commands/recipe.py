"""`dynocheck recipe`: judge recipe folders, variants or manifests, offline unless a cluster is added."""

from dynocheck.commands.judging import Choices, judge
from dynocheck.errors import UsageError
from dynocheck.facts import RecipeFact


def run(choices: Choices, paths: tuple[str, ...], *, cluster: bool, crds: tuple[str, ...] = ()) -> int:
    if not paths and choices.snapshot is None:
        raise UsageError("no recipe named: dynocheck recipe PATH...")
    return judge("recipe", choices, RecipeFact, recipes=paths, cluster=cluster, crds=crds)
