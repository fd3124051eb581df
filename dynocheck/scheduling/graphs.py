"""The pods that the Dynamo operator creates for a DynamoGraphDeployment of either API version.

The operator adds probes, variables, volumes and labels to a component's pod, but no resource requests. A
v1alpha1 component's `resources` override those of its main container, key by key.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from dynocheck.facts import Component, Graph, Manifest, PodClasses, Recipe, Value
from dynocheck.scheduling.device_claims import DeviceClaim
from dynocheck.scheduling.pod_spec_model import Defaults, Shape, Spec, needs_namespace_labels, parse_shape
from dynocheck.scheduling.selectors import Labels
from dynocheck.scheduling.volumes import Volumes

GPU = "nvidia.com/gpu"
GRAPH_LABEL = "nvidia.com/dynamo-graph-deployment-name"
_WORKERS = {"worker", "prefill", "decode"}
_NOTHING = Value(None, 1, 1)
_UNFIT = "its manifest does not fit the schema"  # the checks of manifests report where


class ComponentPods(msgspec.Struct, frozen=True):
    """The pods of a component, all of one shape: each replica has one pod per node that it spans.

    `spec` is the spec of each pod. `unjudged` says what cannot be modelled; `shape` is what the pods need at
    least, None when it is unknown. They wait until `gate`, a scheduling gate, is removed.
    """

    name: str
    replicas: int
    nodes: int
    shape: Shape | None
    line: int
    column: int
    spec: Mapping[str, Any]
    unjudged: str = ""
    gate: str = ""
    priority_class: str = ""
    claims: tuple[DeviceClaim, ...] = ()
    volumes: Volumes = ()

    @property
    def pods(self) -> int:
        return self.replicas * self.nodes


def list_component_pods(
    recipe: Recipe,
    graph: Graph,
    namespace: str,
    defaults: Defaults | None = None,
    classes: PodClasses | None = None,
) -> Iterator[ComponentPods]:
    """The pods of each component of a graph.

    :param namespace: the namespace of a graph that names none.
    :param defaults: the default limits and requests of LimitRanges.
    :param classes: the RuntimeClasses that add to their pods, None if unknown.
    """
    manifest = _find_manifest(recipe, graph)
    namespace = resolve_namespace(recipe, graph, namespace)
    for component in graph.components:
        source = _find_source(manifest, component)
        yield _make_component_pods(graph, component, source, namespace, defaults, classes)


def resolve_namespace(recipe: Recipe, graph: Graph, namespace: str) -> str:
    """The namespace that a graph names, or else the given one."""
    named = _find_manifest(recipe, graph).root.get("metadata", "namespace")
    return (named.text if named else None) or namespace


def _find_manifest(recipe: Recipe, graph: Graph) -> Manifest:
    for manifest in recipe.manifests:
        if manifest.file == graph.file and manifest.kind == "DynamoGraphDeployment":
            name = manifest.root.get("metadata", "name") or manifest.root
            if (name.line, name.column) == (graph.line, graph.column):
                return manifest
    raise LookupError(f"{graph.file}: no manifest of graph {graph.name}")


def _find_source(manifest: Manifest, component: Component) -> Value:
    services = manifest.root.get("spec", "services")
    components = manifest.root.get("spec", "components")
    entries = services.mapping.values() if services else components.sequence if components else []
    place = (component.line, component.column)
    return next((entry for entry in entries if (entry.line, entry.column) == place), _NOTHING)


def _make_component_pods(
    graph: Graph,
    component: Component,
    source: Value,
    namespace: str,
    defaults: Defaults | None,
    classes: PodClasses | None,
) -> ComponentPods:
    spec: Spec = {}
    shape, unjudged, gate = None, _UNFIT, ""
    with suppress(TypeError, AttributeError, ValueError):
        spec, labels, claims = _build_pod(graph, component, drop_nulls(source.plain) or {}, namespace)
        spec = add_runtime_class(spec, classes)
        shape, problem = try_parse_shape(spec, namespace, labels, defaults)
        unjudged = problem or claims or _explain_runtime_class(spec, classes)
        gate = next((each.get("name") or "" for each in spec.get("schedulingGates") or ()), "")
    if shape and needs_namespace_labels((*shape.affinity, *shape.anti_affinity)):
        shape, unjudged = None, "its pod affinity selects namespaces by labels, which is not modelled"
    return ComponentPods(
        name=component.name,
        replicas=component.replicas,
        nodes=component.nodes,
        shape=shape,
        line=component.line,
        column=component.column,
        spec=spec,
        unjudged=unjudged,
        gate=gate,
        priority_class=spec.get("priorityClassName") or "" if shape else "",
    )


def _build_pod(
    graph: Graph, component: Component, plain: Mapping[str, Any], namespace: str
) -> tuple[Spec, Labels, str]:
    """The spec and labels of a component's pods, and what of them cannot be modelled."""
    if graph.api_version.endswith("/v1alpha1"):
        spec, metadata = _convert_service(plain), plain.get("extraPodMetadata") or {}
        stated = {**(plain.get("labels") or {}), **(metadata.get("labels") or {})}
    else:
        template = plain.get("podTemplate") or {}
        spec, stated = template.get("spec") or {}, (template.get("metadata") or {}).get("labels") or {}
    return (
        spec,
        {**_make_labels(graph, component, plain, namespace), **stated},
        _explain_unjudged(plain),
    )


