"""The servers that the production checks judge: of recipes, or of the cluster's namespace."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, unjudged, warn
from dynocheck.core.outcomes import Unjudged
from dynocheck.facts import (
    Component,
    Graph,
    LiveObjects,
    Manifest,
    PodTemplate,
    Recipe,
    Recipes,
    Value,
    find_server_template,
    list_pod_templates,
)

_SERVING = ("frontend", "main", "worker", "prefill", "decode")


class Server(NamedTuple):
    """A component that serves, with its pod as it is written; `live` if it is one of the cluster."""

    recipe: Recipe
    deployment: Graph
    component: Component
    template: PodTemplate
    live: LiveObjects | None

    @property
    def title(self) -> str:
        of_graph = self.deployment.of_dynamo
        return f"{self.deployment.name}/{self.component.name}" if of_graph else self.template.owner

    @property
    def location(self) -> Location | None:
        """Where it is written; None for one of the cluster."""
        place = Location(self.deployment.file, self.component.line, self.component.column)
        return None if self.live is not None else place

    @property
    def subject(self) -> Subject | None:
        """The object of the cluster that it is, if it is one."""
        live = self.live
        return None if live is None else Subject(self.deployment.kind, self.deployment.name, live.namespace)

    @property
    def main(self) -> Value:
        """Its first container that is no init container; its pod if it lists none."""
        listed = self.template.spec.get_items("containers")
        return self.template.spec.get("mainContainer") or (listed[0] if listed else self.template.spec)

    @property
    def labels(self) -> dict[str, Value]:
        return self.template.labels.mapping


def list_servers(recipes: Recipes | None, live: LiveObjects | None) -> list[Server]:
    """Every component that serves: of the recipes, or without any, of the cluster's namespace.

    :raises Skip: there is none.
    """
    if recipes is not None:
        found = [server for recipe in recipes for server in _read_servers(recipe, None)]
    else:
        found = list(_read_servers(live.recipe, live)) if live is not None else []
    if not found:
        raise Skip("no graph and no engine" + (f" in namespace {live.namespace}" if live else ""))
    return found


def _read_servers(recipe: Recipe, live: LiveObjects | None) -> Iterator[Server]:
    of_graphs = {(t.manifest.file, t.around.line): t for t in list_pod_templates(recipe) if t.of_graph}
    for deployment in recipe.deployments:
        for component in deployment.components:
            template = (
                of_graphs.get((deployment.file, component.line))
                if deployment.of_dynamo
                else find_server_template(recipe, deployment, component)
            )
            if template is not None and (not deployment.of_dynamo or component.role in _SERVING):
                yield Server(recipe, deployment, component, template, live)


def warn_lacking(servers: Iterable[Server], says: str, fix: str) -> Iterator[Finding]:
    """One warning for all servers that lack the same, at the first of them."""
    lacking = list(servers)
    if lacking:
        names = [server.title for server in lacking]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield warn(
            f"{names[0]}{more}: {says}",
            fix=fix,
            evidence={"servers": names} if more else {},
            location=lacking[0].location,
            subject=lacking[0].subject,
        )


def list_objects(recipe: Recipe, *kinds: str) -> Iterator[Manifest]:
    return (manifest for manifest in recipe.own_manifests if manifest.kind in kinds)


def lacks_object(*kinds: str) -> Callable[[Server], bool]:
    """Whether no object of these kinds is in a server's recipe, nor may be in its cluster, unseen."""
    return lambda server: not (_list_unseen(server, kinds) or any(list_objects(server.recipe, *kinds)))


def describe_unseen(servers: Iterable[Server], *kinds: str) -> Iterator[Unjudged]:
    """What is not judged because the user may not list these kinds in the cluster."""
    unseen = dict.fromkeys(kind for server in servers for kind in _list_unseen(server, kinds))
    if unseen:
        names = " and ".join(unseen)
        yield unjudged(names, why="they may not be listed", needs="dynocheck rbac --select production")


def _list_unseen(server: Server, kinds: Iterable[str]) -> list[str]:
    return [kind for kind in kinds if server.live is not None and kind in server.live.unseen]
