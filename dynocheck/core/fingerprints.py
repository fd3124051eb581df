"""Fingerprints, by which a finding is recognized in a later run.

A fingerprint holds the check, file, object and message of a finding, not its line. Messages are compared in
three steps, each of which forgives more: as they are; without numbers and the order of lists; and with lists
that grew or shrank, because an object was added to the input or removed from it.
"""

import os
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

from dynocheck.core.outcomes import Finding
from dynocheck.core.paths import resolve
from dynocheck.secrets import hide_assigned

_LINE = re.compile(r"\bline \d+")
_NUMBER = re.compile(r"(?<![A-Za-z0-9_-])[+-]?v?\d(?:[\w.+-]*\w)?%?")
_PLURAL = re.compile(r"(# \w+)s\b")
_WORD = re.compile(r"[\w.-]+")
_LIST = re.compile(r"(?<![^\s,])[^\s,]++(?:(?:, (?:and |or )?| and | or )[^\s,]++)+")
_SEPARATOR = re.compile(r", (?:and |or )?| and | or ")
_TOKEN = re.compile(r"[^\s,]+|,")


class Fingerprint(NamedTuple):
    """What identifies a finding."""

    check: str
    file: str
    subject: str
    message: str


class Fingerprints:
    """Computes fingerprints with files relative to a folder."""

    def __init__(self, root: str) -> None:
        self._root = resolve(root)
        self._files: dict[str, str] = {}

    def compute(self, check: str, finding: Finding) -> Fingerprint:
        place = finding.location
        message = hide_assigned(_LINE.sub("line", finding.message)).encode(errors="backslashreplace").decode()
        subject = str(finding.subject) if finding.subject else ""
        return Fingerprint(check, self._relate(place.file) if place else "", subject, message)

    def _relate(self, file: str) -> str:
        """The path of a file from the root."""
        if file not in self._files:
            self._files[file] = Path(os.path.relpath(resolve(file), self._root)).as_posix()
        return self._files[file]


def mask(fingerprint: Fingerprint) -> Fingerprint:
    """The fingerprint without what other objects change in its message: numbers, and the order of lists.

    A number is masked with its unit. A name with a number in it is masked too, as that of a node, except in
    the first two words, where a message names what it is about.
    """
    *head, tail = _NUMBER.sub("#", fingerprint.message).split(" ", 2)
    message = _PLURAL.sub(r"\1", " ".join([*head, _WORD.sub(_mask_numbered, tail)]))
    return fingerprint._replace(message=_LIST.sub(_sort_list, message))


def _mask_numbered(word: re.Match[str]) -> str:
    return "#" if any(map(str.isdigit, word[0])) else word[0]


def _sort_list(match: re.Match[str]) -> str:
    return ", ".join(sorted(set(_SEPARATOR.split(match[0]))))


def is_list_longer(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two masked messages differ only in the length of their lists."""
    short, long = sorted((_TOKEN.findall(one.message), _TOKEN.findall(other.message)), key=len)
    if not set(short) <= {*long, ","}:
        return False
    changes = SequenceMatcher(None, short, long, autojunk=False).get_opcodes()
    return all(
        tag == "equal" or (tag == "insert" and _are_items(long[start:end]))
        for tag, _, _, start, end in changes
    )


def _are_items(tokens: Sequence[str]) -> bool:
    """Whether these are items of a list, each with a comma before it or after it."""
    commas = [word == "," for word in tokens]
    return not len(tokens) % 2 and commas in (
        [True, False] * (len(tokens) // 2),
        [False, True] * (len(tokens) // 2),
    )
