"""Checks the names and namespaces of a recipe's objects."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.facts import Component, Graph, Manifest, Recipe, Recipes, Role, SourceFile, Value

_ALTERNATIVES = ("deploy", "perf", "model-download", "bench")
_MAX_SERVICE_NAME = 63  # a Service is called by a DNS label
_MAX_GROVE_NAMES = 45  # what Grove leaves for the names that a pod's name is made of
_MIN_SET_NAME = 8  # the operator shortens a graph's name to no less


@check("manifest.names", title="Graph names are short enough for generated names")
def names(recipes: Recipes) -> Iterator[Finding]:
    """The operator calls Services and pods after the graph and its components. A Service is called
    GRAPH-COMPONENT, which must be a DNS label of at most 63 characters. Where Grove starts the pods, the
    names of graph and component, that of the component twice where it spans nodes (once with -ldr or -wkr),
    must not be longer than 45 together; the operator shortens that of the graph, to no less than 8.

    Grove may be off, and operators differ in what they shorten, so these are warnings.

    Fix: give the component a shorter name
    """
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    if not graphs:
        raise Skip("no DynamoGraphDeployment")
    for graph in graphs:
        if "." in graph.name:
            yield warn(
                f"{graph.name} has a dot, which no Service that is called after it may have",
                fix=f"call it {graph.name.replace('.', '-')}",
                location=Location(graph.file, graph.line, graph.column),
            )
        yield from _check_lengths(graph)


def _check_lengths(graph: Graph) -> Iterator[Finding]:
    lengths = [_measure_grove_name(component) for component in graph.components]
    budget = max(lengths, default=0)
    shortened = min(len(graph.name), max(_MAX_GROVE_NAMES - budget, _MIN_SET_NAME))
    for component, length in zip(graph.components, lengths, strict=True):
        place = Location(graph.file, component.line, component.column)
        service = f"{graph.name}-{component.name.lower()}"
        if len(service) > _MAX_SERVICE_NAME:
            yield warn(
                f"{component.name}: a Service would be called {service}, "
                f"of {len(service)} characters; at most {_MAX_SERVICE_NAME} are allowed",
                fix="shorten the name of the graph or of the component",
                location=place,
            )
        elif shortened + length > _MAX_GROVE_NAMES:
            times = 2 if component.nodes > 1 else 1
            most = len(component.name) - -(-(shortened + length - _MAX_GROVE_NAMES) // times)
            yield warn(
                f"{component.name}: in a pod of Grove its names and the graph's have {shortened + length} "
                f"characters; at most {_MAX_GROVE_NAMES} are allowed",
                fix=f"give the component a name of at most {most} characters",
                location=place,
            )


def _measure_grove_name(component: Component) -> int:
    """How many characters of a pod's name are a component's: where it spans nodes, its leader's too."""
    length = len(component.name)
    return length if component.nodes == 1 else 2 * length + len("-ldr")


@check("manifest.namespaces", title="Related objects are in one namespace")
def namespaces(recipes: Recipes) -> Iterator[Finding]:
    """A pod finds claims, ConfigMaps and Secrets only in its own namespace. Where a graph names a namespace
    and the claim beside it names none, `kubectl apply -n OTHER` puts them apart, or refuses.

    A namespace that every object of a recipe names is fine. Objects that stand in no namespace, or of a kind
    that is not known to stand in one, do not count.

    Fix: leave metadata.namespace out, and say it once: kubectl apply -n NAMESPACE -f FOLDER
    """
    judged = False
    for recipe in recipes:
        placed = [p for p in map(_read_namespace, _list_objects(recipe)) if p is not None]
        judged = judged or bool(placed)
        for group in _group_applied(recipe, placed):
            yield from _check_group(group)
    if not judged:
        raise Skip("no object that stands in a namespace")


class _NamespacedObject(NamedTuple):
    """An object and the namespace that it names, empty for none."""

    manifest: Manifest
    namespace: str
    at: Value


# The groups whose kinds are all known, and of those the kinds that stand in no namespace.
_KNOWN_GROUPS = (
    "",
    "apps",
    "autoscaling",
    "batch",
    "policy",
    "apiextensions.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "gateway.networking.k8s.io",
    "inference.networking.k8s.io",
    "inference.networking.x-k8s.io",
    "leaderworkerset.x-k8s.io",
    "monitoring.coreos.com",
    "networking.k8s.io",
    "node.k8s.io",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "resource.nvidia.com",
    "scheduling.k8s.io",
    "storage.k8s.io",
)
_CLUSTER_WIDE = (
    "CSIDriver",
    "CSINode",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "DeviceClass",
    "DeviceTaintRule",
    "GatewayClass",
    "IPAddress",
    "IngressClass",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "ResourceSlice",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "VolumeAttachment",
    "VolumeAttributesClass",
)


# What pods name objects by that have to stand in their own namespace.
_REFERENCES = ("name", "claimName", "secretName", "envFromSecret", "serviceAccountName")


def _read_namespace(manifest: Manifest) -> _NamespacedObject | None:
    known = manifest.group in _KNOWN_GROUPS or manifest.kind.startswith("Dynamo")
    if not manifest.kind or not known or manifest.kind in _CLUSTER_WIDE:
        return None
    named = manifest.root.get("metadata", "namespace")
    at = named or manifest.root.get("metadata", "name") or manifest.root
    return _NamespacedObject(manifest, (named.text or "") if named is not None else "", at)


