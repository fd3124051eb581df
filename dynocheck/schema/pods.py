"""The pods that controllers make of graphs and other custom resources, as far as the templates decide them.

What Dynamo's operator adds is added here where a template may refer to it: the volumes of claims, also of
those that only a mount names, and of shared memory. An image that is missing is the admission webhook's
concern (`manifest.admission`).
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dynocheck.facts import POD_TEMPLATE_PATHS, Manifest, Value, find_implied_claims, read_pod_templates

_SHARED_MEMORY = "shared-memory"
_IMAGE = "image"  # stands for an image that is not given


class ComponentPod(NamedTuple):
    """The pod of a component, with the positions of its template."""

    component: str
    manifest: Manifest


def list_component_pods(graph: Manifest) -> Iterator[ComponentPod]:
    """The pod of each component of a DynamoGraphDeployment that has a template of its own."""
    claims = [pvc.get_text("name") for pvc in graph.root.get_items("spec", "pvcs")]
    shared = [*graph.root.get_items("spec", "envs"), *graph.root.get_items("spec", "env")]
    services = graph.root.get("spec", "services")
    for name, service in services.mapping.items() if services is not None else ():
        extra = service.get("extraPodSpec")
        if extra is not None and isinstance(extra.data, dict):
            pod = _build_pod(_convert_service(service, extra, claims, shared), _merge_metadata(service))
            yield ComponentPod(name, Manifest(graph.file, pod))
    for component in graph.root.get_items("spec", "components"):
        spec = component.get("podTemplate", "spec")
        if spec is not None and isinstance(spec.data, dict):
            cache = component.get_text("compilationCache", "pvcName")
            main = (c for c in spec.get_items("containers") if c.get_text("name") == "main")
            implied = [name.text or "" for c in main for name in find_implied_claims(spec, c)]
            pod = _build_pod(
                _complete(_add_variables(spec, shared), [cache, *implied]),
                component.get("podTemplate", "metadata"),
            )
            yield ComponentPod(component.get_text("name"), Manifest(graph.file, pod))


def list_embedded_pods(manifest: Manifest) -> Iterator[ComponentPod]:
    """The pods of a custom resource whose templates are whole, such as a LeaderWorkerSet, with its name.

    An image that is missing may be what an overlay adds.
    """
    if manifest.kind in POD_TEMPLATE_PATHS:
        return
    for template in read_pod_templates(manifest):
        if not (template.of_graph or template.partial):
            spec = Value(
                {**template.spec.mapping, **_add_images(template.spec)},
                template.spec.line,
                template.spec.column,
            )
            yield ComponentPod(template.owner, Manifest(manifest.file, _build_pod(spec, None)))


def _convert_service(service: Value, extra: Value, claims: Iterable[str], shared: Iterable[Value]) -> Value:
    """The pod spec of a component of v1alpha1: its main container stands beside the others."""
    fields = dict(extra.mapping)
    main = fields.pop("mainContainer", None) or Value({}, extra.line, extra.column)
    if isinstance(main.data, dict):
        variables = [*shared, *service.get_items("envs"), *main.get_items("env")]
        env = {"env": Value(variables, main.line, main.column)} if variables else {}
        devices = service.get("resources", "claims")
        if devices is not None:
            resources = main.get("resources") or devices
            env["resources"] = Value(
                {**resources.mapping, "claims": devices}, resources.line, resources.column
            )
        main = Value({**main.data, **env, "name": _text("main", main)}, main.line, main.column)
    others = extra.get_items("containers")
    fields["containers"] = Value([main, *others], main.line, main.column)
    mounts = [mount.get_text("name") for mount in service.get_items("volumeMounts")]
    implied = [name.text or "" for name in find_implied_claims(extra, main)]
    return _complete(Value({**fields}, extra.line, extra.column), [*claims, *mounts, *implied])


def _add_variables(spec: Value, shared: list[Value]) -> Value:
    """A pod spec of v1beta1 with the graph's own variables in its main container."""
    listed = spec.get("containers")
    if listed is None or not shared:
        return spec
    containers = [
        Value({**c.data, "env": Value([*shared, *c.get_items("env")], c.line, c.column)}, c.line, c.column)
        if isinstance(c.data, dict) and c.get_text("name") == "main"
        else c
        for c in listed.sequence
    ]
    fields = {**spec.mapping, "containers": Value(containers, listed.line, listed.column)}
    return Value(fields, spec.line, spec.column)


def _complete(spec: Value, claims: Iterable[str]) -> Value:
    """A pod spec with the volumes that the operator adds, and an image for each container that has none."""
    given = spec.get_items("volumes")
    names = {volume.get_text("name") for volume in given}
    added = [name for name in dict.fromkeys([_SHARED_MEMORY, *claims]) if name and name not in names]
    volumes = [Value({"name": _text(name, spec)}, spec.line, spec.column) for name in added]
    fields = {**spec.mapping, "volumes": Value([*given, *volumes], spec.line, spec.column)}
    return Value(fields | _add_images(spec), spec.line, spec.column)


def _add_images(spec: Value) -> dict[str, Value]:
    """The containers of a pod, by their field, each with an image."""
    listed = spec.get("containers")
    if listed is None or not isinstance(listed.data, list):
        return {}
    return {"containers": Value([_add_image(each) for each in listed.sequence], listed.line, listed.column)}


def _add_image(container: Value) -> Value:
    if not isinstance(container.data, dict) or container.get("image") is not None:
        return container
    data = {**container.data, "image": _text(_IMAGE, container)}
    return Value(data, container.line, container.column)


def _merge_metadata(service: Value) -> Value | None:
    """The metadata of a pod of v1alpha1: its own over the labels and annotations of its component."""
    extra = service.get("extraPodMetadata")
    fields = dict(extra.mapping) if extra is not None else {}
    at = extra
    for key in ("labels", "annotations"):
        if (own := service.get(key)) is not None:
            at = at or own
            others = fields.get(key)
            merged = {**own.mapping, **(others.mapping if others is not None else {})}
            fields[key] = Value(merged, own.line, own.column)
    return Value(fields, at.line, at.column) if at is not None else None


def _build_pod(spec: Value, metadata: Value | None) -> Value:
    named = dict(metadata.mapping) if metadata is not None and isinstance(metadata.data, dict) else {}
    at = metadata or spec
    meta = Value({**named, "name": _text("pod", at)}, at.line, at.column)
    fields = {"apiVersion": _text("v1", spec), "kind": _text("Pod", spec), "metadata": meta, "spec": spec}
    return Value(fields, spec.line, spec.column)


def _text(text: str, place: Value) -> Value:
    return Value(text, place.line, place.column)
