"""Checks that the objects which pods name are in the recipe."""

import difflib
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeGuard

from dynocheck import Finding, Location, Skip, check, fail, same_place, warn
from dynocheck.core.files import RENDERED
from dynocheck.core.fixes import replace_words
from dynocheck.engines import find_instances
from dynocheck.engines.arguments import find_config_file
from dynocheck.facts import POD_TEMPLATE_PATHS, SECRET_MAKERS, Container, Manifest, Recipe, Recipes, Value

_TEMPLATE, _ACCOUNT, _PRIORITY = "ResourceClaimTemplate", "ServiceAccount", "PriorityClass"
_USERS = {*POD_TEMPLATE_PATHS, "DynamoGraphDeployment", "LeaderWorkerSet"}
# The fields of pods that name an object: mappings with its name and maybe keys of it, and mere names.
_SOURCES = {
    "configMap": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "configMapRef": "ConfigMap",
    "secret": "Secret",
    "secretKeyRef": "Secret",
    "secretRef": "Secret",
}
_NAMES = {
    "envFromSecret": "Secret",
    "priorityClassName": _PRIORITY,
    "resourceClaimTemplateName": _TEMPLATE,
    "serviceAccountName": _ACCOUNT,
}
# What a cluster has from Kubernetes or Dynamo's operator, and the Secret of the user's own token.
_PRESENT = {
    "ConfigMap": ("kube-root-ca.crt",),
    "Secret": ("hf-token-secret",),
    _ACCOUNT: ("default", "planner-serviceaccount", "epp-serviceaccount"),
    _PRIORITY: ("system-cluster-critical", "system-node-critical"),
}
# What `kubectl create` makes, by the word behind it.
_CREATES = {
    "secret": "Secret",
    "configmap": "ConfigMap",
    "cm": "ConfigMap",
    "serviceaccount": _ACCOUNT,
    "sa": _ACCOUNT,
    "priorityclass": _PRIORITY,
    "pc": _PRIORITY,
}
_ENGINE_FILES = ("config", "engine-config-json", "extra-engine-args")  # the arguments that name a file
_HOLDS_DATA = ("data", "stringData", "binaryData")
_CONSEQUENCES = {
    _TEMPLATE: "its pods stay Pending",
    _ACCOUNT: "its pods are not created",
    _PRIORITY: "its pods are not created",
}


class _Reference(NamedTuple):
    """An object that a pod names, with the keys that it needs of it."""

    kind: str
    name: Value
    keys: tuple[Value, ...]
    manifest: Manifest

    def locate(self, place: Value) -> Location:
        return Location(self.manifest.file, place.line, place.column)


@check(
    "manifest.references",
    title="Objects that pods name are in the recipe",
    explained_by={"manifest.placeholders": same_place, "manifest.schema": same_place},
)
def references(recipes: Recipes) -> Iterator[Finding]:
    """A container that needs a missing ConfigMap or key does not start, a pod with a missing ServiceAccount
    or PriorityClass is not created, and one with a missing ResourceClaimTemplate stays Pending.

    The check fails where the recipe makes objects of this kind but not the one that is named, as after a
    rename in one place only; in folders without a recipe only the same file counts. Otherwise the object
    must be in the cluster already, which is a warning. Objects that a README creates are there, with the keys
    that it gives them. Secrets are usually made by hand: they are judged beside others, and
    `platform.secrets` looks for them in a cluster. A ConfigMap beside an engine without Dynamo that nothing
    names is a warning, unless it has labels.

    Fix: add the object, or name the one that the recipe makes
    """
    judged = False
    for recipe in recipes:
        made, created = _list_made(recipe), _list_created(recipe)
        joined = recipe.shape == "model" or len(recipe.graphs) == 1
        reported: set[tuple[str, str]] = set()
        for reference in _list_references(recipe):
            judged = True
            name = reference.name.text or ""
            same = [(n, m) for kind, n, m in made if kind == reference.kind]
            if any(n == name for n, _ in same):
                yield from _check_keys(reference, [m for n, m in same if n == name])
            elif pasted := [c for c in created if c.name == name and c.kind in ("", reference.kind)]:
                yield from _check_created(reference, pasted)
            elif (reference.kind, name) not in reported:
                reported.add((reference.kind, name))
                file = reference.manifest.file
                siblings = {n for n, m in same if joined or m.file == file}
                yield from _report_missing(reference, name, siblings)
        yield from _check_engine_files(recipe, made)
        yield from _check_unused(recipe)
    if not judged and not any(recipe.servers for recipe in recipes):
        raise Skip("no pod names a ConfigMap, Secret, ServiceAccount, PriorityClass or ResourceClaimTemplate")