def add_runtime_class(spec: Spec, classes: PodClasses | None) -> Spec:
    """The pod spec with what the API server adds to it for its RuntimeClass."""
    rule = classes.rules.get(spec.get("runtimeClassName") or "") if classes else None
    if rule is None:
        return spec
    return {
        **spec,
        "overhead": rule.overhead,
        "nodeSelector": {**rule.node_selector, **(spec.get("nodeSelector") or {})},
        "tolerations": [*(spec.get("tolerations") or ()), *rule.tolerations],
    }


def try_parse_shape(
    spec: Spec, namespace: str, labels: Labels | None = None, defaults: Defaults | None = None
) -> tuple[Shape | None, str]:
    """The shape of a pod spec, or None with the reason why it cannot be parsed."""
    try:
        return parse_shape(spec, namespace, labels, defaults), ""
    except ValueError as error:
        return None, str(error)
    except (TypeError, AttributeError):
        return None, _UNFIT


def _convert_service(service: Mapping[str, Any]) -> dict[str, Any]:
    """The pod spec of a v1alpha1 component."""
    extra = dict(service.get("extraPodSpec") or {})
    main = dict(extra.pop("mainContainer", None) or {})
    inner, outer = main.get("resources") or {}, service.get("resources") or {}
    main["name"] = "main"
    main["resources"] = {
        side: {**(inner.get(side) or {}), **_convert_resources(outer.get(side) or {})}
        for side in ("limits", "requests")
    } | {"claims": [*(inner.get("claims") or ()), *(outer.get("claims") or ())]}
    return {**extra, "containers": [main, *(extra.get("containers") or ())]}


def _convert_resources(side: Mapping[str, Any]) -> dict[str, Any]:
    """A v1alpha1 resource list with Kubernetes' resource names."""
    stated = {name: side[name] for name in ("cpu", "memory") if side.get(name) not in (None, "")}
    if side.get("gpu") not in (None, ""):
        stated[side.get("gpuType") or GPU] = side["gpu"]
    return {**stated, **(side.get("custom") or {})}


def _explain_unjudged(component: Mapping[str, Any]) -> str:
    """Why a component with an experimental feature cannot be modelled; or empty."""
    experimental = component.get("experimental") or {}
    for feature in ("gpuMemoryService", "failover"):
        if experimental.get(feature) or component.get(feature):
            return f"for {feature} the operator creates other pods, which are not modelled"
    return ""


def _explain_runtime_class(spec: Spec, classes: PodClasses | None) -> str:
    name = spec.get("runtimeClassName")
    is_unknown = name and (classes is None or classes.adds_unknown(name))
    return f"what its RuntimeClass {name} adds is unknown" if is_unknown else ""


def _make_labels(
    graph: Graph, component: Component, plain: Mapping[str, Any], namespace: str
) -> dict[str, str]:
    """The labels that the operator sets on the pods, as far as the manifest determines them."""
    prefix = "nvidia.com/dynamo"
    labels = {GRAPH_LABEL: graph.name, f"{prefix}-component": component.name}
    kind = plain.get("componentType") or plain.get("type")
    if kind:
        labels[f"{prefix}-component-type"] = str(kind)
    if plain.get("subComponentType"):
        labels[f"{prefix}-sub-component-type"] = str(plain["subComponentType"])
    if component.role in _WORKERS and any(each.role == "epp" for each in graph.components):
        labels[f"{prefix}-component-class"] = "worker"
    everywhere = plain.get("globalDynamoNamespace") is True
    labels[f"{prefix}-namespace"] = "dynamo" if everywhere else f"{namespace}-{graph.name}"
    return labels


def drop_nulls(data: Any) -> Any:
    """The data without explicit nulls, as the API server stores it."""
    if isinstance(data, dict):
        return {key: drop_nulls(value) for key, value in data.items() if value is not None}
    return [drop_nulls(value) for value in data] if isinstance(data, list) else data
