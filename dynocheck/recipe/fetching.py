"""Finds the models that a script downloads from the Hugging Face hub, by command line or Python library."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from dynocheck.core.spelling import find_slip

_COMMANDS = ("hf", "huggingface-cli")
_VERB = "download"
# Options of `hf download` without a value.
_SWITCHES = (
    "--force-download",
    "--quiet",
    "--resume-download",
    "--no-quiet",
    "--no-force-download",
    "--dry-run",
)

_FOLDERS = ("--local-dir", "--cache-dir")

_MAX_CALLS = 100
_MAX_ARGUMENTS = 4000
_ALIASES = re.compile(r"\bsnapshot_download(?:\s+as\s+(\w+))?")
_QUOTED = re.compile(r"""([\"'])([^\"'\\]*)\1""")
_VARIABLE = re.compile(r"os\.(?:environ(?:\.get\(|\[)|getenv\()\s*(?:[\"'](\w+)[\"']|([A-Za-z_]\w*)\s*[\])])")


class FetchedModel(NamedTuple):
    """A downloaded model: its hub id and target folder, None if unknown.

    `cached` is true if the call names no folder, not even an unknown one. `revision` is None if none is named
    or it is unknown. `at` is the position: the index of the word that names the model, or the offset of the
    call in the code. `verb` is the subcommand as it is written.
    """

    model: str | None
    folder: str | None
    at: int
    cached: bool = True
    revision: str | None = None
    verb: str = _VERB


def parse_download_command(words: Sequence[str | None]) -> FetchedModel | None:
    """The model that `hf download MODEL`, or the older `huggingface-cli download`, fetches, if any.

    A misspelt `download` is read as one.
    """
    start = next(
        (
            i + 2
            for i in range(len(words) - 1)
            if (words[i] or "").rpartition("/")[2] in _COMMANDS and _is_verb(words, i + 1)
        ),
        None,
    )
    if start is None:
        return None
    rest = words[start:]
    if _find_option(rest, "--repo-type") not in (None, "model"):
        return None
    at = 0
    while at < len(rest) and (rest[at] or "").startswith("-"):
        word = rest[at] or ""
        at += 1 if "=" in word or word in _SWITCHES else 2
    if at >= len(rest):
        return None
    cached = not any((word or "").startswith(_FOLDERS) for word in rest)
    folder, revision = _find_option(rest, "--local-dir"), _find_option(rest, "--revision")
    return FetchedModel(rest[at], folder, start + at, cached, revision, words[start - 1] or _VERB)


def _is_verb(words: Sequence[str | None], at: int) -> bool:
    return words[at] == _VERB or (at == 1 and find_slip(words[at] or "", (_VERB,)) is not None)


def _find_option(words: Sequence[str | None], name: str) -> str | None:
    value = None
    for i, word in enumerate(words):
        if word == name and i + 1 < len(words):
            value = words[i + 1]
        elif word is not None and word.startswith(f"{name}="):
            value = word.partition("=")[2]
    return value


def find_library_downloads(code: str, environment: dict[str, str | None]) -> Iterator[FetchedModel]:
    """The models that calls of `snapshot_download` fetch, under any name it is imported as."""
    names = {alias.group(1) or "snapshot_download" for alias in _ALIASES.finditer(code)}
    if not names:
        return
    call = re.compile(rf"\b(?:{'|'.join(sorted(names))})\s*\(")
    called = False
    for match in islice(call.finditer(code), _MAX_CALLS):
        called = True
        arguments = _split_arguments(code[match.end() : match.end() + _MAX_ARGUMENTS])
        if _find_keyword(arguments, "repo_type") not in (None, "'model'", '"model"'):
            continue
        repository = _find_keyword(arguments, "repo_id") or (arguments[0] if arguments else "")
        folder = _resolve_argument(_find_keyword(arguments, "local_dir") or "", code, environment)[0]
        (revision,) = _resolve_argument(_find_keyword(arguments, "revision") or "", code, environment)[:1]
        cached = all(_find_keyword(arguments, name) is None for name in ("local_dir", "cache_dir"))
        for model in _resolve_argument(repository, code, environment):
            yield FetchedModel(model, folder, match.start(), cached, revision)
    if not called:
        yield FetchedModel(None, None, code.index("snapshot_download"))


def _split_arguments(code: str) -> list[str]:
    """The arguments of a call, from behind its opening parenthesis."""
    arguments, current, depth, quote = [], "", 0, ""
    for char in code:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in ")]}" and depth == 0:
            break
        elif char == "," and depth == 0:
            arguments.append(current.strip())
            current = ""
            continue
        else:
            depth += (char in "([{") - (char in ")]}")
        current += char
    return [*arguments, *([current.strip()] if current.strip() else [])]


def _find_keyword(arguments: Sequence[str], name: str) -> str | None:
    values = (re.fullmatch(rf"{name}\s*=\s*(.*)", argument, re.DOTALL) for argument in arguments)
    return next((match.group(1) for match in values if match), None)


def _resolve_argument(argument: str, code: str, environment: dict[str, str | None]) -> list[str | None]:
    """The values of an argument: a literal, an environment variable, or a name assigned to either."""
    quoted, variable = _QUOTED.fullmatch(argument), _VARIABLE.match(argument)
    if quoted:
        return [quoted.group(2)]
    if variable:
        names = [variable.group(1)] if variable.group(1) else _find_loop_values(variable.group(2), code)
        return [environment.get(name or "") for name in names] or [None]
    if not argument.isidentifier():
        return [None]
    if values := _find_loop_values(argument, code):
        return values
    assigned = re.findall(rf"^\s*{argument}\s*=\s*(.+?)\s*;?\s*$", code, re.MULTILINE)
    if len(assigned) != 1 or assigned[0].isidentifier():
        return [None]
    return _resolve_argument(assigned[0], code, environment)


def _find_loop_values(name: str, code: str) -> list[str | None]:
    """The literals that a name is looped over; empty if there is no such loop."""
    loop = re.search(rf"\bfor\s+{name}\s+in\s*[\[(]([^\])]*)[\])]", code)
    return [match.group(2) for match in _QUOTED.finditer(loop.group(1))] if loop else []