def _check_unused(recipe: Recipe) -> Iterator[Finding]:
    """Reports ConfigMaps beside an engine without Dynamo that nothing names: their settings have no effect.

    One with labels or annotations may be for whoever looks for these.
    """
    beside = {server.file for server in recipe.servers}
    unused = {
        manifest.name: manifest
        for manifest in recipe.own_manifests
        if manifest.kind == "ConfigMap" and manifest.file in beside and manifest.name
        if manifest.root.get("metadata", "labels") is None
        if manifest.root.get("metadata", "annotations") is None
    }
    for value in (value for m in recipe.manifests for value in (m.root.walk() if unused else ())):
        for name in [name for name in unused if value.text and name in value.text]:
            if value is not unused[name].root.get("metadata", "name"):
                del unused[name]
    words = {word.text for page in recipe.pages for command in page.commands for word in command}
    for name, manifest in unused.items():
        if not any(name in (word or "") for word in words):
            place = manifest.root.get("metadata", "name") or manifest.root
            yield warn(
                f"ConfigMap {name} is named by nothing: what it says has no effect",
                fix="mount it, or import it with envFrom, where it is to be read",
                location=Location(manifest.file, place.line, place.column),
            )


def _check_engine_files(recipe: Recipe, made: list[tuple[str, str, Manifest]]) -> Iterator[Finding]:
    """Reports files of engines that the recipe's ConfigMap, which is mounted at their place, lacks."""
    maps = {name: manifest for kind, name, manifest in made if kind == "ConfigMap" == manifest.kind}
    for engine in (engine for graph in recipe.graphs for engine in find_instances(graph)):
        for path in filter(None, map(engine.given.get, _ENGINE_FILES)):
            full = _resolve(engine.container, path.value)
            mount = engine.container.find_mount(full) if full is not None else None
            if mount is None or mount.source != "configmap" or mount.name not in maps:
                continue
            if find_config_file(engine.container, path) is None:
                keys = {key for part in _HOLDS_DATA for key in _read_keys(maps[mount.name], part)}
                yield fail(
                    f"{engine.name}: ConfigMap {mount.name} has no file for {path.value}: "
                    "the engine does not start",
                    fix=f"add the key, or name one of {', '.join(sorted(keys)) or 'its keys'}",
                    location=Location(path.file, path.line, path.column),
                )


def _resolve(container: Container, path: object) -> str | None:
    """The full path of a file that an engine is given; None if only the running container knows it."""
    if not isinstance(path, str) or "$" in path:
        return None
    full = path if container.moves else posixpath.join(container.folder, path)
    return full if full.startswith("/") else None


def _report_missing(reference: _Reference, name: str, siblings: set[str]) -> Iterator[Finding]:
    siblings = siblings - {""}  # a name that is no text is the schema's concern
    close = difflib.get_close_matches(name, sorted(siblings), n=1)
    by_hand = reference.kind == "Secret"
    if not close and (name in _PRESENT.get(reference.kind, ()) or (by_hand and not siblings)):
        return
    is_wrong = bool(close or (siblings and not by_hand))
    report: Callable[..., Finding] = fail if is_wrong else warn
    makes = f", which makes {', '.join(sorted(siblings)[:3])}" if siblings else ""
    yield report(
        f"{reference.kind} {name} is not in the recipe{makes}"
        + (": " if is_wrong else f"{';' if makes else ','} it must be in the cluster already: else ")
        + _CONSEQUENCES.get(reference.kind, "the container does not start"),
        fix=f"name {close[0]}" if close else f"add {reference.kind} {name}",
        location=reference.locate(reference.name),
    )


