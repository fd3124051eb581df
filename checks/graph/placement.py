"""Checks that affinity rules and Services with Dynamo's labels match pods of the recipe."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.graph._service_ports import find_service_problems
from dynocheck.core.fixes import add_element, replace_words
from dynocheck.data.gpus import find_bare_product, find_misspelt_product
from dynocheck.engines.memory_budget import PRODUCT_LABELS
from dynocheck.facts import (
    CLASS_LABEL,
    COMPONENT_LABEL,
    GRAPH_LABEL,
    POD_TEMPLATE_PATHS,
    SUBTYPE_LABEL,
    TYPE_LABEL,
    LabelledPod,
    Manifest,
    PodTemplate,
    Recipe,
    Recipes,
    Value,
    label_pods,
    list_pod_templates,
    may_match_any,
    to_selector,
)

_HOST = "kubernetes.io/hostname"
_UNFILLED = re.compile(r"[<>{}$]|\b(?:your|my|some)-")  # manifest.placeholders reports it
_SIDES = {"podAffinity": "wants to be near", "podAntiAffinity": "keeps away from"}
# What is written for the resource of a GPU, which each vendor's device plugin names once.
_SLIPS = {
    **dict.fromkeys(("nvidia.com/gpus", "nvidia.com/GPU", "nvidia/gpu", "nvidia.com.gpu"), "nvidia.com/gpu"),
    **dict.fromkeys(("amd.com/gpus", "amd.com/GPU", "amd/gpu"), "amd.com/gpu"),
    **dict.fromkeys(("google.com/tpus", "google.com/TPU"), "google.com/tpu"),
}
_RULE = "DuringSchedulingIgnoredDuringExecution"
_LABELS = {GRAPH_LABEL, COMPONENT_LABEL, TYPE_LABEL, SUBTYPE_LABEL, CLASS_LABEL}


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
        for expression in self.selector.get_items("matchExpressions"):
            values = ", ".join(value.text or "" for value in expression.get_items("values"))
            words = (expression.get_text("key"), expression.get_text("operator"), values and f"[{values}]")
            parts.append(" ".join(filter(None, words)))
        return ", ".join(parts)

    @property
    def keys(self) -> dict[str, set[str]]:
        """The selected values of each label."""
        exact = self.selector.get("matchLabels")
        selected = {key: {value.text or ""} for key, value in exact.mapping.items()} if exact else {}
        for expression in self.selector.get_items("matchExpressions"):
            values = {value.text or "" for value in expression.get_items("values")}
            selected.setdefault(expression.get_text("key"), set()).update(values)
        return selected


@check("graph.placement", title="Affinity rules and Services match existing pods")
def placement(recipes: Recipes) -> Iterator[Finding]:
    """An anti-affinity rule that matches no pod has no effect; a required affinity rule that matches none
    leaves its own pod Pending. A Service that selects no pod answers nobody.

    The operator labels a graph's pods with the graph's name (`nvidia.com/dynamo-graph-deployment-name`),
    the component's name and its type; workers have a class only beside an endpoint picker. Judged are
    rules that select only these labels, in recipes with a graph. Rules that name another graph or other
    namespaces are not judged, nor are Services without the name of a graph. Beside an engine without
    Dynamo, a Service of its file or of its name is judged whose labels a pod there has with other values,
    and each Service and InferencePool whether it leads to a port on which the engine listens, where that
    is alone in its pod. A GPU product a letter away from a known one, or without NVIDIA before it, is on
    no node, and `nvidia.com/gpus` is offered by none. A node's own name is in no other cluster.

    Fix: select nvidia.com/dynamo-graph-deployment-name In [GRAPH] and nvidia.com/dynamo-component-type
    """
    judged = [result for recipe in recipes for result in _judge(recipe)]
    if not judged:
        raise Skip("no affinity rule and no Service selects pods of the recipe by labels that are known")
    yield from filter(None, judged)


def _judge(recipe: Recipe) -> Iterator[Finding | None]:
    """What is wrong with each rule, Service and GPU product; None for one that is judged and right."""
    pods = list(label_pods(recipe)) if recipe.graphs else []
    for term in (term for pod in pods for term in _find_terms(pod)):
        yield None
        if not may_match_any(term.selector, pods):
            yield from _report_unmatched(recipe, term)
    for service, selector in _list_services(recipe):
        yield None if may_match_any(selector, pods) else _report_empty(service, selector)
    for service, selector, known in _list_server_services(recipe):
        yield None if may_match_any(selector, known) else _report_unselected(service, selector, known)
    yield from find_service_problems(recipe)
    for template in list_pod_templates(recipe):
        for name, value in _list_misspelt_devices(template):
            yield _report_device(template, name, value)
        for label, value in _list_node_labels(template.spec, (*PRODUCT_LABELS, _HOST)):
            if label == _HOST:
                yield _report_host(template, value)
                continue
            own = find_bare_product(value.text or "") if label == PRODUCT_LABELS[0] else None
            if meant := own or find_misspelt_product(value.text or ""):
                yield _report_product(template, value, meant)


def _list_node_labels(spec: Value, labels: Sequence[str]) -> Iterator[tuple[str, Value]]:
    """The values of these labels that a pod's node must or should have, or not have."""
    selector = spec.get("nodeSelector")
    yield from ((label, value) for label in labels if selector and (value := selector.get(label)))
    affinity = spec.get("affinity", "nodeAffinity")
    for expressions in affinity.find_all("matchExpressions") if affinity is not None else ():
        for expression in expressions.sequence:
            if (key := expression.get_text("key")) in labels:
                yield from ((key, value) for value in expression.get_items("values"))


