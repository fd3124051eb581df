"""Labels that the pods of a recipe will have, and the selectors that may match them."""

from collections.abc import Iterable, Iterator

import msgspec

from dynocheck.facts.k8s.label_selectors import SelectorExpression, read_expressions
from dynocheck.facts.k8s.pods import PodTemplate, list_pod_templates
from dynocheck.facts.recipe.documents import Value
from dynocheck.facts.recipe.recipes import Recipe

GRAPH_LABEL = "nvidia.com/dynamo-graph-deployment-name"
COMPONENT_LABEL = "nvidia.com/dynamo-component"
TYPE_LABEL = "nvidia.com/dynamo-component-type"
SUBTYPE_LABEL = "nvidia.com/dynamo-sub-component-type"
CLASS_LABEL = "nvidia.com/dynamo-component-class"
_GROUP = "leaderworkerset.sigs.k8s.io"
_MOST_PODS = 1024  # of a group, whose numbers are listed
_WORKERS = ("worker", "prefill", "decode")


class LabelledPod(msgspec.Struct, frozen=True):
    """A future pod with the possible values of each label, which differ between releases of the operator."""

    template: PodTemplate
    labels: dict[str, frozenset[str]]


def label_pods(recipe: Recipe) -> Iterator[LabelledPod]:
    """Every pod that applying a recipe creates, with its labels.

    The operator's own labels are from its `internal/consts` and `internal/dynamo/graph.go`. The type of a
    worker is that of its component, or `worker` for graphs that older operators created; only workers of a
    graph with an endpoint picker have a class.
    """
    templates = list(list_pod_templates(recipe))
    picked = {(t.manifest.file, t.manifest.name) for t in templates if t.of_graph and _read_type(t) == "epp"}
    for template in templates:
        has_picker = (template.manifest.file, template.manifest.name) in picked
        own = (
            _build_graph_labels(template, has_picker=has_picker)
            if template.of_graph
            else _build_workload_labels(template)
        )
        manifest = {key: frozenset([value]) for key, value in _read_labels(template).items()}
        yield LabelledPod(template, {**manifest, **own})


def to_selector(labels: Value) -> Value:
    """The LabelSelector of a Service's selector, which is a mapping of labels alone."""
    return Value({"matchLabels": labels}, labels.line, labels.column)


def may_match_any(selector: Value | None, pods: Iterable[LabelledPod]) -> bool:
    """Whether a LabelSelector may match one of these pods: None matches no pod, an empty one every pod."""
    return any(True for _ in list_matching(selector, pods))


def list_matching(selector: Value | None, pods: Iterable[LabelledPod]) -> Iterator[LabelledPod]:
    """The pods that a LabelSelector may match."""
    if selector is None:
        return
    exact = selector.get("matchLabels")
    wanted = [(key, value.text) for key, value in exact.mapping.items()] if exact else []
    expressions = read_expressions(selector.get_items("matchExpressions"))
    for pod in pods:
        if all(value in pod.labels.get(key, ()) for key, value in wanted) and all(
            _may_hold(expression, pod.labels.get(expression.key)) for expression in expressions
        ):
            yield pod


def _may_hold(expression: SelectorExpression, values: Iterable[str] | None) -> bool:
    return any(expression.matches(value) is not False for value in values or (None,))


def _build_graph_labels(template: PodTemplate, *, has_picker: bool) -> dict[str, frozenset[str]]:
    role, part = _read_type(template), template.around.get_text("subComponentType")
    kinds = {role, part} if part in _WORKERS else {role}
    if kinds & set(_WORKERS):
        kinds.add("worker")
    name = template.owner.removeprefix("component ")
    labels = {
        GRAPH_LABEL: frozenset([template.manifest.name]),
        TYPE_LABEL: frozenset(kinds),
        COMPONENT_LABEL: frozenset([name, name.lower()]),
    }
    if part or kinds & set(_WORKERS):
        labels[SUBTYPE_LABEL] = frozenset({part, role} - {""})
    if has_picker and kinds & set(_WORKERS):
        labels[CLASS_LABEL] = frozenset(["worker"])
    return labels


def _build_workload_labels(template: PodTemplate) -> dict[str, frozenset[str]]:
    """The labels of the controllers of Jobs and of LeaderWorkerSets (api/leaderworkerset/v1)."""
    name = frozenset([template.manifest.name])
    if template.manifest.kind == "Job":
        return {"job-name": name, "batch.kubernetes.io/job-name": name}
    if template.manifest.kind != "LeaderWorkerSet":
        return {}
    size = template.manifest.root.get("spec", "leaderWorkerTemplate", "size")
    count = size.data if size is not None and isinstance(size.data, int) else 1
    leads = ".leaderTemplate" in template.path
    places = frozenset(map(str, range(1 if leads else min(count, _MOST_PODS))))
    return {f"{_GROUP}/name": name, f"{_GROUP}/worker-index": places}


def _read_labels(template: PodTemplate) -> dict[str, str]:
    """The labels of a pod in its manifest."""
    of_graph = template.of_graph
    paths = [("extraPodMetadata", "labels"), ("podTemplate", "metadata", "labels"), ("labels",)]
    own = [template.labels] if not of_graph else [template.around.get(*path) for path in paths]
    found = (labels for labels in own if labels is not None)
    return {key: value.text or "" for labels in found for key, value in labels.mapping.items()}


def _read_type(template: PodTemplate) -> str:
    return template.around.get_text("componentType") or template.around.get_text("type")
