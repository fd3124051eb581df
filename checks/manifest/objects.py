"""Checks the names and namespaces of a recipe's objects."""

import posixpath
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, same_place, warn
from dynocheck.core.files import RENDERED
from dynocheck.core.fixes import remove, set_value
from dynocheck.facts import Component, Graph, Manifest, Recipe, Recipes, Role, SourceFile, Value, has_variable

_ALTERNATIVES = ("deploy", "perf", "model-download", "bench")
_MAX_SERVICE_NAME = 63  # the length of a DNS label
_MAX_GROVE_NAMES = 45  # the part of a Grove pod's name that consists of graph and component names
_MIN_SET_NAME = 8  # the length to which the operator may shorten a graph's name


@check("manifest.names", title="Graph names are short enough for generated names")
def names(recipes: Recipes) -> Iterator[Finding]:
    """The operator names Services and pods after the graph and its components. A Service is named
    GRAPH-COMPONENT, which must be a DNS label of at most 63 characters. In a Grove pod's name, the names of
    graph and component together must not exceed 45 characters. A component that spans nodes counts twice
    (once with -ldr or -wkr). The operator shortens the graph's name, to at least 8 characters.

    Findings are warnings, because Grove may be disabled and operators shorten names differently.

    Fix: give the component a shorter name
    """
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    if not graphs:
        raise Skip("no DynamoGraphDeployment")
    for graph in graphs:
        if "." in graph.name:
            yield warn(
                f"{graph.name} has a dot, which the name of its Service must not have",
                fix=set_value("metadata.name", graph.name.replace(".", "-")),
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
                f"{component.name}: its Service {service} has a name of {len(service)} characters; "
                f"at most {_MAX_SERVICE_NAME} are allowed",
                fix=set_value("metadata.name", "NAME", "a shorter one"),
                location=place,
            )
        elif shortened + length > _MAX_GROVE_NAMES:
            times = 2 if component.nodes > 1 else 1
            most = len(component.name) - -(-(shortened + length - _MAX_GROVE_NAMES) // times)
            yield warn(
                f"{component.name}: its name and the graph's have {shortened + length} characters in a Grove "
                f"pod's name; at most {_MAX_GROVE_NAMES} are allowed",
                fix=f"give the component a name of at most {most} characters",
                location=place,
            )


def _measure_grove_name(component: Component) -> int:
    """The characters of a component's name in a Grove pod's name, which has it twice if it spans nodes."""
    length = len(component.name)
    return length if component.nodes == 1 else 2 * length + len("-ldr")


@check(
    "manifest.namespaces",
    title="Related objects are in one namespace",
    explained_by={"manifest.placeholders": same_place},
)
def namespaces(recipes: Recipes) -> Iterator[Finding]:
    """A pod finds claims, ConfigMaps and Secrets only in its own namespace. If a graph has a
    metadata.namespace and its claim has none, `kubectl apply -n OTHER` separates them, or fails.

    One namespace in all objects of a recipe is fine. Cluster-scoped objects and unknown kinds are ignored.

    Fix: remove metadata.namespace, and pass it once: kubectl apply -n NAMESPACE -f FOLDER
    """
    judged = False
    for recipe in recipes:
        objects = [p for p in map(_read_namespace, recipe.own_manifests) if p is not None]
        judged = judged or bool(objects)
        for group in _group_applied(objects):
            yield from _check_group(group)
    if not judged:
        raise Skip("no namespaced object")


class _NamespacedObject(NamedTuple):
    """A namespaced object and its metadata.namespace, empty for none."""

    manifest: Manifest
    namespace: str
    at: Value

    @property
    def folder(self) -> str:
        return self.manifest.file.rpartition("/")[0]

    @property
    def is_graph(self) -> bool:
        return self.manifest.kind == "DynamoGraphDeployment"


# The groups of which all cluster-scoped kinds are known, and these kinds. Objects of groups that often are in
# other namespaces than what they refer to, such as Gateways, routes and monitors, are left out.
_KNOWN_GROUPS = (
    "",
    "apps",
    "autoscaling",
    "batch",
    "policy",
    "apiextensions.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "inference.networking.k8s.io",
    "inference.networking.x-k8s.io",
    "leaderworkerset.x-k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "resource.nvidia.com",
    "scheduling.k8s.io",
    "storage.k8s.io",
)
_CLUSTER_SCOPED = (
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


_RULES = ("LimitRange", "NetworkPolicy", "ResourceQuota")  # for a namespace; they are used with nothing in it
_PLATFORM = ("kube-", "gke-", "openshift-")
"""The beginnings of namespaces in which the platform reads an object, such as a grant to an API server."""
# The fields of pods that refer to objects of their own namespace.
_REFERENCES = ("name", "claimName", "secretName", "envFromSecret", "serviceAccountName")


def _read_namespace(manifest: Manifest) -> _NamespacedObject | None:
    known = manifest.group in _KNOWN_GROUPS or manifest.kind.startswith("Dynamo")
    if not manifest.kind or not known or manifest.kind in _CLUSTER_SCOPED:
        return None
    namespace = manifest.root.get("metadata", "namespace")
    if has_variable((namespace.text if namespace is not None else None) or ""):
        return None
    at = namespace or manifest.root.get("metadata", "name") or manifest.root
    return _NamespacedObject(manifest, manifest.root.get_text("metadata", "namespace"), at)


def _group_applied(objects: list[_NamespacedObject]) -> Iterator[list[_NamespacedObject]]:
    """The objects of each variant, each with those of the model cache."""
    cache = [obj for obj in objects if obj.folder.endswith("model-cache")]
    rest = sorted((obj for obj in objects if obj not in cache), key=lambda obj: obj.folder)
    folders = [list(group) for _, group in groupby(rest, lambda obj: obj.folder)]
    yield from ([*cache, *folder] for folder in folders or [[]])


def _check_group(group: list[_NamespacedObject]) -> Iterator[Finding]:
    by_namespace: dict[str, list[_NamespacedObject]] = {}
    for obj in group:
        by_namespace.setdefault(obj.namespace, []).append(obj)
    unnamed = by_namespace.pop("", [])
    for name in [name for name in by_namespace if name.startswith(_PLATFORM)]:
        del by_namespace[name]
    used = [each for each in by_namespace.values() if not all(obj.manifest.kind in _RULES for obj in each)]
    most = max(used, key=len, default=[])
    others = [named for named in used if named is not most and _are_related(named, most)]
    if others:
        moved = [obj for named in others for obj in named]
        names = ", ".join(named[0].namespace for named in others)
        where = f"in namespace{'s' if len(others) > 1 else ''} {names}"
        yield _warn(moved, where, most, f"in {most[0].namespace}")
    if len(used) == len(by_namespace) == 1 and unnamed:
        yield from _check_partial(most, unnamed, has_graph=any(obj.is_graph for obj in group))


def _are_related(objects: list[_NamespacedObject], others: list[_NamespacedObject]) -> bool:
    """Whether one refers to another, or has a claim that nothing beside it mounts: programs that do not may
    well be in namespaces of their own, and kustomize and Helm put a claim where they are told to.
    """
    used, used_there = _list_references(objects), _list_references(others)
    names, names_there = ({obj.manifest.name for obj in each} for each in (objects, others))
    claims = {
        obj.manifest.name
        for obj in (*objects, *others)
        if obj.manifest.kind == "PersistentVolumeClaim" and not obj.manifest.file.endswith(RENDERED)
    }
    crossing = used & (names_there - names) or used_there & (names - names_there)
    return bool(crossing or claims - used - used_there)


def _list_references(objects: list[_NamespacedObject]) -> set[str | None]:
    return {
        value.text
        for obj in objects
        for _, value in obj.manifest.root.find_entries(_REFERENCES)
        if value is not obj.manifest.root.get("metadata", "name")
    }


def _check_partial(
    named: list[_NamespacedObject], unnamed: list[_NamespacedObject], *, has_graph: bool
) -> Iterator[Finding]:
    """Reports objects with a namespace that are used together with one that has none."""
    users = _find_users(unnamed)
    if has_graph:
        named = [obj for obj in named if obj.is_graph or obj.manifest.name in users]
        graphs = [users[obj.manifest.name] for obj in named if obj.manifest.name in users]
        unnamed = list({graph.manifest.name: graph for graph in graphs}.values()) or unnamed
    if not named:
        return
    namespace = named[0].namespace
    if len(unnamed) < len(named):
        fix = set_value("metadata.namespace", namespace, "or remove the others' and apply with -n NAMESPACE")
        yield _warn(unnamed, "without a namespace", named, f"in {namespace}", fix)
    else:
        yield _warn(named, f"in namespace {namespace}", unnamed, "without one")


def _find_users(objects: list[_NamespacedObject]) -> dict[str, _NamespacedObject]:
    """The graphs among these, by the name of each object that they use. Objects that no graph uses, such as
    dashboards and monitors, may be in other namespaces.
    """
    graphs = [(obj, obj.manifest.root.get("spec")) for obj in objects if obj.is_graph]
    return {
        value.text: graph
        for graph, spec in graphs
        for key in _REFERENCES
        for value in (spec.find_all(key) if spec else ())
        if value.text
    }


def _warn(
    objects: list[_NamespacedObject],
    fact: str,
    others: list[_NamespacedObject],
    other_fact: str,
    fix: str = remove("metadata.namespace", "and apply with -n NAMESPACE"),
) -> Finding:
    """One finding for all objects with the same cause, at the first of them."""
    place = objects[0]
    names = [f"{obj.manifest.kind} {obj.manifest.name}" for obj in objects]
    return warn(
        f"{_describe(objects)} {fact}, {_describe(others)} {other_fact}",
        fix=fix,
        evidence={"objects": names} if len(names) > 1 else {},
        location=Location(place.manifest.file, place.at.line, place.at.column),
    )


def _describe(objects: list[_NamespacedObject]) -> str:
    more = f" and {len(objects) - 1} more" if len(objects) > 1 else ""
    return f"{objects[0].manifest.kind} {objects[0].manifest.name}{more}"


@check("manifest.duplicates", title="No object is defined twice")
def duplicates(recipes: Recipes) -> Iterator[Finding]:
    """Of two objects with the same kind and name in a file, or in a folder that is applied as a whole, the
    second silently replaces the first; a second Job is rejected. Alternatives may share names: variants,
    files of one folder that each contain a graph, and a download or load test per precision. They may not
    if a README applies their whole folder. A file that a kustomization beside it leaves out is an alternative
    to what that makes. A node port is one Service's alone: the server refuses the second.

    Fix: rename one of them, or remove it
    """
    files = _list_files(recipes)
    if not any(any(file.manifests) for file in files):
        raise Skip("no manifest")
    applied = {folder for recipe in recipes for folder in _list_applied_folders(recipe)}
    for path, folder in groupby(sorted(files, key=lambda file: file.folder), lambda file: file.folder):
        listed = list(folder)
        plain = [file for file in listed if not file.rendered]
        for beside in (plain, *([file] for file in listed if file.rendered)):
            yield from _check_repeats(beside, applied=path in applied)
            for together in [beside] if path in applied else [[file] for file in beside]:
                yield from _check_node_ports(together)


def _check_node_ports(files: list[SourceFile]) -> Iterator[Finding]:
    """Reports node ports of a Service that another one of these files has."""
    owners: dict[int, tuple[str, str]] = {}
    for manifest in (m for file in files for m in file.manifests if m.kind == "Service" and not m.group):
        service = (manifest.root.get_text("metadata", "namespace"), manifest.name)
        for port in manifest.root.get_items("spec", "ports"):
            node_port = port.get("nodePort")
            if node_port is None or not isinstance(node_port.data, int) or not node_port.data:
                continue
            if (other := owners.setdefault(node_port.data, service)) != service:
                yield fail(
                    f"Service {manifest.name} has node port {node_port.data}, as Service {other[1]} has: "
                    "the server refuses it",
                    fix=remove("nodePort", "so that one is chosen"),
                    location=Location(manifest.file, node_port.line, node_port.column),
                )


def _list_applied_folders(recipe: Recipe) -> Iterator[str]:
    """The folders that a README applies as a whole."""
    for page in recipe.pages:
        for words in page.commands:
            texts = [word.text or "" for word in words]
            if "kubectl" in texts[:1] and {"apply", "create"} & {*texts}:
                for flag, path in pairwise(texts):
                    if flag in ("-f", "--filename"):
                        yield posixpath.normpath(posixpath.join(page.path.rpartition("/")[0], path))


def _check_repeats(files: list[SourceFile], *, applied: bool) -> Iterator[Finding]:
    graphs = sum(any(m.kind == "DynamoGraphDeployment" for m in file.manifests) for file in files)
    first: dict[tuple[str, ...], Manifest] = {}
    for file in files:
        scope = "" if applied else file.path if graphs > 1 else _find_alternative(file)
        for manifest in file.manifests:
            namespace = manifest.root.get_text("metadata", "namespace")
            key = (manifest.group, manifest.kind, namespace, manifest.name)
            if not manifest.name or file.has_open_name(manifest.name):
                continue
            alone = file.path if "$" in manifest.name else scope  # each file may be filled in differently
            if (other := _find_earlier(first, key, alone, file.path, manifest)) is not None:
                rejected = applied and manifest.kind == "Job"
                yield _report_duplicate(
                    manifest, other, fail if rejected or other.file == file.path else warn
                )


def _find_alternative(file: SourceFile) -> str:
    """The beginning of a file's name if files with it are alternatives, such as deploy; else empty."""
    name = file.path.rpartition("/")[2]
    return next((start for start in _ALTERNATIVES if name.startswith(start)), "")


def _find_earlier(
    first: dict[tuple[str, ...], Manifest],
    key: tuple[str, ...],
    scope: str | bool,
    path: str,
    manifest: Manifest,
) -> Manifest | None:
    """An earlier object with this key that is applied together with this one; None without one."""
    other = first.setdefault((*key, path), manifest)
    if other is not manifest:
        return other
    if scope:
        return None
    other = first.setdefault(key, manifest)
    return None if other is manifest else other


def _report_duplicate(manifest: Manifest, other: Manifest, report: Callable[..., Finding]) -> Finding:
    at = manifest.root.get("metadata", "name") or manifest.root
    where = "" if other.file == manifest.file else f"{other.file.rpartition('/')[2]}:"
    line = (other.root.get("metadata", "name") or other.root).line
    return report(
        f"{manifest.kind} {manifest.name} is defined here and at {where or 'line '}{line}",
        fix=set_value("metadata.name", "NAME", "or remove one of them"),
        location=Location(manifest.file, at.line, at.column),
    )


def _list_files(recipes: Iterable[Recipe]) -> list[SourceFile]:
    return [file for recipe in recipes for file in recipe.own_files if file.role is Role.MANIFEST]