def _report_host(template: PodTemplate, host: Value) -> Finding | None:
    """That a rule names a single node; None if its name is yet to be filled in."""
    if not host.text or _UNFILLED.search(host.text):
        return None
    return warn(
        f"{template.owner}: {_HOST} {host.text} is the name of one node: the rule holds in one cluster alone",
        fix="select nodes by what they have, such as nvidia.com/gpu.product",
        location=Location(template.manifest.file, host.line, host.column),
    )


def _list_misspelt_devices(template: PodTemplate) -> Iterator[tuple[str, Value]]:
    """The resources whose name is a slip of a GPU's, at their first amounts."""
    for container in template.containers:
        amounts = {
            name: value
            for part in ("requests", "limits")
            if (given := container.get("resources", part)) is not None
            for name, value in given.mapping.items()
        }
        yield from ((name, value) for name, value in amounts.items() if name in _SLIPS)


def _report_device(template: PodTemplate, name: str, value: Value) -> Finding:
    return fail(
        f"{template.owner}: no device plugin offers {name}: its pods stay Pending",
        fix=replace_words(name, _SLIPS[name]),
        location=Location(template.manifest.file, value.line, value.column),
    )


def _report_product(template: PodTemplate, product: Value, meant: str) -> Finding:
    return warn(
        f"{template.owner}: no node has GPUs of the product {product.text}: it looks like {meant}",
        fix=replace_words(product.text or "", meant),
        location=Location(template.manifest.file, product.line, product.column),
    )


def _list_services(recipe: Recipe) -> Iterator[tuple[Manifest, Value]]:
    """The Services that select pods of the recipe's graphs by the operator's labels, with their selectors."""
    graphs = {graph.name for graph in recipe.graphs}
    for manifest in recipe.own_manifests:
        labels = manifest.root.get("spec", "selector") if manifest.kind == "Service" else None
        if labels is not None and labels.get_text(GRAPH_LABEL) in graphs and labels.mapping.keys() <= _LABELS:
            yield manifest, to_selector(labels)


