"""YAML to values with positions, read as Kubernetes' own reader (sigs.k8s.io/yaml on go-yaml v2) does.

PyYAML's events are taken from libyaml; the tree is built here, without recursion, because neither a
composer nor a constructor of PyYAML bounds depth or aliases, and both lose the positions.
"""

import re
from typing import Any, NamedTuple

import yaml

from dynocheck.facts.recipe import Problem, Value

MAX_DEPTH = 200
MAX_VALUES = 500_000  # after aliases are expanded: a bomb multiplies, a manifest does not

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_FLOAT_WORDS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


class _Broken(Exception):
    def __init__(self, message: str, mark: yaml.Mark) -> None:
        super().__init__(message)
        self.problem = Problem(message, mark.line + 1, mark.column + 1)


class _Anchored(NamedTuple):
    value: Value
    size: int


class _Open:
    """A collection whose end has not come yet."""

    def __init__(self, place: tuple[int, int], anchor: str | None, *, is_mapping: bool) -> None:
        self.entries: dict[str, Value] | None = {} if is_mapping else None
        self.elements: list[Value] = []
        self.merged: list[Value] = []
        self.anchor = anchor
        self.place = place
        self.key: Value | None = None
        self.size = 1

    def close(self) -> Value:
        if self.entries is None:
            return Value(self.elements, *self.place)
        entries = self.entries
        for merged in self.merged:
            if isinstance(merged.data, dict):
                entries = {**merged.data, **entries}
        return Value(entries, *self.place)


def read(text: str, problems: list[Problem], *, at: tuple[int, int] = (1, 1)) -> list[Value]:
    """The documents of a YAML file, up to the first fatal problem.

    :param text: what the file holds.
    :param problems: gets what is wrong with it. Bad content never raises.
    :param at: the line and column that its first character has in the file around it.
    """
    builder = _Builder(problems, *at)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except _Broken as broken:
        problems.append(broken.problem)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        says = error.problem or error.context or "not YAML"
        place = (mark.line + 1, mark.column + 1) if mark is not None else ()
        problems.append(Problem(says, *place))
    except yaml.reader.ReaderError as error:
        problems.append(Problem(error.reason, text.count("\n", 0, error.position) + 1))
    return builder.documents


class _Builder:
    """Takes libyaml's events one by one and keeps the documents they make."""

    def __init__(self, problems: list[Problem], line: int, column: int) -> None:
        self.documents: list[Value] = []
        self._problems = problems
        self._line = line
        self._column = column
        self._anchors: dict[str, _Anchored] = {}
        self._stack: list[_Open] = []

    def take(self, event: Any) -> None:
        mark: Any = event.start_mark
        match event:
            case yaml.ScalarEvent():
                value = Value(_scalar(event), *self._place(mark))
                self._complete(value, 1, event.anchor, mark)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = self._stack.pop()
                self._complete(done.close(), done.size, done.anchor, mark)
            case yaml.AliasEvent():
                if event.anchor not in self._anchors:
                    raise _Broken(f"alias *{event.anchor} has no anchor before it", mark)
                self._complete(*self._anchors[event.anchor], None, mark)
            case yaml.DocumentStartEvent():
                self._anchors.clear()

    def _place(self, mark: yaml.Mark) -> tuple[int, int]:
        return mark.line + self._line, mark.column + self._column

    def _open(self, event: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise _Broken(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        key = self._stack[-1].key if self._stack else None
        below_key = key is not None and not event.flow_style
        place = (key.line, key.column) if key and below_key else self._place(event.start_mark)
        self._stack.append(_Open(place, event.anchor, is_mapping=isinstance(event, yaml.MappingStartEvent)))

    def _complete(self, value: Value, size: int, anchor: str | None, mark: yaml.Mark) -> None:
        if anchor:
            self._anchors[anchor] = _Anchored(value, size)
        if not self._stack:
            if value.data is not None:
                self.documents.append(value)
            return
        parent = self._stack[-1]
        parent.size += size
        if parent.size > MAX_VALUES:
            raise _Broken(f"more than {MAX_VALUES} values once aliases are expanded", mark)
        if parent.entries is None:
            parent.elements.append(value)
        elif parent.key is None:
            if isinstance(value.data, (dict, list)) or value.data is None:
                raise _Broken("a key must be a string", mark)
            parent.key = value
        else:
            self._enter(parent, parent.entries, parent.key, value)
            parent.key = None

    def _enter(self, parent: _Open, entries: dict[str, Value], key: Value, value: Value) -> None:
        name = _key_text(key)
        if name == "<<":
            parent.merged.extend(value.data if isinstance(value.data, list) else [value])
            return
        if name in entries:
            message = f'key "{name}" stands here and on line {entries[name].line}'
            self._problems.append(Problem(message, key.line, key.column, fatal=False))
        entries[name] = value


def _key_text(key: Value) -> str:
    if isinstance(key.data, bool):
        return "true" if key.data else "false"
    return str(key.data)


def _scalar(event: Any) -> bool | int | float | str | None:
    text: str = event.value
    if_plain, if_quoted = event.implicit
    if if_plain:
        return _resolve(text)
    return text if if_quoted else _tagged(event.tag, text)


def _tagged(tag: str, text: str) -> bool | int | float | str | None:
    if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool"):
        return _resolve(text)
    return None if tag == "tag:yaml.org,2002:null" else text


def _resolve(text: str) -> bool | int | float | str | None:
    if len(text) <= 5 and text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    digits = text.replace("_", "")
    if len(digits) < 100 and _INTEGER.fullmatch(digits):
        return _integer(digits)
    if len(digits) < 100 and _FLOAT.fullmatch(digits):
        return float(digits)
    if _FLOAT_WORDS.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


def _integer(digits: str) -> int:
    unsigned = digits.lstrip("+-")
    if len(unsigned) > 1 and unsigned[0] == "0" and unsigned[1].isdigit():
        digits = digits.replace("0", "0o", 1)
    return int(digits, 0)
