"""Whether the API server would take a manifest, told without one.

What `kubectl apply --validate=strict` refuses is found here: unknown fields, wrong types, missing and
impossible values, and, where these are none, broken rules in CEL and places that disagree. Admission
webhooks and what depends on other objects are not evaluated, and `status` is not judged, since the server
drops it. Of alternatives (`oneOf`) at least one must fit.

Nulls count as the server counts them. A property that is null is absent, so that a default applies and a
required one is missing. In a list a null is the zero value for Kubernetes' own kinds, which are decoded into
Go types, and is of the wrong type for custom ones.
"""

from collections.abc import Iterable

from dynocheck.facts.k8s.definitions import CustomKind
from dynocheck.facts.recipe.recipes import Manifest, Value
from dynocheck.schema import kinds, relations, rules
from dynocheck.schema.apiserver_rules import ANY_NAME, NAMES, Schema
from dynocheck.schema.definitions import Definitions
from dynocheck.schema.formats import complaint
from dynocheck.schema.messages import quoted
from dynocheck.schema.validator import Judge, Violation, check_metadata

_ANYTHING: Schema = {"x-kubernetes-preserve-unknown-fields": True}
_JUDGED_APART = dict.fromkeys(("apiVersion", "kind", "metadata"), _ANYTHING)


def validate(manifest: Manifest, definitions: Definitions | None = None) -> list[Violation] | None:
    """What the API server would refuse of this manifest, in the order of its lines, up to MOST violations.

    What a Secret holds is not quoted.

    :param definitions: the custom kinds of that server, which count more than those known here.
    :return: None when there is no schema for its apiVersion and kind.
    """
    version = manifest.api_version.rpartition("/")[2]
    defined = definitions.defined(manifest.group, manifest.kind) if definitions is not None else None
    if definitions is None or defined is None:
        kind = kinds.find(manifest.group, version, manifest.kind)
    elif version in defined.served:
        kind = definitions.find(defined, version)
    else:
        return [_not_served(manifest, defined)]
    if kind is None:
        return None
    properties = kind.schema["properties"] | _JUDGED_APART
    if kind.structural or "status" in properties:
        properties["status"] = _ANYTHING
    found: dict[str, Violation] = {}
    secret = manifest.kind == "Secret" and not manifest.group
    judge = Judge(found, kind.definitions, structural=kind.structural, quotes=not secret)
    whole = {**kind.schema, "properties": properties}
    judge.check(manifest.root, whole, "")
    metadata = manifest.root.get("metadata") or Value({}, manifest.root.line, manifest.root.column)
    check_metadata(found, metadata, "metadata")
    _check_name(found, metadata, NAMES.get((manifest.group, manifest.kind), ANY_NAME))
    if not found:  # as the server does, which looks for the rest only in what fits
        for broken in _beyond(manifest, kind, whole):
            judge.report(*broken)
    return sorted(found.values(), key=lambda violation: (violation.line, violation.column))


def _not_served(manifest: Manifest, defined: CustomKind) -> Violation:
    place = manifest.root.get("apiVersion") or manifest.root
    served = ", ".join(defined.served) or "no version at all"
    message = f"is {quoted(manifest.api_version)}, and {defined.source} serves {served}"
    return Violation("apiVersion", message, place.line, place.column)


def _beyond(manifest: Manifest, kind: kinds.Kind, schema: Schema) -> Iterable[rules.Broken]:
    """What is wrong with an object that fits its schema."""
    if not kind.structural:
        return relations.disagreeing(manifest)
    return rules.broken(manifest.root, schema, kind.definitions) if rules.available() else ()


def _check_name(found: dict[str, Violation], metadata: Value, rule: Schema) -> None:
    judge = Judge(found, {}, structural=False)
    name, prefix = metadata.get("name"), metadata.get("generateName")
    if name is not None and name.data != "":
        judge.check(name, rule, "metadata.name")
    elif prefix is None or prefix.data == "":
        judge.report(name or metadata, "metadata.name", "is required")
    if prefix is not None and prefix.text and complaint(rule["format"], prefix.text + "x"):
        judge.report(prefix, "metadata.generateName", f"is {quoted(prefix.data)}, which begins no valid name")
