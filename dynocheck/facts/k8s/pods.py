"""The pods that the manifests of a recipe create, and the Secrets that they reference."""

from collections.abc import Iterator
from functools import cached_property

import msgspec

from dynocheck.facts.identity_cache import IdentityCache
from dynocheck.facts.k8s.serving_runtimes import merge_serving_runtimes
from dynocheck.facts.recipe.documents import Manifest, Value
from dynocheck.facts.recipe.recipes import Component, Graph, Recipe, Recipes

POD_TEMPLATE_PATHS: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "Job": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""The path of the pod template in each built-in kind."""
SECRET_MAKERS: dict[str, tuple[str, ...]] = {
    "Secret": ("metadata", "name"),
    "Certificate": ("spec", "secretName"),
    "ExternalSecret": ("spec", "target", "name"),
    "OnePasswordItem": ("metadata", "name"),
    "SealedSecret": ("spec", "template", "metadata", "name"),
    "VaultDynamicSecret": ("spec", "destination", "name"),
    "VaultStaticSecret": ("spec", "destination", "name"),
}
"""The kinds that create a Secret, with the path of the Secret's name; the default is its own name."""
_WHOLE = ("leaderworkerset.x-k8s.io", "ray.io", "jobset.x-k8s.io")  # their pods are written in full
_NO_PODS = ("nvidia.com", "apiextensions.k8s.io")  # what graphs become, and schemas
_NOTHING = Value({}, 1, 1)
_SHARED_MEMORY = "shared-memory"  # the volume that the operator adds to each pod of a graph


