"""What checks say, word for word, in one file: tests/wording.txt, renewed by `make renew`.

Tests compare outcome, object, place and fix. That the words are those that somebody has read, and that the
numbers and names in them are right, is held here: each message of a check that runs in a test must be in the
file.
"""

import os
import re
from functools import cache
from pathlib import Path

from dynocheck import Finding

FILE = Path(__file__).with_name("wording.txt")
RENEW = "DYNOCHECK_RENEW"

_FOLDER = re.compile(r"/[\w./-]*/pytest-of-\w+/pytest-\d+/[\w.-]+")
_seen: set[str] = set()


def compare(check: str, finding: Finding) -> None:
    """Note a finding's message and, unless the file is being renewed, compare it with the file."""
    line = f"{check} {finding.outcome}: {_FOLDER.sub('TMP', finding.message)!r}"
    _seen.add(line)
    if RENEW not in os.environ:
        assert line in _known(), f"not in {FILE.name}; read it, then `make renew`: {line}"


def write() -> None:
    """Make what was seen in this run of tests/checks the file."""
    if _seen:
        FILE.write_text("".join(f"{line}\n" for line in sorted(_seen)), encoding="utf-8")


@cache
def _known() -> frozenset[str]:
    return frozenset(FILE.read_text(encoding="utf-8").splitlines())
