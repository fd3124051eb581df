"""Checks that affinity rules on Dynamo's labels match pods of the recipe."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.facts import (
    CLASS_LABEL,
    COMPONENT_LABEL,
    GRAPH_LABEL,
    SUBTYPE_LABEL,
    TYPE_LABEL,
    LabelledPod,
    Recipe,
    Recipes,
    Value,
    label_pods,
    may_match,
)

_SIDES = {"podAffinity": "wants to be near", "podAntiAffinity": "keeps away from"}
_RULE = "DuringSchedulingIgnoredDuringExecution"


def _get_text(value: Value | None) -> str:
    return (value.text if value else None) or ""


class _AffinityRule(NamedTuple):
    """A rule that places a pod near others or away from them."""

    pod: LabelledPod
    side: str
    required: bool
    selector: Value

    @property
    def text(self) -> str:
        exact = self.selector.get("matchLabels")
        parts = [f"{key}={value.text}" for key, value in exact.mapping.items()] if exact else []
        expressions = self.selector.get("matchExpressions")
        for each in expressions.sequence if expressions else ():
            key, operator, values = each.get("key"), each.get("operator"), each.get("values")
            named = ", ".join(value.text or "" for value in values.sequence) if values else ""
            parts.append(
                " ".join(filter(None, [_get_text(key), _get_text(operator), f"[{named}]" if named else ""]))
            )
        return ", ".join(parts)

    @property
    def keys(self) -> dict[str, set[str]]:
        """The values that are named for each label."""
        exact, expressions = self.selector.get("matchLabels"), self.selector.get("matchExpressions")
        found = {key: {value.text or ""} for key, value in exact.mapping.items()} if exact else {}
        for each in expressions.sequence if expressions else ():
            key, values = each.get("key"), each.get("values")
            named = {value.text or "" for value in values.sequence} if values else set()
            found.setdefault(_get_text(key), set()).update(named)
        return found


@check("graph.placement", title="Affinity rules match existing pods")
def placement(recipes: Recipes) -> Iterator[Finding]:
    """A rule to keep away from pods that no label fits keeps away from nobody; one that demands to be near
    them leaves its own pod Pending.

    The operator labels the pods of a graph with its name (`nvidia.com/dynamo-graph-deployment-name`, without
    the component's), the component's name and its type; workers have a class only beside an endpoint picker.
    Rules on those labels alone are judged, in recipes that hold a graph, and none that names another graph or
    other namespaces.

    Fix: select nvidia.com/dynamo-graph-deployment-name In [GRAPH] and nvidia.com/dynamo-component-type
    """
    judged = False
    for recipe in recipes:
        pods = list(label_pods(recipe)) if recipe.graphs else []
        for term in (term for pod in pods for term in _find_terms(pod)):
            judged = True
            if not any(may_match(term.selector, pod.labels) for pod in pods):
                yield from _report_idle(recipe, term)
    if not judged:
        raise Skip("no pod is placed by the labels that Dynamo's operator gives")


def _find_terms(pod: LabelledPod) -> Iterator[_AffinityRule]:
    affinity = pod.template.spec.get("affinity")
    for side in _SIDES:
        for word in ("required", "preferred"):
            rules = affinity.get(side, f"{word}{_RULE}") if affinity else None
            for rule in rules.sequence if rules else ():
                term = rule.get("podAffinityTerm") or rule
                selector = term.get("labelSelector")
                elsewhere = term.get("namespaces") or term.get("namespaceSelector")
                if selector is not None and elsewhere is None:
                    found = _AffinityRule(pod, side, word == "required", selector)
                    if found.keys and set(found.keys) <= {
                        GRAPH_LABEL,
                        COMPONENT_LABEL,
                        TYPE_LABEL,
                        SUBTYPE_LABEL,
                        CLASS_LABEL,
                    }:
                        yield found


def _report_idle(recipe: Recipe, term: _AffinityRule) -> Iterator[Finding]:
    graphs = sorted(graph.name for graph in recipe.graphs)
    named = term.keys.get(GRAPH_LABEL, set())
    meant = [graph for graph in graphs if any(name.startswith(f"{graph}-") for name in named)]
    if named and not named & set(graphs) and not meant:
        return  # of another deployment, which may be there
    waits = term.side == "podAffinity" and term.required
    hint = f"; the label holds the graph's name alone: {meant[0]}" if meant else ""
    effect = "it stays Pending" if waits else "the rule does nothing"
    where = term.pod.template
    yield (fail if waits else warn)(
        f"{where.owner} {_SIDES[term.side]} pods with {term.text}, and the recipe has none: {effect}{hint}",
        fix=f"select {GRAPH_LABEL}={meant[0] if meant else graphs[0]} and {TYPE_LABEL}",
        location=Location(where.manifest.file, term.selector.line, term.selector.column),
    )