class PodTemplate(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A future pod. The operator completes the pods of a graph, so it may add fields that are missing here.

    `spec` is empty if the manifest has none. `around` is the component of a graph that the pod is of, which
    holds resources and secrets in v1alpha1. `path` is the place of a pod's spec in its manifest, and `labels`
    are those of its template, for one that is not of a graph. `partial`: another object or its controller
    adds what is missing, as KServe does.
    """

    manifest: Manifest
    owner: str
    spec: Value
    around: Value = _NOTHING
    of_graph: bool = False
    path: str = ""
    labels: Value = _NOTHING
    partial: bool = False

    @property
    def namespace(self) -> str | None:
        """The namespace in its manifest; None if it names none."""
        return self.manifest.root.get_text("metadata", "namespace") or None

    @property
    def main(self) -> Value | None:
        """The main container of a graph's pod."""
        listed = (c for c in _read_items(self.spec, "containers") if c.get_text("name") == "main")
        return (self.spec.get("mainContainer") or next(listed, None)) if self.of_graph else None

    @cached_property
    def containers(self) -> list[Value]:
        """Every container, starting with `mainContainer` of v1alpha1."""
        main = self.spec.get("mainContainer")
        return [
            *([main] if main else []),
            *_read_items(self.spec, "initContainers"),
            *_read_items(self.spec, "containers"),
        ]


def find_implied_claims(spec: Value, main: Value) -> tuple[Value, ...]:
    """The names in a main container's mounts that are no volume of its pod.

    The operator adds a volume for each, of the claim of that name (`appendMissingPVCVolumesForMounts` in
    deploy/operator/internal/dynamo/graph.go of github.com/ai-dynamo/dynamo).
    """
    known = {_SHARED_MEMORY, *(volume.get_text("name") for volume in _read_items(spec, "volumes"))}
    names = (mount.get("name") for mount in _read_items(main, "volumeMounts"))
    return tuple(name for name in names if name is not None and name.text and name.text not in known)


class SecretReference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to a Secret in a pod; `key` is the one it needs, `pull` is true for an imagePullSecret."""

    name: str
    namespace: str | None
    key: str | None = None
    optional: bool = False
    pull: bool = False
    file: str
    line: int
    column: int


def list_pod_templates(recipe: Recipe) -> tuple[PodTemplate, ...]:
    """Every pod that applying a recipe creates."""
    return _templates.get(recipe, make=lambda: tuple(_read_templates(recipe)))


def _read_templates(recipe: Recipe) -> Iterator[PodTemplate]:
    manifests = tuple(recipe.manifests)
    merged = merge_serving_runtimes(manifests)
    for manifest in manifests:
        complete = merged.get(id(manifest.root), manifest)
        yield from read_pod_templates(complete) if complete is not None else ()


_templates: IdentityCache[tuple[PodTemplate, ...]] = IdentityCache(4096)  # many checks ask for the same


def find_server_template(recipe: Recipe, server: Graph, component: Component) -> PodTemplate | None:
    """The pod of an engine without Dynamo, whose component has the place of its spec."""
    place = server.file, component.line, component.column
    return next(
        (t for t in list_pod_templates(recipe) if (t.manifest.file, t.spec.line, t.spec.column) == place),
        None,
    )


def index_containers(recipe: Recipe) -> dict[tuple[str, int, int], tuple[PodTemplate, Value]]:
    """Every container of a recipe with its pod, by file, line and column."""
    return {
        (template.manifest.file, container.line, container.column): (template, container)
        for template in list_pod_templates(recipe)
        for container in template.containers
    }


def read_pod_templates(manifest: Manifest) -> Iterator[PodTemplate]:
    """Every pod that applying a manifest creates."""
    if manifest.kind in ("DynamoGraphDeployment", "DynamoComponentDeployment"):
        yield from _read_graph_templates(manifest)
        return
    whole = manifest.kind in POD_TEMPLATE_PATHS or manifest.group in _WHOLE or manifest.completed
    for path, template, spec in _find_pod_specs(manifest):
        labels = template.get("metadata", "labels") or _NOTHING
        name = manifest.name or manifest.root.get_text("metadata", "generateName")
        owner = f"{manifest.kind} {name}"
        yield PodTemplate(
            manifest=manifest, owner=owner, spec=spec, path=path, labels=labels, partial=not whole
        )


def _find_pod_specs(manifest: Manifest) -> Iterator[tuple[str, Value, Value]]:
    """Every pod spec of a manifest: its path, the value around it, and itself.

    In a custom resource it is whatever lists containers, or is a model that KServe makes a container for. OME
    has its engine's container under `runner`.
    """
    if manifest.kind in POD_TEMPLATE_PATHS:
        keys = POD_TEMPLATE_PATHS[manifest.kind]
        template = manifest.root.get(*keys)
        spec = template.get("spec") if template is not None else None
        if template is not None and spec is not None:
            yield ".".join((*keys, "spec")), template, spec
    elif "." in manifest.group and manifest.group not in _NO_PODS:
        pending = [("spec", manifest.root, spec)] if (spec := manifest.root.get("spec")) is not None else []
        while pending:
            path, around, value = pending.pop()
            lists = any(isinstance(each.data, dict) for each in value.get_items("containers"))
            runner = value.get("runner") if manifest.group == "ome.io" else None
            if runner is not None and runner.mapping:
                listed = Value([runner, *value.get_items("containers")], runner.line, runner.column)
                yield path, around, Value({**value.mapping, "containers": listed}, value.line, value.column)
            elif lists or value.get("model", "modelFormat") is not None:
                yield path, around, value
            inner = [(f".{key}", each) for key, each in value.mapping.items()]
            inner += [(f"[{each.get_text('name') or i}]", each) for i, each in enumerate(value.sequence)]
            pending += [(path + key, value, each) for key, each in reversed(inner)]


def _read_graph_templates(manifest: Manifest) -> Iterator[PodTemplate]:
    alone = manifest.root.get("spec") if manifest.kind == "DynamoComponentDeployment" else None
    older = manifest.api_version.endswith("/v1alpha1")
    services = manifest.root.get("spec", "services")
    named = services.mapping if services is not None else {}
    for name, service in ({manifest.name: alone} if alone and older else named).items():
        spec = service.get("extraPodSpec") or _make_empty(service)
        yield PodTemplate(
            manifest=manifest, owner=f"component {name}", spec=spec, around=service, of_graph=True
        )
    for component in [alone] if alone and not older else _read_items(manifest.root, "spec", "components"):
        spec = component.get("podTemplate", "spec") or _make_empty(component)
        name = component.get_text("name")
        yield PodTemplate(
            manifest=manifest, owner=f"component {name}", spec=spec, around=component, of_graph=True
        )


def find_secret_references(recipes: Recipes) -> tuple[SecretReference, ...]:
    """The references of pods to Secrets that their recipe does not create, one for each position.

    A recipe creates a Secret directly, or through an operator's object such as an ExternalSecret.
    """
    missing = []
    for recipe in recipes:
        created = {
            m.root.get_text(*SECRET_MAKERS[m.kind]) or m.name
            for m in recipe.manifests
            if m.kind in SECRET_MAKERS
        }
        references = (r for template in list_pod_templates(recipe) for r in _find_references(template))
        missing += [reference for reference in references if reference.name not in created]
    return tuple(dict.fromkeys(missing))


def _find_references(template: PodTemplate) -> Iterator[SecretReference]:
    for entry in _read_items(template.spec, "imagePullSecrets"):
        yield from _build_references(template, entry.get("name"), entry, pull=True)
    yield from _build_references(template, template.around.get("envFromSecret"), template.around)
    for source in _find_sources(template):
        yield from _build_references(template, source.get("secretName") or source.get("name"), source)


def _find_sources(template: PodTemplate) -> Iterator[Value]:
    """The fields that reference a Secret for variables or files."""
    volumes = (volume.get("secret") for volume in _read_items(template.spec, "volumes"))
    variables = [e for c in template.containers for e in _read_items(c, "env")]
    variables += _read_items(template.around, "envs")
    singles = (entry.get("valueFrom", "secretKeyRef") for entry in variables)
    wholes = (e.get("secretRef") for c in template.containers for e in _read_items(c, "envFrom"))
    yield from (source for source in (*volumes, *singles, *wholes) if source is not None)


def _build_references(
    template: PodTemplate, name: Value | None, source: Value, *, pull: bool = False
) -> Iterator[SecretReference]:
    if name is None or not name.text:
        return
    optional = source.get("optional")
    yield SecretReference(
        name=name.text,
        namespace=template.namespace,
        key=source.get_text("key") or None,
        optional=optional is not None and optional.data is True,
        pull=pull,
        file=template.manifest.file,
        line=name.line,
        column=name.column,
    )


def _make_empty(place: Value) -> Value:
    return Value({}, place.line, place.column)


def _read_items(value: Value, *path: str) -> list[Value]:
    """The mappings in the list at this path."""
    return [item for item in value.get_items(*path) if isinstance(item.data, dict)]
