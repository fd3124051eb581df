"""The labels that pods of a recipe will carry, and whether a selector can mean them."""

from collections.abc import Iterator, Mapping

import msgspec

from dynocheck.facts.k8s.pods import PodTemplate, list_pod_templates
from dynocheck.facts.recipe.recipes import Recipe, Value

GRAPH = "nvidia.com/dynamo-graph-deployment-name"
COMPONENT = "nvidia.com/dynamo-component"
TYPE = "nvidia.com/dynamo-component-type"
SUBTYPE = "nvidia.com/dynamo-sub-component-type"
CLASS = "nvidia.com/dynamo-component-class"
_WORKERS = ("worker", "prefill", "decode")


class LabelledPod(msgspec.Struct, frozen=True):
    """A pod to be, with the values that each of its labels may have: releases of the operator differ."""

    template: PodTemplate
    labels: dict[str, frozenset[str]]


def label_pods(recipe: Recipe) -> Iterator[LabelledPod]:
    """Every pod that applying a recipe leads to, with its labels.

    The operator's own: its `internal/consts` and `internal/dynamo/graph.go`. A worker's type is what its
    component says, or `worker` for graphs that older operators made; the class is given to workers beside an
    endpoint picker alone.
    """
    found = list(list_pod_templates(recipe))
    picked = {(t.manifest.file, t.manifest.name) for t in found if t.of_graph and _read_type(t) == "epp"}
    for template in found:
        has_picker = (template.manifest.file, template.manifest.name) in picked
        own = (
            _build_graph_labels(template, has_picker=has_picker)
            if template.of_graph
            else _build_workload_labels(template)
        )
        written = {key: frozenset([value]) for key, value in _read_labels(template).items()}
        yield LabelledPod(template, {**written, **own})


def may_match(selector: Value | None, labels: Mapping[str, frozenset[str]]) -> bool:
    """Whether a LabelSelector may mean such a pod: none means nothing, an empty one everything."""
    if selector is None:
        return False
    exact = selector.get("matchLabels")
    wanted = exact.mapping.items() if exact else ()
    if any(value.text not in labels.get(key, ()) for key, value in wanted):
        return False
    expressions = selector.get("matchExpressions")
    return all(_may_satisfy(each, labels) for each in (expressions.sequence if expressions else ()))


def _may_satisfy(expression: Value, labels: Mapping[str, frozenset[str]]) -> bool:
    has = labels.get(_read_text(expression, "key"), frozenset())
    values = expression.get("values")
    named = {value.text for value in values.sequence} if values else set()
    match _read_text(expression, "operator"):
        case "In":
            return bool(has & named)
        case "NotIn":
            return not has or bool(has - named)
        case "Exists":
            return bool(has)
        case "DoesNotExist":
            return not has
    return True


def _build_graph_labels(template: PodTemplate, *, has_picker: bool) -> dict[str, frozenset[str]]:
    role, part = _read_type(template), _read_text(template.around, "subComponentType")
    kinds = {role, part} if part in _WORKERS else {role}
    if kinds & set(_WORKERS):
        kinds.add("worker")
    name = template.owner.removeprefix("component ")
    labels = {
        GRAPH: frozenset([template.manifest.name]),
        TYPE: frozenset(kinds),
        COMPONENT: frozenset([name, name.lower()]),
    }
    if part or kinds & set(_WORKERS):
        labels[SUBTYPE] = frozenset({part, role} - {""})
    if has_picker and kinds & set(_WORKERS):
        labels[CLASS] = frozenset(["worker"])
    return labels


def _build_workload_labels(template: PodTemplate) -> dict[str, frozenset[str]]:
    if template.manifest.kind != "Job":
        return {}
    name = frozenset([template.manifest.name])
    return {"job-name": name, "batch.kubernetes.io/job-name": name}


def _read_labels(template: PodTemplate) -> dict[str, str]:
    """The labels that its manifest gives it."""
    of_graph, pod = template.of_graph, template.manifest.kind == "Pod"
    holder = template.around if of_graph else template.manifest.root
    paths: list[tuple[str, ...]] = [("metadata", "labels")]
    if of_graph:
        paths = [("extraPodMetadata", "labels"), ("podTemplate", "metadata", "labels"), ("labels",)]
    elif not pod:
        paths = [("spec", "template", "metadata", "labels")]
    found = (labels for path in paths if (labels := holder.get(*path)) is not None)
    return {key: value.text or "" for labels in found for key, value in labels.mapping.items()}


def _read_type(template: PodTemplate) -> str:
    return _read_text(template.around, "componentType") or _read_text(template.around, "type")


def _read_text(value: Value, *path: str) -> str:
    found = value.get(*path)
    return (found.text if found else None) or ""
