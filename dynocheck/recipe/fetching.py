"""The models that a script fetches from a hub: by its command line, or by its Python library."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

_COMMANDS = ("hf", "huggingface-cli")
# Options of `hf download` that take no value, of those that stand before the model.
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
_VARIABLE = re.compile(r"os\.(?:environ(?:\.get\(|\[)|getenv\()\s*[\"'](\w+)[\"']")


class FetchedModel(NamedTuple):
    """A model by its hub id, None when it cannot be told, and the folder that it goes to, where named.

    `cached` says that no folder is named, were it one that cannot be told. `revision` is the one that is
    asked for, None when none is or it cannot be told. `at` says where: the index of the word that names it,
    or the offset of the call in the code.
    """

    model: str | None
    folder: str | None
    at: int
    cached: bool = True
    revision: str | None = None


def parse_download_command(words: Sequence[str | None]) -> FetchedModel | None:
    """What `hf download MODEL` fetches, or its older name `huggingface-cli download`."""
    start = next(
        (
            i + 2
            for i in range(len(words) - 1)
            if words[i + 1] == "download" and (words[i] or "").rpartition("/")[2] in _COMMANDS
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
    return FetchedModel(rest[at], folder, start + at, cached, revision)


def _find_option(words: Sequence[str | None], name: str) -> str | None:
    found = None
    for i, word in enumerate(words):
        if word == name and i + 1 < len(words):
            found = words[i + 1]
        elif word is not None and word.startswith(f"{name}="):
            found = word.partition("=")[2]
    return found


def find_library_downloads(code: str, environment: dict[str, str | None]) -> Iterator[FetchedModel]:
    """What calls of `snapshot_download` fetch, under whatever name it is imported."""
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
        written = _find_keyword(arguments, "repo_id") or (arguments[0] if arguments else "")
        folder = _QUOTED.fullmatch(_find_keyword(arguments, "local_dir") or "")
        (revision,) = _resolve_argument(_find_keyword(arguments, "revision") or "", code, environment)[:1]
        cached = all(_find_keyword(arguments, name) is None for name in ("local_dir", "cache_dir"))
        for model in _resolve_argument(written, code, environment):
            yield FetchedModel(model, folder.group(2) if folder else None, match.start(), cached, revision)
    if not called:
        yield FetchedModel(None, None, code.index("snapshot_download"))


def _split_arguments(code: str) -> list[str]:
    """The arguments of a call, from behind its parenthesis."""
    found, current, depth, quote = [], "", 0, ""
    for char in code:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in ")]}" and depth == 0:
            break
        elif char == "," and depth == 0:
            found.append(current.strip())
            current = ""
            continue
        else:
            depth += (char in "([{") - (char in ")]}")
        current += char
    return [*found, *([current.strip()] if current.strip() else [])]


def _find_keyword(arguments: Sequence[str], name: str) -> str | None:
    values = (re.fullmatch(rf"{name}\s*=\s*(.*)", argument, re.DOTALL) for argument in arguments)
    return next((match.group(1) for match in values if match), None)


def _resolve_argument(written: str, code: str, environment: dict[str, str | None]) -> list[str | None]:
    """What an argument is: a text, a variable of the environment, or a name that the code gives either."""
    quoted, variable = _QUOTED.fullmatch(written), _VARIABLE.match(written)
    if quoted:
        return [quoted.group(2)]
    if variable:
        return [environment.get(variable.group(1))]
    if not written.isidentifier():
        return [None]
    loop = re.search(rf"\bfor\s+{written}\s+in\s*[\[(]([^\])]*)[\])]", code)
    if loop:
        return [match.group(2) for match in _QUOTED.finditer(loop.group(1))] or [None]
    given = re.findall(rf"^\s*{written}\s*=\s*(.+?)\s*;?\s*$", code, re.MULTILINE)
    if len(given) != 1 or given[0].isidentifier():
        return [None]
    return _resolve_argument(given[0], code, environment)
