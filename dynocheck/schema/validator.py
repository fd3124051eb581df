"""Values held against schemas, as the API server does."""

import functools
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from dynocheck.core.fixes import remove, replace_words, set_value
from dynocheck.facts import Value
from dynocheck.schema import kinds
from dynocheck.schema.apiserver_rules import METADATA, Schema
from dynocheck.schema.formats import find_format_error
from dynocheck.schema.messages import (
    describe_mismatch,
    describe_unknown,
    fits_type,
    format_choices,
    join_path,
    quote,
)
from dynocheck.schema.suggestions import convert, find_choice, find_known_name, mend_text, suggest_value

_NAMED: Schema = {"type": "string", "minLength": 1}
_EMBEDDED: Schema = {
    "required": ["apiVersion", "kind"],
    "properties": {"apiVersion": _NAMED, "kind": _NAMED},
}
# Go decodes a list of numbers into bytes, as it decodes base64.
_BYTES: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}}
_ZERO: dict[str, Any] = {"object": {}, "array": [], "string": ""}
_CHOICES = frozenset(("enum", "anyOf", "oneOf", "not"))
_QUANTITY = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|"  # how every CRD that knows it begins it
MAX_VIOLATIONS = 200  # violations of one manifest that are told
_MAX_TEXT = 4096  # characters: RE2 reads any text in linear time, Python does not, so more is not judged


class SchemaViolation(NamedTuple):
    """A field that is not as it must be: where it stands, what would be right, and the edit to make."""

    path: str
    message: str
    line: int
    column: int
    fix: str = ""


