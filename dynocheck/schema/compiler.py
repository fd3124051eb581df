"""Schemas prepared for holding many values against them."""

from collections.abc import Mapping
from functools import cache

from dynocheck.schema.apiserver_rules import Schema

ANYTHING: Schema = {}
_EXACT_TYPES = {"array": list, "boolean": bool, "integer": int, "number": int, "object": dict, "string": str}
_UNBOUNDED = frozenset((bool, str))  # a number has limits, if only those of its bits
_CHOICES = frozenset(("enum", "anyOf", "oneOf", "not", "if"))
_OF_SIZE = frozenset(("required", "minProperties", "maxProperties"))
_OF_TEXT = frozenset(("format", "maxLength", "minLength", "pattern"))
_OPEN = ("additionalProperties", "x-kubernetes-preserve-unknown-fields")


class CompiledSchema:
    """A schema without references of its own, and what is asked of it for every value.

    `types` are the names of the types that it takes, and `classes` the Python classes that surely are of
    these; every value of the classes in `taken` fits. `entries` are those of its properties that were
    compiled. `structural` is that of its kind: see `KindSchema`.
    """

    __slots__ = (
        *("all_of", "classes", "defaulted", "entries", "has_choices", "has_default", "is_bytes"),
        *("is_closed", "is_embedded", "judges_size", "judges_text", "key_form", "nullable", "others"),
        *("properties", "schema", "source", "taken", "types"),
    )

    def __init__(self, source: Schema, schema: Schema, properties: Mapping[str, Schema], *, structural: bool):
        self.source = source  # kept, so that no other schema gets its id
        self.schema = schema
        self.properties = properties
        others = schema.get("additionalProperties")
        self.others: Schema | None = others if isinstance(others, dict) else None
        self.key_form: str = schema.get("propertyNames", {}).get("format", "")
        self.types = _list_types(schema)
        self.classes = _list_classes(self.types)
        self.entries: dict[str, CompiledSchema] = {}
        self.defaulted: tuple[str, ...] | None = None  # of its properties, once they were asked for
        self.nullable = bool(schema.get("nullable"))
        self.has_default = "default" in schema
        self.all_of: list[Schema] = schema.get("allOf", [])
        self.has_choices = not _CHOICES.isdisjoint(schema)
        self.judges_size = not _OF_SIZE.isdisjoint(schema)
        self.judges_text = not _OF_TEXT.isdisjoint(schema)
        self.is_embedded = bool(schema.get("x-kubernetes-embedded-resource"))
        self.is_bytes = not structural and schema.get("format") == "byte"
        judges_scalars = self.judges_text or self.has_choices or self.all_of or self.is_bytes
        self.taken = _list_unbounded(() if judges_scalars else self.types)
        self.is_closed = (
            not any(schema.get(word) for word in _OPEN)
            if structural
            else "properties" in schema and "additionalProperties" not in schema
        )


class SchemaCompiler:
    """Compiles the schemas that share definitions, each once.

    :param definitions: what references name.
    :param structural: they are of custom kinds: see `KindSchema`.
    """

    def __init__(self, definitions: Mapping[str, Schema], *, structural: bool) -> None:
        self.definitions = definitions
        self.structural = structural
        self._compiled: dict[int, CompiledSchema] = {}

    def find(self, schema: Schema) -> CompiledSchema:
        """The compiled form of a schema that lives as long as the definitions do."""
        found = self._compiled.get(id(schema))
        if found is None:
            found = self._compiled[id(schema)] = self.compile(schema)
        return found

    def compile(self, schema: Schema) -> CompiledSchema:
        """The compiled form of a schema that is used once."""
        resolved = self._resolve(schema)
        properties = self._resolve(resolved.get("properties", {}))  # shared as a whole by several
        return CompiledSchema(schema, resolved, properties, structural=self.structural)

    def find_entry(self, compiled: CompiledSchema, key: str) -> CompiledSchema | None:
        """The compiled form of what a mapping has under a key; None if its schema does not say."""
        if key in compiled.properties:
            found = compiled.entries[key] = self.find(compiled.properties[key])
            return found
        return None if compiled.others is None else self.find(compiled.others)

    def list_defaulted(self, compiled: CompiledSchema) -> tuple[str, ...]:
        """The properties of a mapping that have a default."""
        if compiled.defaulted is None:
            compiled.defaulted = tuple(
                key for key, schema in compiled.properties.items() if self.find(schema).has_default
            )
        return compiled.defaulted

    def _resolve(self, schema: Schema) -> Schema:
        while isinstance(reference := schema.get("$ref"), str):  # else it is a property of that name
            target = self.definitions[reference.rpartition("/")[2]]
            beside = {key: rule for key, rule in schema.items() if key not in ("$ref", "description")}
            schema = target | beside if beside else target
        return schema


@cache  # schemas are many, and their types few
def _list_classes(types: tuple[str, ...]) -> frozenset[type]:
    return frozenset(_EXACT_TYPES[name] for name in types)


@cache
def _list_unbounded(types: tuple[str, ...]) -> frozenset[type]:
    return _list_classes(types) & _UNBOUNDED


def _list_types(schema: Schema) -> tuple[str, ...]:
    given = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    return (given,) if isinstance(given, str) else tuple(name for name in given or () if name != "null")
