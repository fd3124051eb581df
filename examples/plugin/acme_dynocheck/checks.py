"""What must hold in Acme's clusters and recipes. A check does no I/O: its test needs no cluster."""

from collections.abc import Iterator

from acme_dynocheck.facts import NamespaceOwner, PriorityClasses
from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Recipes

SERVING = "acme-serving"


@check("acme.priority-class", title="The cluster has the PriorityClass of serving pods")
def priority_class(classes: PriorityClasses) -> Iterator[Finding]:
    """Pods of a PriorityClass that is missing are refused when they are created.

    Fix: kubectl create priorityclass acme-serving --value=1000000
    """
    if SERVING not in [each.name for each in classes]:
        yield fail(
            f"no PriorityClass {SERVING}", fix=f"kubectl create priorityclass {SERVING} --value=1000000"
        )


@check("acme.namespace-owner", title="The namespace names its owner")
def namespace_owner(held: NamespaceOwner) -> Iterator[Finding]:
    """The on-call engineer calls the owner of a namespace.

    Fix: kubectl label namespace NAMESPACE acme.example/owner=TEAM
    """
    if held.owner is None:
        yield warn(
            "has no label acme.example/owner",
            subject=Subject("Namespace", held.namespace),
            fix=f"kubectl label namespace {held.namespace} acme.example/owner=TEAM",
        )


@check("acme.graph-names", title="Names of graphs are short enough for Acme's dashboards")
def graph_names(recipes: Recipes) -> Iterator[Finding]:
    """The dashboards cut names after 30 characters.

    Fix: give the DynamoGraphDeployment a shorter name.
    """
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    if not graphs:
        raise Skip("no graph")
    for graph in graphs:
        if len(graph.name) > 30:
            yield warn(
                f"the name {graph.name} has {len(graph.name)} characters",
                location=Location(graph.file, graph.line, graph.column),
            )
