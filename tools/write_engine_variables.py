"""Makes dynocheck/data/engine_variables.json: the variables that engines dropped, and one with choices.

    python -m tools.write_engine_variables

Of each release in tools/server_releases.json the source distribution on PyPI, or its wheel if there is none,
is searched for the names of variables, wherever they are: a name that a release declares and no later one
mentions is dropped. The choices of VLLM_ATTENTION_BACKEND are the members of a class, in releases that refuse
others.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tools.packages import list_versions, open_source, open_wheel
from tools.write_flags import SERVERS, compact

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "engine_variables.json"
_PREFIXES = {"vllm": "VLLM", "sglang": "SGLANG"}
_DECLARING = {"vllm": "vllm/envs.py", "sglang": "sglang/srt/environ.py"}
_BESIDE = ("csrc", "rust")  # the parts of a source distribution that end up in libraries
_BACKEND = "VLLM_ATTENTION_BACKEND"
_BACKENDS = ("AttentionBackendEnum", "_Backend")
_REFUSES = re.compile(rf"env_with_choices\(\s*\"{_BACKEND}\"|Invalid attention backend(?: '|: ')\{{backend")


class _Release(NamedTuple):
    version: str
    declared: set[str]
    mentioned: set[str]
    backends: list[str]


def main() -> None:
    """Writes the table."""
    versions = json.loads(SERVERS.read_text())
    table = {engine: _describe([*_read_releases(engine, versions[engine])]) for engine in _PREFIXES}
    TARGET.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n")


def _describe(releases: list[_Release]) -> dict[str, Any]:
    """By name the last release that has a variable and the one after it, and the variables with choices."""
    names = set().union(*(release.declared for release in releases))
    last = {name: max(i for i, each in enumerate(releases) if name in each.mentioned) for name in names}
    variables = {
        each.version: [{"names": [_BACKEND], "choices": each.backends}] if each.backends else []
        for each in releases
    }
    return {
        "releases": [release.version for release in releases],
        "dropped": {
            name: [releases[at].version, releases[at + 1].version]
            for name, at in last.items()
            if at + 1 < len(releases)
        },
        "variables": compact(variables),
    }


def _read_releases(engine: str, versions: list[str]) -> Iterator[_Release]:
    pattern = re.compile(rf"\b{_PREFIXES[engine]}_[A-Z0-9_]*[A-Z0-9]\b")
    sources = set(list_versions(engine))
    for version in versions:
        read = _read_source if version in sources else _read_wheel
        declared, mentioned, backends, refuses = set(), set(), list[str](), False
        for path, text in read(engine, version):
            found = set(pattern.findall(text))
            mentioned |= found
            if path.endswith(_DECLARING[engine]):
                declared |= found
            refuses = refuses or (_BACKEND in text and _REFUSES.search(text) is not None)
            backends = backends or list_backends(text)
        yield _Release(version, declared, mentioned, sorted(backends) if refuses else [])


def list_backends(source: str) -> list[str]:
    """The members of the class of attention backends, if a module of Python has it."""
    if not any(f"class {name}(" in source for name in _BACKENDS):
        return []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name in _BACKENDS:
            members = [each.targets[0] for each in node.body if isinstance(each, ast.Assign)]
            if names := [member.id for member in members if isinstance(member, ast.Name)]:
                return names
    return []


def _read_source(engine: str, version: str) -> Iterator[tuple[str, str]]:
    with open_source(engine, version) as archive:
        for member in archive:
            path = member.name.partition("/")[2].removeprefix("python/")
            if member.isfile() and path.startswith(tuple(f"{part}/" for part in (engine, *_BESIDE))):
                yield path, archive.extractfile(member).read().decode(errors="replace")  # type: ignore[union-attr]


def _read_wheel(engine: str, version: str) -> Iterator[tuple[str, str]]:
    wheel = open_wheel(f"{engine}=={version}")
    for path in wheel.namelist():
        if path.startswith(f"{engine}/") and path.endswith(".py"):
            yield path, wheel.read(path).decode(errors="replace")


if __name__ == "__main__":
    main()
