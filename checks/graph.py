"""Whether the components of a graph make a service."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail
from dynocheck.facts import Recipes
from dynocheck.facts.recipe import Component, Graph

_FRONTEND = "dynamo.frontend"


def _is_frontend(component: Component) -> bool:
    return component.role == "frontend" or any(
        launch.module == _FRONTEND
        for container in component.containers
        if container is component.main
        for launch in container.launches
    )


@check("graph.frontend", title="Every graph has a frontend")
def frontend(recipes: Recipes) -> Iterator[Finding]:
    """The frontend takes HTTP requests and routes them to workers; without it nothing answers on port 8000.

    Behind a Gateway an endpoint picker (type `epp`) takes its place: then each worker runs a frontend
    beside its engine (`frontendSidecar`).

    Fix: add a component of type frontend
    """
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    if not graphs:
        raise Skip("no DynamoGraphDeployment")
    for graph in graphs:
        if any(_is_frontend(component) for component in graph.components):
            continue
        place = Location(graph.file, graph.line, graph.column)
        if any(component.role == "epp" for component in graph.components):
            yield from _sidecars(graph)
        else:
            yield fail(
                f"graph {graph.name} has no frontend: nothing takes its requests",
                fix="add a component of type frontend",
                evidence={"components": {c.name: c.role for c in graph.components}},
                location=place,
            )


def _sidecars(graph: Graph) -> Iterator[Finding]:
    for component in graph.components:
        if component.role in ("worker", "decode") and not component.sidecar:
            yield fail(
                f"{component.name} is picked by the endpoint picker and has no frontend beside its engine",
                fix=f"name a container that runs {_FRONTEND} --router-mode direct as its frontendSidecar",
                location=Location(graph.file, component.line, component.column),
            )
