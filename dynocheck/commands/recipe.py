"""`dynocheck recipe`: judge recipe folders, variants or manifests, offline unless a cluster is added."""

from dynocheck.commands.judging import Scene, judge
from dynocheck.commands.setting import Choices
from dynocheck.errors import UsageError
from dynocheck.facts import RecipeFact
from dynocheck.facts.definitions import DefinitionPaths


def run(choices: Choices, paths: tuple[str, ...], *, cluster: bool, crds: tuple[str, ...] = ()) -> int:
    if not paths and choices.snapshot is None:
        raise UsageError("no recipe named: dynocheck recipe PATH...")
    scene = Scene(sources={DefinitionPaths: DefinitionPaths(crds)} if crds else {})
    return judge("recipe", choices, RecipeFact, recipes=paths, cluster=cluster, scene=scene)
