"""The rules of custom kinds that are written in CEL, evaluated as the API server does for a new object.

The server asks them when the rest of the schema holds, of the object as it will be stored: defaults are
filled in and nulls are dropped.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from dynocheck.facts import Value, parse_quantity
from dynocheck.schema.apiserver_rules import Schema
from dynocheck.schema.compiler import ANYTHING, CompiledSchema, SchemaCompiler
from dynocheck.schema.messages import Path

RULES = "x-kubernetes-validations"
# Words of CEL that a property may be called too, which a rule then writes as __word__.
_RESERVED = frozenset(
    """as break const continue else false for function if import in let loop namespace null package
    return true var void while""".split()  # noqa: SIM905
)

_TEXT = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")
_SELF = re.compile(r"\bself\b(?:\.(\w+)\b(?!\s*\())?")  # with a field of it, and no method
_FUNCTIONS = frozenset(
    """all bool charAt contains double duration endsWith exists exists_one filter has hasValue in indexOf int
    isGreaterThan join lastIndexOf lowerAscii map matches optMap orValue quantity replace size split
    startsWith string substring timestamp trim type uint upperAscii value""".split()  # noqa: SIM905
)

_MAX_QUANTITY = 2**64  # of a quantity: what is larger makes no difference to a rule

RuleViolation = tuple[Value, Path, str]  # where, its path, what is wrong


def explain_no_rules() -> str:
    """Why rules cannot be evaluated; empty if they can. Not every platform has the interpreter of CEL."""
    try:
        import cel_expr_python.cel  # noqa: F401
    except ModuleNotFoundError:
        return "cel-expr-python is not installed"
    except (ImportError, MemoryError) as error:  # such as a limit of memory
        return f"cel-expr-python cannot be loaded: {error or 'out of memory'}"
    return ""


def is_evaluable(rule: str) -> bool:
    """Whether all that a rule calls is known here, and it is CEL at all."""
    called = set(_CALL.findall(_TEXT.sub("", rule)))
    if not called <= _FUNCTIONS or explain_no_rules():
        return False
    try:
        _compile_rule(rule)
    except RuntimeError:  # a mistake in it
        return False
    return True


def find_broken_rules(root: Value, schema: CompiledSchema, compiler: SchemaCompiler) -> list[RuleViolation]:
    """Each place of a valid object that breaks a rule, and what the rule says.

    :param compiler: that of the schema.
    """
    asked = _RuleEvaluator(compiler)
    asked.evaluate(root, schema, "")
    return asked.violations


class _RuleEvaluator:
    """Walks an object, and asks each rule of what it stands at."""

    def __init__(self, compiler: SchemaCompiler) -> None:
        self.violations: list[RuleViolation] = []
        self._compiler = compiler
        self._anything = compiler.find(ANYTHING)

    def evaluate(self, value: Value, compiled: CompiledSchema, path: Path) -> Any:
        """The value as the server would store it, in the names that rules use."""
        data: Any = value.data
        if isinstance(data, dict):
            data = dict(self._evaluate_entries(value, data, compiled, path))
        elif isinstance(data, list):
            items = self._compiler.find(compiled.schema.get("items", ANYTHING))
            data = [self.evaluate(element, items, (path, n)) for n, element in enumerate(data)]
        for rule in compiled.schema.get(RULES, ()):
            if (wrong := _find_error(rule, data)) is not None:
                self.violations.append((value, path, wrong))
        return data

    def _evaluate_entries(
        self, value: Value, data: dict[str, Value], compiled: CompiledSchema, path: Path
    ) -> Iterator[tuple[str, Any]]:
        properties = compiled.properties
        for key, entry in data.items():
            inner = compiled.entries.get(key) or self._compiler.find_entry(compiled, key) or self._anything
            if entry.data is None and (not inner.nullable or inner.has_default):
                continue
            yield _escape_name(key, properties), self.evaluate(entry, inner, (path, key))
        for key in self._compiler.list_defaulted(compiled):
            if key not in data or data[key].data is None:
                inner = self._compiler.find(properties[key])
                filled = _place_default(inner.schema["default"], value)
                yield _escape_name(key, properties), self.evaluate(filled, inner, (path, key))


def _escape_name(key: str, properties: Mapping[str, Schema]) -> str:
    return f"__{key}__" if key in _RESERVED and key in properties else key


def _place_default(data: Any, at: Value) -> Value:
    """A default as a value that stands where it was left out."""
    if isinstance(data, dict):
        data = {key: _place_default(entry, at) for key, entry in data.items()}
    elif isinstance(data, list):
        data = [_place_default(element, at) for element in data]
    return msgspec.structs.replace(at, data=data)


def _find_error(rule: Mapping[str, str], data: Any) -> str | None:
    """What a rule says of this, or None when it holds. One that cannot be evaluated refuses, too."""
    if isinstance(data, dict) and (fields := _list_fields(rule["rule"])) is not None:
        data = {name: data[name] for name in fields if name in data}  # CEL copies all that it is given
    result = _compile_rule(rule["rule"]).eval(data={"self": data})
    says = str(result.plain_value())
    if result.type().name() == "ERROR":
        return f"breaks the rule '{rule['message']}': {says.removeprefix('UNKNOWN: ')}"
    return None if says == "True" else rule["message"]


@functools.cache
def _list_fields(rule: str) -> tuple[str, ...] | None:
    """The fields that a rule reads of itself; None if it may read any."""
    selves = [found[1] for found in _SELF.finditer(_TEXT.sub("", rule))]
    return None if None in selves else tuple(dict.fromkeys(selves))


@functools.cache
def _compile_rule(rule: str) -> Any:
    # What is created has no old self.
    return _create_environment().compile(rule.replace("oldSelf", "optional.none()"), disable_check=True)


@functools.cache
def _create_environment() -> Any:
    """CEL with what Kubernetes adds to it and the known rules use."""
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_optional, ext_strings

    text, number, truth = cel.Type.STRING, cel.Type.DOUBLE, cel.Type.BOOL
    amount = cel.Overload(
        "quantity_string",
        return_type=number,
        parameters=[text],
        is_member=False,
        impl=lambda written: float(min(parse_quantity(written) or 0, _MAX_QUANTITY)),
    )
    greater = cel.Overload(
        "quantity_greater",
        return_type=truth,
        parameters=[number, number],
        is_member=True,
        impl=lambda one, other: one > other,
    )
    return cel.NewEnv(
        variables={"self": cel.Type.DYN},
        extensions=[ext_strings.ExtStrings(), ext_optional.ExtOptional()],
        functions=[
            cel.FunctionDecl("quantity", [amount]),
            cel.FunctionDecl("isGreaterThan", [greater]),
        ],
    )
