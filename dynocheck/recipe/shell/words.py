"""The words of a shell command, expanded as far as that can be known without running it.

Not known are: command substitution, arithmetic, parts of arrays, positional and special parameters,
`$'...'`, a tilde, patterns that files of the container could match, braces, every operator of `${...}` but
those for defaults.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from dynocheck.recipe.references import UNKNOWN
from dynocheck.recipe.shell.syntax import ParameterExpansion, ShellWord, Text, UnknownExpansion, WordPart
from dynocheck.recipe.shell.variables import Variables, find_set_in_word

_PATTERN = re.compile(r"[*?\[]")
_TILDE = re.compile(r"(^|[:=])~")
_AROUND = len('"${[@]}"')  # what stands around the name of an array that is a word by itself
_BLANKS = re.compile(r"[ \t\n]+")


class _Quoting(Enum):
    LITERAL = 1  # written without quotes: braces, tilde and patterns mean something
    QUOTED = 2
    SPLIT = 3  # from an expansion without quotes: split at blanks, patterns mean something


class _Piece(NamedTuple):
    text: str | None
    kind: _Quoting


def expand_words(words: Sequence[ShellWord], variables: Variables) -> list[list[str | None]]:
    """What each word becomes: none, one or several; None for one that is not known.

    The defaults that expansions set are set in `variables`.
    """
    nested = {name for word in words for part in word.parts for name in _find_set_deeper(part)}
    variables.forget(nested)
    return [_expand_word(word, variables) for word in words]


def _expand_word(word: ShellWord, variables: Variables) -> list[str | None]:
    """What one word becomes. An array without quotes is split again, so only one without blanks is known."""
    whole = next((part for part in word.parts if isinstance(part, ParameterExpansion)), None)
    if whole is None or whole.operator != "[@]" or word.end - word.start > len(whole.name) + _AROUND:
        return _split_fields(list(_expand_parts(word.parts, variables)), splits=variables.splits)
    elements = variables.get_array(whole.name)
    if elements is None or whole.quoted:
        return [None] if elements is None else elements
    plain = variables.splits and all(each and not _is_split(each) for each in elements)
    return elements if plain else [None]


def expand_value(word: ShellWord, variables: Variables, *, declared: bool = False) -> str | None:
    """What is assigned: nothing is split, no pattern is matched. In a declaration some shells do so."""
    variables.forget({name for part in word.parts for name in _find_set_deeper(part)})
    pieces = list(_expand_parts(word.parts, variables))
    if declared and any(p.text and p.kind is not _Quoting.QUOTED and _is_split(p.text) for p in pieces):
        return None
    return _join(pieces)


def _find_set_deeper(part: WordPart) -> Iterator[str]:
    """What expanding a part may set that is not followed below."""
    match part:
        case UnknownExpansion(names):
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
    operator = part.operator[-1:]
    if not operator or found is None:
        if operator == "=":
            variables.put(part.name, None)
        return [_Piece(known, kind)]  # an image may set what the manifest does not
    given = known is not None and (known != "" or not part.operator.startswith(":"))
    if operator == "?":
        return [_Piece(known if given else None, kind)]
    if given != (operator == "+"):
        return [_Piece(known if given else "", kind)]
    pieces = list(_expand_parts(part.default, variables))
    if operator == "=":
        variables.put(part.name, _join(pieces))
        return [_Piece(_join(pieces), kind)]
    return [_requote(piece, kind) for piece in pieces]


def _requote(piece: _Piece, kind: _Quoting) -> _Piece:
    """What a default gives: without quotes it is split, and a tilde in it stands for a folder."""
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
    """Whether braces may make several words of it."""
    inner = literal[literal.find("{") + 1 : literal.rfind("}")] if "{" in literal else ""
    return "," in inner or ".." in inner


def _is_split(text: str) -> bool:
    return bool(_BLANKS.search(text) or _PATTERN.search(text))


def _split_fields(pieces: Sequence[_Piece], *, splits: bool) -> list[str | None]:
    literal = _join_literals(pieces)
    if _is_braced(literal) or _TILDE.search(literal):
        return [None]
    if "$" in literal and any(
        text and kind is _Quoting.SPLIT and _BLANKS.search(text) for text, kind in pieces
    ):
        return [None]  # bash 5.2 does not split ${A:-d e}$, and does split $A$
    fields: list[str | None] = []
    current: str | None = None
    for text, kind in pieces:
        if text is None or (kind is not _Quoting.QUOTED and _PATTERN.search(text)):
            return [None]
        if kind is not _Quoting.SPLIT:
            current = (current or "") + text
            continue
        if not splits and text:
            return [None]
        first, *others = _BLANKS.split(text)
        if first:
            current = (current or "") + first
        for part in others:
            fields.extend([current] if current is not None else [])
            current = part or None
    return [*fields, *([current] if current is not None else [])]