def _check_keys(reference: _Reference, made: list[Manifest]) -> Iterator[Finding]:
    """Reports keys that an object of the recipe lacks."""
    beside = [manifest for manifest in made if manifest.file == reference.manifest.file] or made
    given = {key for m in beside for part in _HOLDS_DATA for key in _read_keys(m, part)}
    if not given and reference.manifest.file.endswith(f"Chart.yaml{RENDERED}"):
        return  # which values that the chart leaves empty would fill
    for key in reference.keys:
        is_whole = all(manifest.kind == reference.kind for manifest in beside)
        if is_whole and key.text and "$" not in key.text and key.text not in given:
            yield fail(
                f"{reference.kind} {reference.name.text} has no key {key.text}: the container does not start",
                fix=f"add the key, or name one of {', '.join(sorted(given)) or 'its keys'}",
                location=reference.locate(key),
            )


def _read_keys(manifest: Manifest, part: str) -> dict[str, Value]:
    value = manifest.root.get(part)
    return value.mapping if value is not None else {}


def _list_references(recipe: Recipe) -> Iterator[_Reference]:
    """The objects that the recipe's pods name and need."""
    for manifest in recipe.own_manifests:
        spec = manifest.root.get("spec")
        if manifest.kind not in _USERS or spec is None:
            continue
        for field, source in spec.find_entries(_SOURCES):
            name = source.get("secretName") or source.get("name")
            optional = source.get("optional")
            if _is_literal(name) and not (optional is not None and optional.data is True):
                keys = [source.get("key"), *(item.get("key") for item in source.get_items("items"))]
                yield _Reference(_SOURCES[field], name, tuple(filter(None, keys)), manifest)
        for field, name in spec.find_entries(_NAMES):
            if _is_literal(name):
                yield _Reference(_NAMES[field], name, (), manifest)


def _is_literal(name: Value | None) -> TypeGuard[Value]:
    return name is not None and bool(name.text) and not {*"$<{"} & {*(name.text or "")}


def _list_made(recipe: Recipe) -> list[tuple[str, str, Manifest]]:
    """The objects that the recipe makes: kind, name, and the manifest that makes it."""
    made = [(m.kind, m.name, m) for file in recipe.files for m in file.manifests]
    channel = ("spec", "channel", "resourceClaimTemplate", "name")
    made += [(_TEMPLATE, m.root.get_text(*channel), m) for _, _, m in made if m.root.get(*channel)]
    makers = [(m, m.root.get_text(*SECRET_MAKERS[kind])) for kind, _, m in made if kind in SECRET_MAKERS]
    made += [("Secret", name or m.name, m) for m, name in makers]
    return made


class _Created(NamedTuple):
    """An object that a page's command or a kustomization makes, and its keys; None if they are unknown."""

    kind: str
    name: str
    keys: frozenset[str] | None = None


def _list_created(recipe: Recipe) -> list[_Created]:
    created = []
    for words in (words for page in recipe.pages for words in page.commands):
        texts = [word.text or "" for word in words]
        what = texts[texts.index("create") + 1 :] if "create" in texts else []
        keys = _read_literals(what)
        created += [_Created(_CREATES.get(what[0], ""), text, keys) for text in what]
    for file in recipe.files:
        for root in file.documents:
            for kind in ("ConfigMap", "Secret"):
                generated = root.get_items(f"{kind[0].lower()}{kind[1:]}Generator")
                created += [_Created(kind, entry.get_text("name")) for entry in generated]
    return created


def _read_literals(texts: Sequence[str]) -> frozenset[str] | None:
    """The keys of `kubectl create`, from --from-literal; None if it has others."""
    options = " ".join(texts).replace("--from-literal ", "--from-literal=")
    keys = re.findall(r"--from-literal=([\w.-]+)=", options)
    return frozenset(keys) if keys and options.count("--from-") == len(keys) else None


def _check_created(reference: _Reference, made: Sequence[_Created]) -> Iterator[Finding]:
    """Reports keys that no command of a page gives to an object."""
    given = {key for each in made for key in each.keys or ()}
    for key in reference.keys if all(each.keys for each in made) else ():
        if key.text and "$" not in key.text and key.text not in given:
            yield fail(
                f"{reference.kind} {reference.name.text} has no key {key.text}: a page creates it with "
                f"{', '.join(sorted(given))}",
                fix=replace_words(key.text, min(given)),
                location=reference.locate(key),
            )
