"""Values held against schemas, as the API server does."""

import functools
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec

from dynocheck.core.fixes import remove, replace_words, set_value
from dynocheck.facts import Value
from dynocheck.schema import kinds
from dynocheck.schema.apiserver_rules import Schema
from dynocheck.schema.compiler import ANYTHING, CompiledSchema, SchemaCompiler
from dynocheck.schema.formats import find_format_error
from dynocheck.schema.messages import (
    Path,
    describe_mismatch,
    describe_unknown,
    fits_type,
    format_choices,
    format_path,
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
_QUANTITY = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|"  # how every CRD that knows it begins it
_COUNTS = ("replicas", "parallelism", "completions")  # of which none would run nothing
_LAST_PORT = 65535
MAX_VIOLATIONS = 200  # violations of one manifest that are told
_MAX_TEXT = 4096  # characters: RE2 reads any text in linear time, Python does not, so more is not judged


class SchemaViolation(NamedTuple):
    """A field that is not as it must be: where it stands, what would be right, and the edit to make.

    `unknown`: there is no such field, whatever its value.
    """

    path: str
    message: str
    line: int
    column: int
    fix: str = ""
    unknown: bool = False

    def is_open(self, places: Collection[tuple[int, int]]) -> bool:
        """Whether it is about one of these values, which are still to be filled in."""
        return not self.unknown and (self.line, self.column) in places


class SchemaValidator:
    """Holds values against schemas and keeps what is wrong, one violation for each path."""

    def __init__(
        self,
        found: dict[str, SchemaViolation],
        compiler: SchemaCompiler,
        *,
        quotes: bool = True,
    ) -> None:
        self._found = found
        self._compiler = compiler
        self._structural = compiler.structural
        self._quotes = quotes

    @property
    def _is_full(self) -> bool:
        return len(self._found) >= MAX_VIOLATIONS

    def report(self, value: Value, path: Path, message: str, fix: str = "", *, unknown: bool = False) -> None:
        if not self._is_full:
            place = format_path(path)
            violation = SchemaViolation(place, message, value.line, value.column, fix, unknown)
            self._found.setdefault(place, violation)

    def check(self, value: Value, rule: CompiledSchema, path: Path, *, closed: bool = True) -> None:
        """Report what a schema finds wrong. One that is not `closed` leaves unknown fields to another."""
        data = value.data
        if data is None and rule.nullable:
            return
        if rule.is_bytes and isinstance(data, list):
            rule = self._compiler.find(_BYTES)
        if type(data) in rule.taken:
            return
        wanted = rule.types
        if wanted and type(data) not in rule.classes and not fits_type(data, wanted):
            message = describe_mismatch(data, wanted, quotes=self._quotes)
            self.report(value, path, message, suggest_value(path, convert(value.plain, wanted), data))
            return
        self._check_content(value, data, rule, path, closed=closed)
        if rule.has_choices:
            self._check_choices(value, rule.schema, path)
        for part in rule.all_of:
            self.check(value, self._compiler.find(part), path, closed=False)

    def _check_content(
        self, value: Value, data: Any, rule: CompiledSchema, path: Path, *, closed: bool
    ) -> None:
        match data:
            case dict():
                self._check_mapping(value, data, rule, path, closed=closed)
            case list():
                self._check_list(value, data, rule, path, closed=closed)
            case str() if rule.judges_text:
                self._check_text(value, data, rule.schema, path)
            case int() | float():
                self._check_number(value, data, rule, path)

    def _check_mapping(
        self, value: Value, data: dict[str, Value], rule: CompiledSchema, path: Path, *, closed: bool
    ) -> None:
        present = self._check_entries(data, rule, path, closed=closed)
        if rule.judges_size:
            self._check_presence(value, data, present, rule, path)
        if rule.is_embedded:
            self.check(value, self._compiler.find(_EMBEDDED), path, closed=False)
            if metadata := value.get("metadata"):
                check_metadata(self._found, metadata, (path, "metadata"))

    def _check_entries(
        self, data: dict[str, Value], rule: CompiledSchema, path: Path, *, closed: bool
    ) -> set[str]:
        """Check each entry of a mapping; return the keys that count as present."""
        present = set()
        for key, entry in data.items():
            if rule.key_form and (must := find_format_error(rule.key_form, key)):
                self.report(entry, (path, key), f"has a key that must be {must}")
            inner = rule.entries.get(key)
            if inner is None and (key in rule.properties or rule.others is not None):
                inner = self._compiler.find_entry(rule, key)
            if inner is None and closed and rule.is_closed:
                self._report_unknown(entry, key, rule.properties, (path, key))
            if entry.data is not None:
                present.add(key)
                if inner is not None and type(entry.data) not in inner.taken:
                    self.check(entry, inner, (path, key), closed=closed)
            elif inner is not None and inner.nullable and key in rule.properties:
                present.add(key)
        return present

    def _report_unknown(self, entry: Value, key: str, known: Mapping[str, Schema], path: Path) -> None:
        if not self._is_full:
            close = find_known_name(key, known)
            fix = replace_words(key, close) if close else remove(key)
            self.report(entry, path, describe_unknown(key, known), fix, unknown=True)

    def _check_presence(
        self, value: Value, data: dict[str, Value], present: set[str], rule: CompiledSchema, path: Path
    ) -> None:
        if self._structural:
            present.update(self._compiler.list_defaulted(rule))
        for key in rule.schema.get("required", ()):
            if key not in present:
                null = ", and null does not count" if key in data else ""
                self.report(data.get(key, value), (path, key), f"is required{null}", set_value(key, "VALUE"))
            elif not self._structural and data[key].data in ("", []):  # what Go cannot tell from absent
                self.report(data[key], (path, key), "is required, and empty does not count")
        self._check_size(value, len(present), rule.schema, path, "minProperties", "maxProperties", "fields")

    def _check_list(
        self, value: Value, data: list[Value], rule: CompiledSchema, path: Path, *, closed: bool
    ) -> None:
        schema = rule.schema
        items = self._compiler.find(schema.get("items", ANYTHING))
        zero = None if self._structural else _ZERO.get(next(iter(items.types), "string"))
        for index, element in enumerate(data):
            if element.data is None and not self._structural:
                if zero is None:
                    continue
                element = msgspec.structs.replace(element, data=zero)
            self.check(element, items, (path, index), closed=closed)
        self._check_size(value, len(data), schema, path, "minItems", "maxItems", "items")
        self._check_unique(data, schema, items, path)

    def _check_unique(self, data: list[Value], schema: Schema, items: CompiledSchema, path: Path) -> None:
        if len(data) < 2:
            return
        keys = schema.get("x-unique")
        if self._structural:
            is_set = schema.get("x-kubernetes-list-type") == "set"
            keys = schema.get("x-kubernetes-list-map-keys") or ([] if is_set else None)
        if keys is None:
            return
        first: dict[str, int] = {}
        for index, element in enumerate(data):
            identity = element.plain
            if keys:
                identity = [self._identify(element, items, key) for key in keys]
                if None in identity:
                    continue
            same = first.setdefault(json.dumps(identity, sort_keys=True), index)
            if same != index:
                what = " and ".join(keys) if keys else "value"
                self.report(element, (path, index), f"has the same {what} as item {same}")

    def _identify(self, element: Value, rule: CompiledSchema, key: str) -> Any:
        found = element.get(key)
        if found is not None:
            return found.plain if self._structural else found.plain or None
        return self._compiler.find(rule.properties.get(key, ANYTHING)).schema.get("default")

    def _check_size(
        self, value: Value, size: int, schema: Schema, path: Path, low: str, high: str, unit: str
    ) -> None:
        least, most = schema.get(low, 0), schema.get(high, size)
        if not least <= size <= most:
            bound = f"at least {least}" if size < least else f"at most {most}"
            self.report(value, path, schema.get("x-says", f"has {size} {unit}, must have {bound}"))

    def _check_text(self, value: Value, text: str, schema: Schema, path: Path) -> None:
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

    def _check_number(self, value: Value, number: float, rule: CompiledSchema, path: Path) -> None:
        schema = rule.schema
        if "integer" in rule.types:
            bits = 32 if schema.get("format") == "int32" else 64
            if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
                self.report(value, path, f"is {quote(number)}, must be an integer of {bits} bits")
        least, most = schema.get("minimum"), schema.get("maximum")
        if least is not None and number < least:
            self.report(
                value,
                path,
                f"is {quote(number)}, must be at least {least}",
                suggest_value(path, max(least, 1) if format_path(path).endswith(_COUNTS) else least),
            )
        if most is not None and number > most:
            self.report(
                value,
                path,
                f"is {quote(number)}, must be at most {most}",
                suggest_value(path, most if most != _LAST_PORT else "VALUE"),  # what listens tells the port
            )

    def _check_choices(self, value: Value, schema: Schema, path: Path) -> None:
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
        if "if" in schema and self._fits(value, schema["if"], path):
            self.check(value, self._compiler.find(schema["then"]), path, closed=False)

    def _fits(self, value: Value, schema: Schema, path: Path) -> bool:
        found: dict[str, SchemaViolation] = {}
        judge = SchemaValidator(found, self._compiler)
        judge.check(value, self._compiler.find(schema), path, closed=False)
        return not found


def check_metadata(found: dict[str, SchemaViolation], metadata: Value, path: Path) -> None:
    """Hold the metadata of an object against what every kind has."""
    meta = kinds.object_meta()
    SchemaValidator(found, meta.compiler).check(metadata, meta.compiler.find(meta.schema), path)


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
