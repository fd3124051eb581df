"""Where the pods of a graph's component may run, as its manifest says."""

from collections.abc import Iterable, Iterator

import msgspec

from dynocheck.facts.k8s.cluster import Node, Taint
from dynocheck.facts.recipe.recipes import Component, Graph, Recipe, Value

_NOTHING = Value(None, 1, 1)


class Placement(msgspec.Struct, frozen=True):
    """The pod spec of a component, for its selectors, tolerations and claims."""

    pod: Value

    @property
    def selector(self) -> dict[str, str]:
        """Its nodeSelector."""
        found = self.pod.get("nodeSelector")
        return {key: value.text or "" for key, value in found.mapping.items()} if found else {}

    @property
    def claims(self) -> tuple[str, ...]:
        """The names of its ResourceClaims and ResourceClaimTemplates."""
        claims = self.pod.get("resourceClaims")
        names = (
            claim.get(key)
            for claim in (claims.sequence if claims else ())
            for key in ("resourceClaimTemplateName", "resourceClaimName")
        )
        return tuple(name.text for name in names if name and name.text)

    @property
    def has_resource_claims(self) -> bool:
        """Whether it has resource claims at all."""
        claims = self.pod.get("resourceClaims")
        return bool(claims and claims.sequence)

    def selects(self, node: Node) -> bool:
        """Whether nodeSelector and required node affinity let its pods onto the node."""
        if any(node.labels.get(key) != value for key, value in self.selector.items()):
            return False
        required = self.pod.get("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        terms = required.get("nodeSelectorTerms") if required else None
        return terms is None or any(_matches(term, node) for term in terms.sequence)

    def find_required_values(self, *labels: str) -> frozenset[str] | None:
        """The values that one of these labels must have, or None where its pods may run without.

        The terms of an affinity are alternatives: each has to name the label.
        """
        chosen = next((self.selector[label] for label in labels if label in self.selector), None)
        if chosen is not None:
            return frozenset({chosen})
        required = self.pod.get("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
        terms = required.get("nodeSelectorTerms") if required else None
        named = [_find_label_values(term, labels) for term in (terms.sequence if terms else ())]
        return frozenset().union(*named) if named and all(named) else None

    def tolerates(self, taint: Taint) -> bool:
        """Whether one of its tolerations is for this taint."""
        tolerations = self.pod.get("tolerations")
        return any(_tolerates(each, taint) for each in (tolerations.sequence if tolerations else ()))


def list_placements(recipes: Iterable[Recipe]) -> Iterator[tuple[Graph, Component, Placement]]:
    """Every component of every graph with its placement."""
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


def _find_pod_specs(spec: Value) -> Iterator[tuple[tuple[int, int], Value]]:
    """The pod specs of a graph by the place of their component, in either API version."""
    components, services = spec.get("components"), spec.get("services")
    for entry in components.sequence if components else ():
        yield (entry.line, entry.column), entry.get("podTemplate", "spec") or _NOTHING
    for entry in services.mapping.values() if services else ():
        yield (entry.line, entry.column), entry.get("extraPodSpec") or _NOTHING


def _matches(term: Value, node: Node) -> bool:
    """A term that has nothing in it matches no node."""
    labels, fields = term.get("matchExpressions"), term.get("matchFields")
    given = [(each, node.labels) for each in (labels.sequence if labels else ())]
    given += [(each, {"metadata.name": node.name}) for each in (fields.sequence if fields else ())]
    return bool(given) and all(_holds(each, values) for each, values in given)


def _find_label_values(term: Value, labels: tuple[str, ...]) -> frozenset[str]:
    """The values that a term wants one of these labels to have; none where it does not name them."""
    expressions = term.get("matchExpressions")
    for each in expressions.sequence if expressions else ():
        if _read_text(each, "key") in labels and _read_text(each, "operator") == "In":
            values = each.get("values")
            return frozenset(value.text or "" for value in (values.sequence if values else ()))
    return frozenset()


def _holds(requirement: Value, labels: dict[str, str]) -> bool:
    key, operator = _read_text(requirement, "key"), _read_text(requirement, "operator")
    values = requirement.get("values")
    wanted = [value.text or "" for value in values.sequence] if values else []
    has = labels.get(key)
    if operator == "Exists":
        return has is not None
    if operator == "DoesNotExist":
        return has is None
    if operator == "In":
        return has in wanted
    if operator == "NotIn":
        return has not in wanted
    if has is None or not wanted or not (_is_integer(has) and _is_integer(wanted[0])):
        return False
    return int(has) > int(wanted[0]) if operator == "Gt" else int(has) < int(wanted[0])


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _tolerates(toleration: Value, taint: Taint) -> bool:
    key, effect = _read_text(toleration, "key"), _read_text(toleration, "effect")
    if effect and effect != taint.effect:
        return False
    if _read_text(toleration, "operator") == "Exists":
        return key in ("", taint.key)
    return key == taint.key and _read_text(toleration, "value") == taint.value


def _read_text(value: Value, key: str) -> str:
    found = value.get(key)
    return (found.text if found else None) or ""
