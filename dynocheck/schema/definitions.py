"""Schemas of CustomResourceDefinitions, cut down to what decides whether a new object is valid."""

from collections.abc import Iterable
from typing import Any

from dynocheck.data import kubernetes_schemas
from dynocheck.facts import CustomKind
from dynocheck.schema import rules
from dynocheck.schema.compiler import SchemaCompiler
from dynocheck.schema.kinds import KindSchema

_KEPT_KEYWORDS = (
    "allOf",
    "format",
    "not",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "additionalProperties",
    "anyOf",
    "default",
    "enum",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
)


class Definitions:
    """The custom kinds that are known exactly; where one is defined twice, the first counts.

    `server` is the version of the API server, such as `v1.36.3`, if it is known: whose own kinds there are.
    """

    def __init__(self, kinds: Iterable[CustomKind] = (), server: str = "") -> None:
        self.release = kubernetes_schemas.choose_release(server)
        self._kinds: dict[tuple[str, str], CustomKind] = {}
        for kind in kinds:
            self._kinds.setdefault((kind.group, kind.kind), kind)
        self._schemas: dict[tuple[str, str, str], KindSchema] = {}

    def find_kind(self, group: str, kind: str) -> CustomKind | None:
        """What defines this kind, if something does."""
        return self._kinds.get((group, kind))

    def find_schema(self, found: CustomKind, version: str) -> KindSchema:
        """The schema of a version that is served."""
        key = (found.group, found.kind, version)
        if key not in self._schemas:
            given = next((v.schema for v in found.versions if v.name == version), None)
            schema = (
                _drop_unsupported_rules(compact(given))
                if given
                else {"x-kubernetes-preserve-unknown-fields": True}
            )
            schema.setdefault("properties", {})
            self._schemas[key] = KindSchema(schema, SchemaCompiler({}, structural=True))
        return self._schemas[key]


def _drop_unsupported_rules(schema: Any) -> Any:
    """The same without rules that cannot be evaluated here: what they say is not judged."""
    if isinstance(schema, list):
        return [_drop_unsupported_rules(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: [rule for rule in value if rules.is_evaluable(rule["rule"])]
        if key == rules.RULES and isinstance(value, list)
        else _drop_unsupported_rules(value)
        for key, value in schema.items()
    }


def compact(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without descriptions, examples, status and rules about changes."""
    kept = {key: value for key, value in schema.items() if key in _KEPT_KEYWORDS}
    if "properties" in kept:
        kept["properties"] = {name: compact(value) for name, value in sorted(kept["properties"].items())}
    for key in ("items", "additionalProperties", "not"):
        if isinstance(kept.get(key), dict):
            kept[key] = compact(kept[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in kept:
            kept[key] = [compact(option) for option in kept[key]]
    if kept.get("x-kubernetes-list-type") == "atomic":
        del kept["x-kubernetes-list-type"]
    if asked := [_compact_rule(rule) for rule in schema.get(rules.RULES, ()) if _applies_on_create(rule)]:
        kept[rules.RULES] = asked
    return kept


def _applies_on_create(rule: dict[str, Any]) -> bool:
    """Whether a rule holds for an object that is created: one about a change says so by naming oldSelf."""
    return "oldSelf" not in rule["rule"] or bool(rule.get("optionalOldSelf"))


def _compact_rule(rule: dict[str, Any]) -> dict[str, str]:
    return {"rule": rule["rule"], "message": rule.get("message") or f"failed rule: {rule['rule']}"}