def _group_applied(recipe: Recipe, placed: list[_NamespacedObject]) -> Iterator[list[_NamespacedObject]]:
    """The objects of each variant, each with those of the cache that it uses."""
    cache = [p for p in placed if _get_folder(p).endswith("model-cache")]
    rest = sorted((p for p in placed if p not in cache), key=_get_folder)
    folders = [list(group) for _, group in groupby(rest, _get_folder)]
    yield from ([*cache, *folder] for folder in folders or [[]])


def _get_folder(placed: _NamespacedObject) -> str:
    return placed.manifest.file.rpartition("/")[0]


def _check_group(group: list[_NamespacedObject]) -> Iterator[Finding]:
    named = sorted({placed.namespace for placed in group if placed.namespace})
    graphs = [p for p in group if p.manifest.kind == "DynamoGraphDeployment"]
    nowhere = [p for p in group if not p.namespace]
    if len(named) > 1:
        first = next(p for p in group if p.namespace)
        for placed in group:
            if placed.namespace and placed.namespace != first.namespace:
                yield _warn(
                    placed,
                    f"goes to namespace {placed.namespace}, "
                    f"{first.manifest.kind} {first.manifest.name} to {first.namespace}",
                )
    elif named and nowhere:
        needed = _find_referenced(graphs)
        for placed in [p for p in group if p.namespace]:
            by_itself = not graphs or placed.manifest.kind == "DynamoGraphDeployment"
            other = nowhere[0] if by_itself else needed.get(placed.manifest.name)
            if other is not None:
                yield _warn(
                    placed,
                    f"names namespace {placed.namespace}, "
                    f"{other.manifest.kind} {other.manifest.name} with it names none",
                )


def _find_referenced(graphs: list[_NamespacedObject]) -> dict[str, _NamespacedObject]:
    """What graphs that name no namespace refer to, by name. Anything else, such as a dashboard or a monitor,
    may stand where it is looked for.
    """
    specs = [(graph, graph.manifest.root.get("spec")) for graph in graphs if not graph.namespace]
    return {
        value.text: graph
        for graph, spec in specs
        for key in _REFERENCES
        for value in (spec.find_all(key) if spec else ())
        if value.text
    }


def _warn(placed: _NamespacedObject, says: str) -> Finding:
    return warn(
        f"{placed.manifest.kind} {placed.manifest.name} {says}",
        fix="leave metadata.namespace out, and apply with -n NAMESPACE",
        location=Location(placed.manifest.file, placed.at.line, placed.at.column),
    )


@check("manifest.duplicates", title="No object is defined twice")
def duplicates(recipes: Recipes) -> Iterator[Finding]:
    """Of two objects of one kind and name in a file, or in a folder that is applied as a whole, the later one
    replaces the first, without a word. What is applied one at a time may share names: variants, files of one
    folder of which each brings its own graph, and a download or a load test for each precision.

    Fix: rename one of them, or take it out
    """
    files = _list_files(recipes)
    if not any(any(file.manifests) for file in files):
        raise Skip("no manifest that is applied as it stands")
    for _, folder in groupby(sorted(files, key=lambda file: file.folder), lambda file: file.folder):
        yield from _check_repeats(list(folder))


def _check_repeats(files: list[SourceFile]) -> Iterator[Finding]:
    graphs = sum(any(m.kind == "DynamoGraphDeployment" for m in file.manifests) for file in files)
    first: dict[tuple[str, ...], Manifest] = {}
    for file in files:
        scope = file.path if graphs > 1 else _find_alternative(file)
        for manifest in file.manifests:
            named = manifest.root.get("metadata", "namespace")
            namespace = (named.text or "") if named is not None else ""
            key = (manifest.group, manifest.kind, namespace, manifest.name)
            if manifest.name and (other := _find_earlier(first, key, scope, file.path, manifest)) is not None:
                yield _report_duplicate(manifest, other)


def _find_alternative(file: SourceFile) -> str:
    """What a file is one of several for, by the beginning of its name; empty when it is the only one."""
    name = file.path.rpartition("/")[2]
    return next((start for start in _ALTERNATIVES if name.startswith(start)), "")


def _find_earlier(
    first: dict[tuple[str, ...], Manifest], key: tuple[str, ...], scope: str, path: str, manifest: Manifest
) -> Manifest | None:
    """The object that has this key already, in what is applied together with this one."""
    other = first.setdefault((*key, path), manifest)
    if other is not manifest:
        return other
    if scope:
        return None
    other = first.setdefault(key, manifest)
    return None if other is manifest else other


def _report_duplicate(manifest: Manifest, other: Manifest) -> Finding:
    at = manifest.root.get("metadata", "name") or manifest.root
    where = "" if other.file == manifest.file else f"{other.file.rpartition('/')[2]}:"
    line = (other.root.get("metadata", "name") or other.root).line
    message = f"{manifest.kind} {manifest.name} stands here and at {where or 'line '}{line}"
    tell = fail if other.file == manifest.file else warn
    return tell(
        message,
        fix="rename one of them, or take it out",
        location=Location(manifest.file, at.line, at.column),
    )


def _list_files(recipes: Iterable[Recipe]) -> list[SourceFile]:
    return [file for recipe in recipes for file in recipe.own_files if file.role is Role.MANIFEST]


def _list_objects(recipe: Recipe) -> Iterator[Manifest]:
    for file in recipe.own_files:
        if file.role is Role.MANIFEST:
            yield from file.manifests