def _list_server_services(recipe: Recipe) -> Iterator[tuple[Manifest, Value, list[LabelledPod]]]:
    """The Services of files with an engine without Dynamo, and those of their folders with the name of one:
    selector, and every pod that it may mean.

    Left out are files with pods whose labels their operators complete, and selectors of which no label is
    that of a pod there: what they mean is elsewhere.
    """
    pods = list(label_pods(recipe)) if recipe.servers else []
    for file in dict.fromkeys(server.file for server in recipe.servers):
        own = [pod for pod in pods if pod.template.manifest.file == file]
        folder, names = file.rpartition("/")[0], {each.name for each in recipe.servers if each.file == file}
        if any(pod.template.manifest.kind not in (*POD_TEMPLATE_PATHS, "LeaderWorkerSet") for pod in own):
            continue
        for manifest in recipe.own_manifests:
            labels = manifest.root.get("spec", "selector") if manifest.kind == "Service" else None
            pairs = {key: value.text for key, value in labels.mapping.items()} if labels is not None else {}
            near = manifest.file.rpartition("/")[0] == folder and manifest.name in names
            if not (manifest.file == file or near) or labels is None or None in pairs.values():
                continue
            if any(labels.mapping.keys() <= pod.labels.keys() for pod in own):
                yield manifest, to_selector(labels), pods


def _report_unselected(service: Manifest, selector: Value, pods: list[LabelledPod]) -> Finding:
    labels = selector.get("matchLabels")
    wanted = {key: value.text or "" for key, value in labels.mapping.items()} if labels is not None else {}
    there = sorted({value for key in wanted for pod in pods for value in pod.labels.get(key, ())})
    return warn(
        f"Service {service.name} selects {', '.join(f'{k}={v}' for k, v in wanted.items())}, "
        "which no pod of the recipe has",
        fix=f"select one of {', '.join(there[:3])}, or label the pods so",
        location=Location(service.file, selector.line, selector.column),
    )


def _report_empty(service: Manifest, selector: Value) -> Finding:
    labels = selector.get("matchLabels")
    pairs = [f"{key}={value.text}" for key, value in labels.mapping.items()] if labels is not None else []
    return fail(
        f"Service {service.name} selects {', '.join(pairs)}, which no pod of its graph has",
        fix=f"select the {COMPONENT_LABEL} of a component",
        location=Location(service.file, selector.line, selector.column),
    )


def _find_terms(pod: LabelledPod) -> Iterator[_AffinityRule]:
    affinity = pod.template.spec.get("affinity")
    for side in _SIDES:
        for word in ("required", "preferred"):
            for rule in affinity.get_items(side, f"{word}{_RULE}") if affinity else ():
                term = rule.get("podAffinityTerm") or rule
                selector = term.get("labelSelector")
                elsewhere = term.get("namespaces") or term.get("namespaceSelector")
                if selector is not None and elsewhere is None:
                    affinity_rule = _AffinityRule(pod, side, word == "required", selector)
                    if affinity_rule.keys and affinity_rule.keys.keys() <= _LABELS:
                        yield affinity_rule


def _suggest_selector(recipe: Recipe, selected: set[str], likely: list[str]) -> str:
    """The edits that select a component, if the value is the name of its Service, not that of its graph."""
    for graph in (graph for graph in recipe.graphs if graph.name in likely):
        for component in graph.components:
            service = f"{graph.name}-{component.name.lower()}"
            if selected == {service}:
                only = {"key": TYPE_LABEL, "operator": "In", "values": [component.role]}
                return f"{replace_words(service, graph.name)}; {add_element('matchExpressions', only)}"
    name = likely[0] if likely else min(graph.name for graph in recipe.graphs)
    return f"select {GRAPH_LABEL}={name} and {TYPE_LABEL}"


def _report_unmatched(recipe: Recipe, term: _AffinityRule) -> Iterator[Finding]:
    graphs = sorted(graph.name for graph in recipe.graphs)
    selected = term.keys.get(GRAPH_LABEL, set())
    likely = [graph for graph in graphs if any(name.startswith(f"{graph}-") for name in selected)]
    if selected and not selected & set(graphs) and not likely:
        return  # of another deployment, which may exist
    pending = term.side == "podAffinity" and term.required
    hint = f"; the label's value is only the graph's name: {likely[0]}" if likely else ""
    effect = "it stays Pending" if pending else "the rule has no effect"
    template, rule = term.pod.template, f"{_SIDES[term.side]} pods with {term.text}"
    yield (fail if pending else warn)(
        f"{template.owner} {rule}, and the recipe has none: {effect}{hint}",
        fix=_suggest_selector(recipe, selected, likely),
        location=Location(template.manifest.file, term.selector.line, term.selector.column),
    )
