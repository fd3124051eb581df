"""The nodes on which the pods of a graph may run, by its manifest."""

from collections.abc import Iterable, Iterator

import msgspec

from dynocheck.facts.k8s.cluster import Node, Taint
from dynocheck.facts.k8s.label_selectors import SelectorExpression, read_expressions
from dynocheck.facts.k8s.pods import find_server_template
from dynocheck.facts.recipe.documents import Value
from dynocheck.facts.recipe.recipes import Component, Graph, Recipe

_NOTHING = Value(None, 1, 1)
_TERMS = (
    *("affinity", "nodeAffinity"),
    *("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"),
)


class Placement(msgspec.Struct, frozen=True):
    """The scheduling constraints in the pod spec of a component."""

    pod: Value

    @property
    def selector(self) -> dict[str, str]:
        """Its nodeSelector."""
        labels = self.pod.get("nodeSelector")
        return {key: value.text or "" for key, value in labels.mapping.items()} if labels else {}

    @property
    def claims(self) -> tuple[str, ...]:
        """The names of its ResourceClaims and ResourceClaimTemplates."""
        names = (
            claim.get_text(key)
            for claim in self.pod.get_items("resourceClaims")
            for key in ("resourceClaimTemplateName", "resourceClaimName")
        )
        return tuple(filter(None, names))

    @property
    def has_resource_claims(self) -> bool:
        return bool(self.pod.get_items("resourceClaims"))

    def selects(self, node: Node) -> bool:
        """Whether its nodeSelector and required node affinity match the node."""
        if any(node.labels.get(key) != value for key, value in self.selector.items()):
            return False
        terms = self.pod.get(*_TERMS)
        return terms is None or any(_matches(term, node) for term in terms.sequence)

    def find_required_values(self, *labels: str) -> frozenset[str] | None:
        """The values of which one of these labels must have one; None if its pods may run on other nodes.

        The terms of an affinity are alternatives: each has to name the label.
        """
        chosen = next((self.selector[label] for label in labels if label in self.selector), None)
        if chosen is not None:
            return frozenset({chosen})
        named = [_find_label_values(term, labels) for term in self.pod.get_items(*_TERMS)]
        return frozenset().union(*named) if named and all(named) else None

    def tolerates(self, taint: Taint) -> bool:
        return any(_tolerates(toleration, taint) for toleration in self.pod.get_items("tolerations"))


def list_placements(
    recipes: Iterable[Recipe], *, servers: bool = False
) -> Iterator[tuple[Graph, Component, Placement]]:
    """Every component of every graph with its scheduling constraints.

    :param servers: whether to list the engines without Dynamo too.
    """
    for recipe in recipes:
        specs = {
            (manifest.file, manifest.name): spec
            for manifest in recipe.manifests
            if manifest.kind == "DynamoGraphDeployment" and (spec := manifest.root.get("spec"))
        }
        for graph in recipe.graphs:
            pods = dict(_find_pod_specs(specs.get((graph.file, graph.name), _NOTHING)))
            for component in graph.components:
                pod = pods.get((component.line, component.column), _NOTHING)
                yield graph, component, Placement(pod)
        if servers and recipe.servers:
            yield from _place_servers(recipe)


def _place_servers(recipe: Recipe) -> Iterator[tuple[Graph, Component, Placement]]:
    for server in recipe.servers:
        for component in server.components:
            template = find_server_template(recipe, server, component)
            yield server, component, Placement(template.spec if template is not None else _NOTHING)


def _find_pod_specs(spec: Value) -> Iterator[tuple[tuple[int, int], Value]]:
    """The pod specs of a graph of either API version, with the line and column of their component."""
    services = spec.get("services")
    for entry in spec.get_items("components"):
        yield (entry.line, entry.column), entry.get("podTemplate", "spec") or _NOTHING
    for entry in services.mapping.values() if services else ():
        yield (entry.line, entry.column), entry.get("extraPodSpec") or _NOTHING


def _matches(term: Value, node: Node) -> bool:
    """Whether a node meets a term of a node selector; an empty term matches no node."""
    labels = [(each, node.labels) for each in read_expressions(term.get_items("matchExpressions"))]
    fields = [
        (each, {"metadata.name": node.name}) for each in read_expressions(term.get_items("matchFields"))
    ]
    expressions = labels + fields
    return bool(expressions) and all(_holds(expression, values) for expression, values in expressions)


def _find_label_values(term: Value, labels: tuple[str, ...]) -> frozenset[str]:
    """The values that a term requires of one of these labels; empty if it does not name them."""
    return next(
        (
            frozenset(expression.values)
            for expression in read_expressions(term.get_items("matchExpressions"))
            if expression.key in labels and expression.operator == "In"
        ),
        frozenset(),
    )


def _holds(expression: SelectorExpression, labels: dict[str, str]) -> bool:
    value, bounds = labels.get(expression.key), expression.values
    matches = expression.matches(value)
    if matches is not None:
        return matches
    if value is None or not bounds or not (_is_integer(value) and _is_integer(bounds[0])):
        return False
    return int(value) > int(bounds[0]) if expression.operator == "Gt" else int(value) < int(bounds[0])


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _tolerates(toleration: Value, taint: Taint) -> bool:
    key, effect = toleration.get_text("key"), toleration.get_text("effect")
    if effect and effect != taint.effect:
        return False
    if toleration.get_text("operator") == "Exists":
        return key in ("", taint.key)
    return key == taint.key and toleration.get_text("value") == taint.value