class SchemaValidator:
    """Holds values against schemas and keeps what is wrong, one violation for each path."""

    def __init__(
        self,
        found: dict[str, SchemaViolation],
        definitions: Mapping[str, Schema],
        *,
        structural: bool,
        quotes: bool = True,
    ) -> None:
        self._found = found
        self._definitions = definitions
        self._structural = structural
        self._quotes = quotes

    @property
    def _is_full(self) -> bool:
        return len(self._found) >= MAX_VIOLATIONS

    def report(self, value: Value, path: str, message: str, fix: str = "") -> None:
        if not self._is_full:
            self._found.setdefault(path, SchemaViolation(path, message, value.line, value.column, fix))

    def check(self, value: Value, schema: Schema, path: str, *, closed: bool = True) -> None:
        """Report what a schema finds wrong. One that is not `closed` leaves unknown fields to another."""
        schema = self._resolve(schema)
        if value.data is None and schema.get("nullable"):
            return
        if schema.get("format") == "byte" and isinstance(value.data, list) and not self._structural:
            schema = _BYTES
        wanted = _list_types(schema)
        if wanted and not fits_type(value.data, wanted):
            message = describe_mismatch(value.data, wanted, quotes=self._quotes)
            self.report(value, path, message, suggest_value(path, convert(value.plain, wanted), value.data))
            return
        match value.data:
            case dict():
                self._check_mapping(value, value.data, schema, path, closed=closed)
            case list():
                self._check_list(value, value.data, schema, path, closed=closed)
            case str():
                self._check_text(value, value.data, schema, path)
            case int() | float():
                self._check_number(value, value.data, schema, path)
        if not _CHOICES.isdisjoint(schema):
            self._check_choices(value, schema, path)
        for part in schema.get("allOf", ()):
            self.check(value, part, path, closed=False)

    def _resolve(self, schema: Schema) -> Schema:
        if "$ref" not in schema:
            return schema
        while isinstance(reference := schema.get("$ref"), str):  # else it is a property of that name
            target = self._definitions[reference.rpartition("/")[2]]
            beside = {key: rule for key, rule in schema.items() if key not in ("$ref", "description")}
            schema = target | beside if beside else target
        return schema

    def _get_properties(self, schema: Schema) -> dict[str, Schema]:
        return self._resolve(schema.get("properties", {}))  # shared as a whole where several have the same

    def _check_mapping(
        self, value: Value, data: dict[str, Value], schema: Schema, path: str, *, closed: bool
    ) -> None:
        properties = self._get_properties(schema)
        others = schema.get("additionalProperties")
        key_form = schema.get("propertyNames", {}).get("format", "")
        present = set()
        for key, entry in data.items():
            place = join_path(path, key)
            if key_form and (must := find_format_error(key_form, key)):
                self.report(entry, place, f"has a key that must be {must}")
            rule = properties.get(key, others if isinstance(others, dict) else None)
            rule = rule if rule is None else self._resolve(rule)
            if entry.data is not None or (key in properties and rule is not None and rule.get("nullable")):
                present.add(key)
            if rule is not None:
                if entry.data is not None or rule.get("nullable"):
                    self.check(entry, rule, place, closed=closed)
            elif closed and self._is_closed(schema) and not self._is_full:
                close = find_known_name(key, properties)
                fix = replace_words(key, close) if close else remove(key)
                self.report(entry, place, describe_unknown(key, properties), fix)
        self._check_presence(value, data, present, schema, path)
        if schema.get("x-kubernetes-embedded-resource"):
            self.check(value, _EMBEDDED, path, closed=False)
            if metadata := value.get("metadata"):
                check_metadata(self._found, metadata, join_path(path, "metadata"))

    def _check_presence(
        self, value: Value, data: dict[str, Value], present: set[str], schema: Schema, path: str
    ) -> None:
        if self._structural:
            properties = self._get_properties(schema)
            present.update(key for key, rule in properties.items() if "default" in self._resolve(rule))
        for key in schema.get("required", ()):
            if key not in present:
                null = ", and null does not count" if key in data else ""
                self.report(
                    data.get(key, value), join_path(path, key), f"is required{null}", set_value(key, "VALUE")
                )
            elif not self._structural and data[key].data in ("", []):  # what Go cannot tell from absent
                self.report(data[key], join_path(path, key), "is required, and empty does not count")
        self._check_size(value, len(present), schema, path, "minProperties", "maxProperties", "fields")

    def _is_closed(self, schema: Schema) -> bool:
        if self._structural:
            open_by = ("additionalProperties", "x-kubernetes-preserve-unknown-fields")
            return not any(schema.get(word) for word in open_by)
        return "properties" in schema and "additionalProperties" not in schema

    def _check_list(
        self, value: Value, data: list[Value], schema: Schema, path: str, *, closed: bool
    ) -> None:
        rule = self._resolve(schema.get("items", {}))
        zero = None if self._structural else _ZERO.get(next(iter(_list_types(rule)), "string"))
        for index, element in enumerate(data):
            if element.data is None and not self._structural:
                if zero is None:
                    continue
                element = msgspec.structs.replace(element, data=zero)
            self.check(element, rule, f"{path}[{index}]", closed=closed)
        self._check_size(value, len(data), schema, path, "minItems", "maxItems", "items")
        self._check_unique(data, schema, rule, path)

    def _check_unique(self, data: list[Value], schema: Schema, rule: Schema, path: str) -> None:
        keys = schema.get("x-unique", ())
        if self._structural:
            keys = schema.get("x-kubernetes-list-map-keys", ())
        if not keys and not (self._structural and schema.get("x-kubernetes-list-type") == "set"):
            return
        first: dict[str, int] = {}
        for index, element in enumerate(data):
            identity = element.plain
            if keys:
                identity = [self._identify(element, rule, key) for key in keys]
                if None in identity:
                    continue
            same = first.setdefault(json.dumps(identity, sort_keys=True), index)
            if same != index:
                what = " and ".join(keys) if keys else "value"
                self.report(element, f"{path}[{index}]", f"has the same {what} as item {same}")

    def _identify(self, element: Value, rule: Schema, key: str) -> Any:
        found = element.get(key)
        if found is not None:
            return found.plain if self._structural else found.plain or None
        return self._resolve(self._get_properties(rule).get(key, {})).get("default")

    def _check_size(
        self, value: Value, size: int, schema: Schema, path: str, low: str, high: str, unit: str
    ) -> None:
        least, most = schema.get(low, 0), schema.get(high, size)
        if not least <= size <= most:
            bound = f"at least {least}" if size < least else f"at most {most}"
            self.report(value, path, schema.get("x-says", f"has {size} {unit}, must have {bound}"))

    def _check_text(self, value: Value, text: str, schema: Schema, path: str) -> None:
        self._check_size(value, len(text), schema, path, "minLength", "maxLength", "characters")
        must = None
        if not self._structural or schema.get("format") in ("ipv4", "ipv6"):
            must = find_format_error(schema.get("format", ""), text)
        if (pattern := schema.get("pattern")) and len(text) <= _MAX_TEXT:
            compiled = _compile(pattern)
            if compiled is not None and not compiled.search(text):
                must = (
                    find_format_error("quantity", "?")
                    if pattern.startswith(_QUANTITY)
                    else f"text like {pattern}"
                )
        if must is not None:
            said = f"is {quote(text)}, must be {must}" if self._quotes else f"must be {must}"
            self.report(value, path, said, suggest_value(path, mend_text(text, must)))

    def _check_number(self, value: Value, number: float, schema: Schema, path: str) -> None:
        if "integer" in _list_types(schema):
            bits = 32 if schema.get("format") == "int32" else 64
            if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
                self.report(value, path, f"is {quote(number)}, must be an integer of {bits} bits")
        least, most = schema.get("minimum"), schema.get("maximum")
        if least is not None and number < least:
            self.report(
                value, path, f"is {quote(number)}, must be at least {least}", suggest_value(path, least)
            )
        if most is not None and number > most:
            self.report(value, path, f"is {quote(number)}, must be at most {most}", suggest_value(path, most))

    def _check_choices(self, value: Value, schema: Schema, path: str) -> None:
        choices = schema.get("enum")
        # Most of what Kubernetes' own kinds enumerate has a default, which empty stands for.
        if choices and value.data not in choices and (self._structural or value.data != ""):
            message = f"is {quote(value.plain)}, must be {format_choices(choices)}"
            self.report(value, path, message, suggest_value(path, find_choice(value.plain, choices)))
        for options in (schema.get("anyOf"), schema.get("oneOf")):
            if options and not any(self._fits(value, option, path) for option in options):
                self.report(value, path, schema.get("x-says", "fits none of the forms that are allowed here"))
        if "not" in schema and self._fits(value, schema["not"], path):
            self.report(value, path, schema.get("x-says", "has a form that is not allowed here"))

    def _fits(self, value: Value, schema: Schema, path: str) -> bool:
        found: dict[str, SchemaViolation] = {}
        judge = SchemaValidator(found, self._definitions, structural=self._structural)
        judge.check(value, schema, path, closed=False)
        return not found


def check_metadata(found: dict[str, SchemaViolation], metadata: Value, path: str) -> None:
    """Hold the metadata of an object against what every kind has."""
    meta = kinds.object_meta()
    judge = SchemaValidator(found, meta.definitions, structural=meta.structural)
    judge.check(metadata, {**meta.schema, "allOf": [METADATA]}, path)


def _list_types(schema: Schema) -> list[str]:
    given = schema.get("type")
    if isinstance(given, str) and "x-kubernetes-int-or-string" not in schema:
        return [given]
    if schema.get("x-kubernetes-int-or-string"):
        return ["integer", "string"]
    return [name for name in given or () if name != "null"]


@functools.cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    """A pattern of RE2, where `$` is the very end and classes are ASCII; None where Python cannot say it."""
    if "[[:" in pattern:
        return None
    exact = re.sub(
        r"\\.|\[\^?\]?(?:\\.|[^]])*\]|\$", lambda found: r"\Z" if found[0] == "$" else found[0], pattern
    )
    try:
        return re.compile(exact, re.ASCII)
    except re.error:
        return None
