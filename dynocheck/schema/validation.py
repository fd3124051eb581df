"""Whether the API server would take a manifest, told without one.

What `kubectl apply --validate=strict` refuses is found here: unknown fields, wrong types, missing and
impossible values, and, where these are none, broken rules in CEL and places that disagree. Admission
webhooks and what depends on other objects are not evaluated, and `status` is not judged, since the server
drops it. Of alternatives (`oneOf`) at least one must fit.

Nulls count as the server counts them. A property that is null is absent, so that a default applies and a
required one is missing. In a list a null is the zero value for Kubernetes' own kinds, which are decoded into
Go types, and is of the wrong type for custom ones.
"""

from collections.abc import Collection, Iterable, Iterator

from dynocheck.data import kubernetes_schemas
from dynocheck.facts import Manifest, Value
from dynocheck.schema import kinds, relations, rules
from dynocheck.schema.apiserver_rules import ANY_NAME, NAMES, Schema
from dynocheck.schema.compiler import SchemaCompiler
from dynocheck.schema.definitions import Definitions
from dynocheck.schema.formats import find_format_error
from dynocheck.schema.messages import quote
from dynocheck.schema.pods import list_component_pods, list_embedded_pods
from dynocheck.schema.validator import SchemaValidator, SchemaViolation, check_metadata

# Kubernetes' own groups, and those of files that only a tool reads.
_NO_OBJECTS = (".k8s.io", "eksctl.io", "k3d.io", "talos.dev")
_NO_DEFINITIONS = SchemaCompiler({}, structural=False)


def validate(
    manifest: Manifest,
    definitions: Definitions | None = None,
    open_places: Collection[tuple[int, int]] = (),
) -> list[SchemaViolation] | None:
    """What the API server would refuse of this manifest, in the order of its lines, up to MOST violations.

    What a Secret holds is not quoted.

    :param definitions: the release and the custom kinds of that server; these count more than known ones.
    :param open_places: lines and columns of values that are still to be filled in; they are not judged.
    :return: None when there is no schema for its apiVersion and kind.
    """
    kind = _find_schema(manifest, definitions or Definitions())
    if kind is None or isinstance(kind, SchemaViolation):
        return [kind] if kind else None
    found: dict[str, SchemaViolation] = {}
    secret = manifest.kind == "Secret" and not manifest.group
    judge = SchemaValidator(found, kind.compiler, quotes=not secret)
    judge.check(manifest.root, kind.content, "")
    metadata = manifest.root.get("metadata") or Value({}, manifest.root.line, manifest.root.column)
    check_metadata(found, metadata, "metadata")
    if manifest.kind != "LimitRange" or metadata.get("name") is not None:  # the server would name it
        _check_name(found, metadata, NAMES.get((manifest.group, manifest.kind), ANY_NAME))
    known = {path: v for path, v in found.items() if not v.is_open(open_places)}
    if not known and (not found or not kind.structural):  # as the server, which judges the rest of what fits
        for broken in _find_rule_violations(manifest, kind):
            judge.report(*broken)
    told = (v for v in found.values() if not v.is_open(open_places))
    return sorted(told, key=lambda violation: (violation.line, violation.column))


def validate_metadata(manifest: Manifest) -> list[SchemaViolation]:
    """What every API server would refuse of the metadata of a custom object, whatever its schema is.

    Not judged are objects without a group of their own, and those of Kubernetes' groups.
    """
    found: dict[str, SchemaViolation] = {}
    if "." in manifest.group and not manifest.group.endswith(_NO_OBJECTS):
        metadata = manifest.root.get("metadata") or Value({}, manifest.root.line, manifest.root.column)
        check_metadata(found, metadata, "metadata")
        _check_name(found, metadata, ANY_NAME)
    return sorted(found.values(), key=lambda violation: (violation.line, violation.column))


def validate_component_pods(
    owner: Manifest, definitions: Definitions | None = None
) -> Iterator[tuple[str, SchemaViolation]]:
    """What the API server would refuse of the pods that a controller makes, each with what the pod is of.

    Pods of a graph are of its components. The controller reports it, long after their owner was accepted.
    """
    of_graph = owner.kind == "DynamoGraphDeployment"
    for pod in list_component_pods(owner) if of_graph else list_embedded_pods(owner):
        for violation in validate(pod.manifest, definitions) or ():
            yield pod.component, violation


def _find_schema(manifest: Manifest, definitions: Definitions) -> kinds.KindSchema | SchemaViolation | None:
    """The kind of an object, or what is wrong with its apiVersion."""
    named = (manifest.group, manifest.api_version.rpartition("/")[2], manifest.kind)
    defined = definitions.find_kind(manifest.group, manifest.kind)
    if defined is not None and named[1] in defined.served_versions:
        return definitions.find_schema(defined, named[1])
    if defined is not None:
        served = ", ".join(defined.served_versions) or "no version at all"
        return _report_unserved(manifest, f"and {defined.source} serves {served}")
    found = kinds.find_kind(*named, definitions.release)
    if found is None and kinds.find_kind(*named, kubernetes_schemas.choose_release()) is not None:
        return _report_unserved(manifest, f"in which Kubernetes {definitions.release} has no {manifest.kind}")
    return found


def _report_unserved(manifest: Manifest, why: str) -> SchemaViolation:
    place = manifest.root.get("apiVersion") or manifest.root
    return SchemaViolation("apiVersion", f"is {quote(manifest.api_version)}, {why}", place.line, place.column)


def _find_rule_violations(manifest: Manifest, kind: kinds.KindSchema) -> Iterable[rules.RuleViolation]:
    """What is wrong with an object that fits its schema."""
    if not kind.structural:
        return relations.find_disagreements(manifest)
    if rules.explain_no_rules():
        return ()
    return rules.find_broken_rules(manifest.root, kind.content, kind.compiler)


def _check_name(found: dict[str, SchemaViolation], metadata: Value, rule: Schema) -> None:
    judge = SchemaValidator(found, _NO_DEFINITIONS)
    name, prefix = metadata.get("name"), metadata.get("generateName")
    if name is not None and name.data != "":
        judge.check(name, _NO_DEFINITIONS.find(rule), "metadata.name")
    elif prefix is None or prefix.data == "":
        judge.report(name or metadata, "metadata.name", "is required")
    if prefix is not None and prefix.text and find_format_error(rule["format"], prefix.text + "x"):
        judge.report(prefix, "metadata.generateName", f"is {quote(prefix.data)}, which begins no valid name")
