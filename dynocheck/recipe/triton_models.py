"""Reads the config.pbtxt of Triton's models: protobuf's text format, by the messages that Triton declares.

The format: https://protobuf.dev/reference/protobuf/textformat-spec/. It stops at the first error, as Triton.
"""

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from dynocheck.core.suggestions import suggest
from dynocheck.data.triton import read_triton_fields
from dynocheck.facts import Problem, TritonModel, Value
from dynocheck.recipe.files import escape_path, read_text

CONFIG = "config.pbtxt"
_ROOT = "ModelConfig"
_DEEPEST = 50
_REPEATED, _MAP = "repeated ", "map "
_TOKEN = re.compile(
    r"(?P<blank>\s+|#[^\n]*)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<number>-?\s?\.?\d[\w.]*(?:(?<=[eE])[-+]\d+)?)"
    r"|(?P<text>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<template>\$\{\w+\})"
    r"|(?P<mark>.)",
    re.DOTALL,
)
_CLOSING = {"{": "}", "<": ">"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_BOOLEANS = {"true": True, "True": True, "t": True, "1": True}
_BOOLEANS |= {"false": False, "False": False, "f": False, "0": False}
_WHOLE = re.compile(r"-?\s?(0[xX][0-9a-fA-F]{1,16}|0[0-7]{1,22}|\d{1,20})")
_REAL = re.compile(r"-?\s?(\d{1,99}\.?\d{0,99}|\.\d{1,99})([eE][-+]?\d{1,3})?[fF]?")

_Place = Callable[[int, int], tuple[int, int]]


class _Token(NamedTuple):
    kind: str  # name, number, text, template or mark; end behind the last
    text: str
    line: int
    column: int


class _InvalidConfigError(Exception):
    def __init__(self, message: str, token: _Token) -> None:
        super().__init__(message)
        self.message, self.token = message, token


def read_triton_model(text: str, path: str, file: str, place: _Place) -> TritonModel:
    """The configuration of a model.

    :param path: of the configuration, in its container or as the user would write it.
    :param file: the recipe's file that has it.
    :param place: the line and column in that file, by those in the text.
    """
    try:
        root = _Parser(text, place).read_message(_ROOT, "")
    except _InvalidConfigError as error:
        at = place(error.token.line, error.token.column)
        is_open = error.token.kind == "template"
        return TritonModel(path, file, Value({}, *at), Problem(error.message, *at), template=is_open)
    return TritonModel(path, file, root, template="${" in text)


def read_triton_folder(folder: Path, leaves: Collection[str]) -> Iterator[TritonModel]:
    """The model that a folder of a model repository configures, if it does.

    :param leaves: the names of the folder's files.
    """
    if CONFIG in leaves:
        path = escape_path(folder / CONFIG)
        try:
            text = read_text(folder / CONFIG)
        except (OSError, UnicodeDecodeError) as error:
            yield TritonModel(path, path, Value({}, 1, 1), Problem(f"cannot be read: {type(error).__name__}"))
        else:
            yield read_triton_model(text, path, path, lambda line, column: (line, column))


def _tokenize(text: str) -> Iterator[_Token]:
    line, start = 1, 0
    for found in _TOKEN.finditer(text):
        if found.lastgroup != "blank":
            yield _Token(found.lastgroup or "", found[0], line, found.start() - start + 1)
        if "\n" in found[0]:
            line, start = line + found[0].count("\n"), found.start() + found[0].rindex("\n") + 1
    yield _Token("end", "", line, len(text) - start + 1)


class _Parser:
    """Reads messages from tokens. Each message is a mapping; what may be repeated in it is a sequence."""

    def __init__(self, text: str, place: _Place) -> None:
        self._tokens = _tokenize(text)
        self._next = next(self._tokens)
        self._place = place
        self._depth = 0
        self._fields = read_triton_fields()

    def read_message(self, message: str, closing: str) -> Value:
        """The message up to a mark; the empty one is the end of the text."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _InvalidConfigError("nested too deeply", self._next)
        fields: dict[str, Value] = {}
        known = self._list_fields(message)
        start = self._locate(self._next)
        while self._next.text != closing or self._next.kind not in ("mark", "end"):
            name = self._take()
            if name.kind != "name":
                raise _InvalidConfigError(f"{_describe(name)} where the name of a field is to be", name)
            if name.text not in known:
                meant = suggest(name.text, known)
                raise _InvalidConfigError(f"{message} has no field {name.text}{meant}", name)
            self._read_field(fields, name, known[name.text])
        self._take()
        self._depth -= 1
        return Value(fields, *start)

    def _list_fields(self, message: str) -> dict[str, str]:
        """The fields of a message; protobuf writes an entry of a map as one too."""
        if message.startswith(_MAP):
            _, key, value = message.split()
            return {"key": key, "value": value}
        return self._fields.messages[message]

    def _read_field(self, fields: dict[str, Value], name: _Token, declared: str) -> None:
        kind = declared.removeprefix(_REPEATED)
        if not self._skip(":") and not self._is_message(kind):
            raise _InvalidConfigError(f"{_describe(self._next)} where : is to be", self._next)
        place = self._locate(name)
        if kind == declared and not declared.startswith(_MAP):
            if name.text in fields:
                raise _InvalidConfigError(f"{name.text} is given twice", name)
            fields[name.text] = Value(self._read(kind).data, *place)
        else:
            found = self._read_list(kind) if self._next.text == "[" else [self._read(kind)]
            before = fields.get(name.text)
            if declared.startswith(_MAP):
                entries = dict(before.mapping) if before is not None else {}
                entries |= {str(e.mapping["key"].data): e.mapping["value"] for e in found if _is_entry(e)}
                fields[name.text] = Value(entries, *place)
            else:
                fields[name.text] = Value([*(before.sequence if before is not None else ()), *found], *place)
        if not self._skip(","):
            self._skip(";")

    def _is_message(self, kind: str) -> bool:
        return kind.startswith(_MAP) or kind in self._fields.messages

    def _read_list(self, kind: str) -> list[Value]:
        self._take()
        found: list[Value] = []
        while not self._skip("]"):
            if found and not self._skip(","):
                raise _InvalidConfigError(f"{_describe(self._next)} where , or ] is to be", self._next)
            found.append(self._read(kind))
        return found

    def _read(self, kind: str) -> Value:
        token = self._take()
        if self._is_message(kind):
            if token.text not in _CLOSING or token.kind != "mark":
                raise _InvalidConfigError(f"{_describe(token)} where {{ is to be", token)
            return self.read_message(kind, _CLOSING[token.text])
        data = self._convert(token, kind)
        while token.kind == "text" and self._next.kind == "text":
            data = f"{data}{self._convert(self._take(), kind)}"
        return Value(data, *self._locate(token))

    def _convert(self, token: _Token, kind: str) -> bool | int | float | str:
        if kind == "string" and token.kind == "text":
            return _ESCAPE.sub(r"\1", token.text[1:-1])
        if kind == "bool" and token.text in _BOOLEANS:
            return _BOOLEANS[token.text]
        if kind in self._fields.enums and (token.text in self._fields.enums[kind] or token.kind == "number"):
            return token.text
        if kind.lstrip("u").startswith("int") and _WHOLE.fullmatch(token.text):
            return int(token.text.replace(" ", ""), 0) if "x" in token.text.lower() else int(token.text)
        if kind in ("float", "double") and (_REAL.fullmatch(token.text) or token.text in ("inf", "nan")):
            return float(token.text.rstrip("fF") if token.text != "inf" else token.text)
        expected = f"a value of {kind}" if kind in self._fields.enums else _EXPECTED.get(kind, "a number")
        raise _InvalidConfigError(f"{_describe(token)} where {expected} is to be", token)

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self._next = next(self._tokens)
        elif self._depth > 1:
            raise _InvalidConfigError("a { that is not closed", token)
        return token

    def _skip(self, mark: str) -> bool:
        found = self._next.text == mark and self._next.kind == "mark"
        if found:
            self._take()
        return found

    def _locate(self, token: _Token) -> tuple[int, int]:
        return self._place(token.line, token.column)


_EXPECTED = {"string": "a text in quotes", "bool": "true or false", "float": "a number", "double": "a number"}


def _is_entry(entry: Value) -> bool:
    return {"key", "value"} <= entry.mapping.keys()


def _describe(token: _Token) -> str:
    return "the end" if token.kind == "end" else token.text[:40]
