"""Expands the words of a shell command as far as possible without running it.

Unknown are the results of: command substitution, arithmetic, array slices, special parameters,
`$'...'`, tilde and brace expansion, globbing, and every operator of `${...}` except those for defaults.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from dynocheck.recipe.references import UNKNOWN
from dynocheck.recipe.shell.syntax import ParameterExpansion, ShellWord, Text, UnknownExpansion, WordPart
from dynocheck.recipe.shell.variables import POSITIONAL, Unset, Variables, find_set_in_word

_PATTERN = re.compile(r"[*?\[]")
_EMPTY = Text("", quoted=True)
_TILDE = re.compile(r"(^|[:=])~")
_BLANKS = re.compile(r"[ \t\n]+")


class _Quoting(Enum):
    LITERAL = 1  # unquoted text: brace, tilde and glob expansion apply
    QUOTED = 2
    SPLIT = 3  # from an unquoted expansion: word splitting and globbing apply


class _Piece(NamedTuple):
    """A part of an expanded word; `text` is None if unknown."""

    text: str | None
    kind: _Quoting


def expand_words(words: Sequence[ShellWord], variables: Variables) -> list[list[str | None]]:
    """Expand each word to zero or more fields; a field is None if unknown.

    Assignments by `${NAME:=default}` take effect in `variables`.
    """
    nested = {name for word in words for part in word.parts for name in _find_set_deeper(part)}
    variables.forget(nested)
    return [_expand_word(word, variables) for word in words]


def _expand_word(word: ShellWord, variables: Variables) -> list[str | None]:
    """Expand one word. The elements of an unquoted array are split again: known only if none has blanks."""
    whole = find_array(word)
    if whole is None:
        return _split_fields(list(_expand_parts(word.parts, variables)), splits=variables.splits)
    elements = variables.get_array(whole.name)
    if elements is None or whole.quoted:
        return [None] if elements is None else elements
    plain = variables.splits and all(element and not _is_split(element) for element in elements)
    return elements if plain else [None]


def find_array(word: ShellWord) -> ParameterExpansion | None:
    """The array that is all of a word, as in `"${NAME[@]}"`."""
    whole = next((part for part in word.parts if isinstance(part, ParameterExpansion)), None)
    around = (part for part in word.parts if part is not whole)
    is_all = whole is not None and whole.operator == "[@]" and all(part == _EMPTY for part in around)
    return whole if is_all else None


def expand_document(parts: Sequence[WordPart], variables: Variables) -> str:
    """The text of a here-document, with UNKNOWN in place of what is not known."""
    return "".join(UNKNOWN if text is None else text for text, _ in _expand_parts(parts, variables))


def expand_value(word: ShellWord, variables: Variables, *, declared: bool = False) -> str | None:
    """Expand the value of an assignment, without splitting or globbing; None if unknown.

    :param declared: whether it stands in a declaration, where some shells split and glob.
    """
    variables.forget({name for part in word.parts for name in _find_set_deeper(part)})
    pieces = list(_expand_parts(word.parts, variables))
    if declared and any(p.text and p.kind is not _Quoting.QUOTED and _is_split(p.text) for p in pieces):
        return None
    return _join(pieces)


def _find_set_deeper(part: WordPart) -> Iterator[str]:
    """The variables that expanding a part may set where `_expand_parts` does not track it."""
    match part:
        case UnknownExpansion(names, _):
            yield from names
        case ParameterExpansion(_, _, default, _):
            yield from find_set_in_word(ShellWord(default, 0, 0))
        case _:
            pass


def _expand_parts(parts: Sequence[WordPart], variables: Variables) -> Iterator[_Piece]:
    for part in parts:
        match part:
            case Text(text, quoted):
                yield _Piece(
                    None if UNKNOWN in text else text, _Quoting.QUOTED if quoted else _Quoting.LITERAL
                )
            case ParameterExpansion():
                yield from _expand_parameter(part, variables)
            case UnknownExpansion():
                yield _Piece(None, _Quoting.SPLIT)


def _expand_parameter(part: ParameterExpansion, variables: Variables) -> list[_Piece]:
    kind = _Quoting.QUOTED if part.quoted else _Quoting.SPLIT
    if part.operator == "[@]":
        return [_Piece(None, kind)]
    found = variables.expand(part.name)
    known = found if isinstance(found, str) else None
    if found is Unset.UNSET and part.name in POSITIONAL:
        known = found = ""  # no image sets these
    operator = part.operator[-1:]
    if not operator or found is None:
        if operator == "=":
            variables.put(part.name, None)
        return [_Piece(known, kind)]  # unset here, but the image may set it
    is_set = known is not None and (known != "" or not part.operator.startswith(":"))
    if operator == "?":
        return [_Piece(known if is_set else None, kind)]
    if is_set != (operator == "+"):
        return [_Piece(known if is_set else "", kind)]
    pieces = list(_expand_parts(part.default, variables))
    if operator == "=":
        variables.put(part.name, _join(pieces))
        return [_Piece(_join(pieces), kind)]
    return [_requote(piece, kind) for piece in pieces]


def _requote(piece: _Piece, kind: _Quoting) -> _Piece:
    """A piece of a default value: its unquoted text is split, and unknown if it contains a tilde."""
    if piece.kind is not _Quoting.LITERAL:
        return piece
    return _Piece(None if piece.text is not None and "~" in piece.text else piece.text, kind)


def _join(pieces: Sequence[_Piece]) -> str | None:
    known = [piece.text for piece in pieces if piece.text is not None]
    tilde = _TILDE.search(_join_literals(pieces))
    return None if len(known) < len(pieces) or tilde else "".join(known)


def _join_literals(pieces: Sequence[_Piece]) -> str:
    return "".join(text for text, kind in pieces if text and kind is _Quoting.LITERAL)


def _is_braced(literal: str) -> bool:
    """Whether brace expansion may apply.

    JSON without quotes around it is none after any shell: those that expand braces split it besides.
    """
    if literal.startswith("{:"):
        return False
    inner = literal[literal.find("{") + 1 : literal.rfind("}")] if "{" in literal else ""
    return "," in inner or ".." in inner


def _is_bare_json(pieces: Sequence[_Piece]) -> bool:
    """Whether a word is JSON without quotes around it, as in `{"a":"b","c":1}`: whatever becomes of its
    braces, the program gets no JSON.
    """
    filled = [piece for piece in pieces if piece.text]
    kinds = [piece.kind for piece in filled[:3]]
    starts = kinds == [_Quoting.LITERAL, _Quoting.QUOTED, _Quoting.LITERAL] and filled[0].text == "{"
    return starts and (filled[2].text or "").startswith(":") and (filled[-1].text or "").endswith("}")


def _is_split(text: str) -> bool:
    return bool(_BLANKS.search(text) or _PATTERN.search(text))


def _split_fields(pieces: Sequence[_Piece], *, splits: bool) -> list[str | None]:
    """Split the pieces of a word into fields, as the shell does; [None] if that is not predictable."""
    if not _is_predictable(pieces, splits=splits):
        return [None]
    fields: list[str | None] = []
    current: str | None = None
    for text, kind in pieces:
        if kind is not _Quoting.SPLIT:
            current = (current or "") + (text or "")
            continue
        first, *others = _BLANKS.split(text or "")
        if first:
            current = (current or "") + first
        for part in others:
            fields.extend([current] if current is not None else [])
            current = part or None
    return [*fields, *([current] if current is not None else [])]


def _is_predictable(pieces: Sequence[_Piece], *, splits: bool) -> bool:
    """Whether every shell makes the same known fields of these pieces."""
    literal = _join_literals(pieces)
    if (_is_braced(literal) and not _is_bare_json(pieces)) or _TILDE.search(literal):
        return False
    if any(text is None or (kind is not _Quoting.QUOTED and _PATTERN.search(text)) for text, kind in pieces):
        return False
    expanded = [text for text, kind in pieces if text and kind is _Quoting.SPLIT]
    if not splits:
        return not expanded
    # bash 5.2 splits $A$, but not ${A:-d e}$
    return "$" not in literal or not any(map(_BLANKS.search, expanded))
