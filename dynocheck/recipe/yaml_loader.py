"""Loads YAML as values with positions, as the consumer of the file would read it.

Manifests are read like kubectl does (sigs.k8s.io/yaml on go-yaml v2, document by document), the files of
engines like Python's yaml. libyaml yields the events; the tree is built here, without recursion, since
PyYAML's composer and constructor limit neither depth nor aliases, and drop the positions.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import yaml

from dynocheck.facts import Problem, Value
from dynocheck.recipe import yaml_scalars

MAX_DEPTH = 200
_HARD_BLANK = "a no-break space, which is no blank to YAML: the key before it is not seen"
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
MAX_OBJECTS = 10_000  # JSON objects in one file
MAX_REPEATED = 100  # reported duplicate keys of one file
MAX_VALUES = 500_000  # after expansion of aliases, against "billion laughs" attacks

_Place = Callable[[yaml.Mark], tuple[int, int]]

_TEXT_AFTER_SEPARATOR = re.compile(r"^---[^\S\n]*[^\s#]", re.MULTILINE)
_INNER_MARK = re.compile("^(---.*\n)\ufeff", re.MULTILINE)  # each of several concatenated files may have one
_JSON_SLASH = re.compile(r"(?<!\\)(?:\\\\)*\\/")
_LITERAL = re.compile(r"(?:[&!]\S*\s+)*\|")
_BLANKS = re.compile(r"[ \t\r\n]*")
_OBJECT = re.compile(r"[ \t\r\n]*\{")
_NEXT_OBJECT = re.compile(r"\}\s*\{")
_JSON = json.JSONDecoder()
_MERGE_TAG = "tag:yaml.org,2002:merge"


class _InvalidYaml(Exception):
    def __init__(self, message: str, mark: yaml.Mark) -> None:
        super().__init__(message)
        self.message = message
        self.mark = mark


class _OpenCollection:
    """A mapping or sequence whose end has not been read yet."""

    __slots__ = ("anchor", "elements", "entries", "key", "place", "size", "written")

    def __init__(self, place: tuple[int, int], anchor: str | None, *, is_mapping: bool) -> None:
        self.entries: dict[str, Value] | None = {} if is_mapping else None
        self.elements: list[Value] = []
        self.written: dict[str, int] = {}  # line of each key, except merged ones
        self.anchor = anchor
        self.place = place
        self.key: tuple[str | None, Value] | None = None
        self.size = 1

    def close(self) -> Value:
        return Value(self.elements if self.entries is None else self.entries, *self.place)


def read_documents(text: str, problems: list[Problem]) -> list[Value]:
    """Read the documents of a manifest file, up to the first fatal error. Invalid content never raises.

    :param text: the contents of the file.
    :param problems: errors are appended to it.
    """
    separator = _TEXT_AFTER_SEPARATOR.search(text)
    if separator:
        line = text.count("\n", 0, separator.start()) + 1
        problems.append(Problem("text after --- on its line: kubectl rejects it", line, 4))
        text = text[: separator.start()]
    starts = _find_json_objects(text)
    if starts:
        return list(_read_json_objects(text, starts, problems))
    return _parse_documents(
        _INNER_MARK.sub(r"\1", text), problems, lambda mark: (mark.line + 1, mark.column + 1)
    )


def _find_json_objects(text: str) -> list[int]:
    """The offsets of concatenated JSON objects, as jq writes and kubectl reads them; empty if there are fewer
    than two, or anything else.
    """
    starts: list[int] = []
    if not (_OBJECT.match(text) and _NEXT_OBJECT.search(text)):
        return starts
    end = _skip_blanks(text, 0)
    while end < len(text) and len(starts) < MAX_OBJECTS:
        starts.append(end)
        try:
            _, end = _JSON.raw_decode(text, end)
        except (ValueError, RecursionError):
            return []
        end = _skip_blanks(text, end)
    return starts if len(starts) > 1 and end == len(text) else []


def _skip_blanks(text: str, start: int) -> int:
    """The offset behind the blanks at an offset."""
    blanks = _BLANKS.match(text, start)
    return blanks.end() if blanks else start


def _read_json_objects(text: str, starts: Sequence[int], problems: list[Problem]) -> Iterator[Value]:
    line, row, before = 1, -1, 0
    for start, end in pairwise([*starts, len(text)]):
        line, row = line + text.count("\n", before, start), max(row, text.rfind("\n", before, start))
        before = start
        yield from _parse_documents(text[start:end], problems, _offset_places(line, start - row))


def _offset_places(line: int, column: int) -> _Place:
    return lambda mark: (line + mark.line, mark.column + (1 if mark.line else column))


def read_embedded(value: Value, lines: Sequence[str], part: str | None = None, line: int = 0) -> Value | None:
    """The YAML in a string of a file, as an engine reads it; None if it is invalid. See `parse_embedded`."""
    return parse_embedded(value, lines, part, line)[0]


def parse_embedded(
    value: Value, lines: Sequence[str], part: str | None = None, line: int = 0
) -> tuple[Value | None, Problem | None]:
    """The YAML in a string of a file, as an engine reads it; if it is invalid, its first error.

    :param value: the string. In a literal block each value has its own position, else that of the string.
    :param lines: the lines of the file.
    :param part: the YAML, if it is not all of the string, such as a file that a script writes.
    :param line: where that starts in the string, from 0.
    """
    text = (value.text or "") if part is None else part
    problems: list[Problem] = []
    place = _locate_within(value, lines)
    shift: _Place = lambda mark: place(yaml.Mark("", 0, mark.line + line, mark.column, None, 0))  # noqa: E731
    documents = _parse_documents(text, problems, shift if line else place, applied=False)
    broken = next((problem for problem in problems if problem.fatal), None)
    return (documents[0] if len(documents) == 1 and broken is None else None), broken


def is_literal(value: Value, lines: Sequence[str]) -> bool:
    """Whether a string is a literal block (`|`), line by line below its position."""
    return value.line <= len(lines) and bool(_LITERAL.match(lines[value.line - 1], value.column - 1))


def _locate_within(value: Value, lines: Sequence[str]) -> _Place:
    indent = _measure_indent(value.text or "", lines[value.line :]) if is_literal(value, lines) else None
    if indent is None:
        return lambda _: (value.line, value.column)
    below = value.line + 1
    column = indent + 1
    return lambda mark: (below + mark.line, column + mark.column)


def _measure_indent(text: str, rows: Sequence[str]) -> int | None:
    """The indentation of a literal block: that of its first line in the file; None if unclear."""
    for line, row in zip(text.splitlines(), rows, strict=False):
        if line.strip():
            return len(row) - len(line) if row.endswith(line) else None
    return None


def _parse_documents(
    text: str, problems: list[Problem], place: _Place, *, applied: bool = True
) -> list[Value]:
    builder = _Builder(text, problems, place, applied=applied)
    try:
        for event in iter(yaml.CSafeLoader(text).get_event, None):
            builder.take(event)
    except _InvalidYaml as broken:
        problems.append(Problem(broken.message, *place(broken.mark)))
    except yaml.MarkedYAMLError as error:
        mark = _find_broken_place(error, text)
        message = error.problem or error.context or "not YAML"
        if mark is not None and (hard := _find_hard_blank(text, mark)) is not None:
            message, mark = _HARD_BLANK, hard
        elif mark is not None and (deep := _find_too_deep(text[: mark.index])) is not None:
            message, mark = _TOO_DEEP, deep
        problems.append(Problem(message, *(place(mark) if mark is not None else ())))
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n")
        problems.append(Problem(error.reason, *place(yaml.Mark("", 0, line, 0, None, 0))))
    except UnicodeEncodeError:
        problems.append(Problem("a character that cannot be encoded"))
    return builder.documents


def _find_hard_blank(text: str, near: Any) -> Any:
    """The mark of a no-break space behind a colon, in the line of an error or the one above it; or None."""
    rows = text.splitlines()
    for line in (near.line, near.line - 1):
        column = rows[line].find(":\u00a0") if 0 <= line < len(rows) else -1
        if column >= 0:
            return yaml.Mark("", 0, line, column + 1, None, 0)
    return None


def _find_broken_place(error: yaml.MarkedYAMLError, text: str) -> Any:
    """The mark of what is wrong. Of a bracket or quote that stays open it is the beginning: its end is missed
    only where lines are indented no further or the text ends.
    """
    opened, missed = error.context_mark, error.problem_mark
    if opened is None or missed is None:
        return missed or opened
    first, *after = text.splitlines()[opened.line : missed.line + 1] or [""]
    left = any(_count_blanks(line) <= _count_blanks(first) for line in after if line.strip())
    in_brackets = "flow" in (error.context or "") and left
    return opened if in_brackets or not text[missed.index :].strip() else missed


def _count_blanks(line: str) -> int:
    return len(line) - len(line.lstrip(" -"))


def _find_too_deep(text: str) -> Any:
    """The mark at which the text is nested too deep, or None. libyaml scans ahead, and since 0.2.6 has a
    limit of its own, so it can refuse a text before it yields the events that would show this.
    """
    depth = 0
    with contextlib.suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                return event.start_mark
    return None


class _Builder:
    """Builds documents from the events of libyaml."""

    def __init__(self, text: str, problems: list[Problem], place: _Place, *, applied: bool) -> None:
        self.documents: list[Value] = []
        self._text = text
        self._problems = problems
        self._place = place
        self._applied = applied
        self._is_json = text.lstrip().startswith("{")
        self._anchors: dict[str, tuple[Value, int]] = {}
        self._stack: list[_OpenCollection] = []
        self._size = 0

    def take(self, event: Any) -> None:
        kind = type(event)  # compared by identity, the commonest first: this is the loop of all loading
        if kind is yaml.ScalarEvent:
            value = Value(self._read_scalar(event), *self._place(event.start_mark))
            self._complete(value, 1, event, event.anchor)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._open(event)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            done = self._stack.pop()
            self._complete(done.close(), done.size, event, done.anchor)
        elif kind is yaml.AliasEvent:
            if event.anchor not in self._anchors:
                raise _InvalidYaml(f"alias *{event.anchor} has no anchor before it", event.start_mark)
            self._complete(*self._anchors[event.anchor], event, None)
        elif kind is yaml.DocumentStartEvent:
            self._anchors.clear()
            if self._applied and (event.version or event.tags):
                raise _InvalidYaml("a directive (%...): kubectl supports none", event.start_mark)

    def _open(self, event: Any) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise _InvalidYaml(_TOO_DEEP, event.start_mark)
        key = self._stack[-1].key if self._stack else None
        place = self._place(event.start_mark)
        if key is not None and not event.flow_style:
            place = (key[1].line, key[1].column)  # a block below its key has the position of the key
        self._stack.append(
            _OpenCollection(place, event.anchor, is_mapping=isinstance(event, yaml.MappingStartEvent))
        )

    def _complete(self, value: Value, size: int, event: Any, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = (value, size)
        parent = self._stack[-1] if self._stack else None
        total = (self._size if parent is None else parent.size) + size
        if total > MAX_VALUES:
            raise _InvalidYaml(f"more than {MAX_VALUES} values once aliases are expanded", event.start_mark)
        if parent is None:
            self._size = total
            if value.data is not None:
                self.documents.append(value)
            return
        parent.size = total
        if parent.entries is None:
            parent.elements.append(value)
        elif parent.key is None:
            parent.key = (self._read_key(value, event), value)
        else:
            self._add_entry(parent, parent.entries, value, event)
            parent.key = None

    def _read_key(self, value: Value, event: Any) -> str | None:
        """The name of a key, or None for the merge key `<<`."""
        if isinstance(value.data, (dict, list)) or value.data is None:
            raise _InvalidYaml("a key must be a string", event.start_mark)
        if type(event) is yaml.ScalarEvent:
            merges = event.value == "<<" and (event.implicit[0] or event.tag == _MERGE_TAG)
            return None if merges else yaml_scalars.format_key(value.data, event.value)
        return yaml_scalars.format_key(value.data, str(value.data))

    def _add_entry(
        self, parent: _OpenCollection, entries: dict[str, Value], value: Value, event: Any
    ) -> None:
        assert parent.key is not None
        name, at = parent.key
        if name is None:
            self._merge(parent, entries, value, event)
            return
        if name in parent.written and len(self._problems) < MAX_REPEATED:
            message = f'key "{name}" is also on line {parent.written[name]}'
            fix = f"remove {name}   # here, or on line {parent.written[name]}"
            self._problems.append(Problem(message, at.line, at.column, fatal=False, fix=fix))
        entries[name] = value
        parent.written[name] = at.line

    def _merge(self, parent: _OpenCollection, entries: dict[str, Value], value: Value, event: Any) -> None:
        """Merge `<<`: for go-yaml it replaces the keys before it, for Python no explicit key."""
        merged = value.data if isinstance(value.data, list) else [value]
        for mapping in reversed(merged):
            if not isinstance(mapping.data, dict):
                raise _InvalidYaml("<< takes a mapping or a list of them", event.start_mark)
            kept = () if self._applied else parent.written
            entries.update((k, v) for k, v in mapping.data.items() if k not in kept)

    def _read_scalar(self, event: Any) -> yaml_scalars.YamlScalar:
        text: str = event.value
        if_plain, if_quoted = event.implicit
        if not self._applied:
            return text if if_quoted else yaml_scalars.parse_as_python(text, None if if_plain else event.tag)
        if event.style == '"' and "/" in text and not self._is_json:
            written = self._text[event.start_mark.index : event.end_mark.index]
            if _JSON_SLASH.search(written):
                raise _InvalidYaml(r"\/ is a JSON escape: kubectl rejects it in YAML", event.start_mark)
        try:
            if if_plain:
                return text if event.tag == "!" else yaml_scalars.parse_as_kubectl(text)
            return text if if_quoted else yaml_scalars.parse_tagged(event.tag, text)
        except yaml_scalars.ScalarError as error:
            raise _InvalidYaml(str(error), event.start_mark) from None
