"""Makes dynocheck/data/flags.json: the flags of Dynamo's programs and of their engines, release by release.

    python -m tools.write_flags

The argument parsers are read from the source in the published wheels, never run, and so are the classes that
the JSON of vLLM's flags becomes, and the variables that stand for flags or that an engine converts.
TensorRT-LLM has no parser of its own here: `dynamo.trtllm` names every flag that it takes.

Each release of tools/dynamo_releases.json names its package. One whose own package is not published names the
nearest that is, the engines that the release's documentation states, and that documentation.
"""

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.argument_parsers import (
    Flag,
    list_mappings,
    read_calls,
    read_sglang_flags,
    read_variables,
    read_vllm_flags,
    select_parser_modules,
    split_variables,
)
from tools.packages import open_wheel

RELEASES = Path(__file__).parent / "dynamo_releases.json"
TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "flags.json"
PROGRAMS = ("frontend", "mocker", "sglang", "trtllm", "vllm")
ENGINES = {"vllm": "vllm/", "sglang": "sglang/srt/"}
VARIABLES = {"vllm": "vllm/envs.py", "sglang": "sglang/srt/environ.py"}
_OWN = ("args", "backend_args", "frontend_args", "main", "_compat")
_GROUP = re.compile(r"from (dynamo\.common\.configuration\.groups\.\w+) import")
_PIN = re.compile(r"^Requires-Dist: (vllm|sglang|tensorrt-llm)(?:\[[^\]]*\])?==([^;\s]+)", re.MULTILINE)

# By program, by the version of its package.
_Rows = dict[str, dict[str, list[dict[str, Any]]]]


def main() -> None:
    """Writes the table."""
    tables: _Rows = {}
    mappings: _Rows = {}
    variables: _Rows = {}
    engines: dict[str, dict[str, str]] = {}
    nearest: dict[str, str] = {}
    for release, row in json.loads(RELEASES.read_text()).items():
        if "engines" in row:
            engines[release] = row["engines"]
            nearest[release] = row["package"]
        if row["package"] not in tables.get("dynamo.frontend", {}):
            package = open_wheel(f"ai-dynamo=={row['package']}")
            engines.setdefault(release, _read_pins(package))
            _add_dynamo(package, row["package"] if release in nearest else release, tables, variables)
    for engine in ENGINES:
        for version in sorted({pins[engine] for pins in engines.values()}, key=_parse_version):
            _add_engine(engine, version, tables, mappings, variables)
    rows = {
        program: {
            "releases": list(releases),
            "flags": sorted(_compact(releases), key=lambda flag: flag["names"]),
            "mappings": sorted(_compact(mappings.get(program, {})), key=json.dumps),
            "variables": sorted(_compact(variables[program]), key=lambda flag: flag["names"]),
        }
        for program, releases in tables.items()
    }
    table = {"engines": engines, "nearest": nearest, "programs": rows}
    TARGET.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n")


def _read_pins(package: zipfile.ZipFile) -> dict[str, str]:
    """The versions of the engines that a package of Dynamo asks for."""
    metadata = next(name for name in package.namelist() if name.endswith(".dist-info/METADATA"))
    return dict(_PIN.findall(package.read(metadata).decode()))


def _add_dynamo(package: zipfile.ZipFile, version: str, tables: _Rows, variables: _Rows) -> None:
    for program in PROGRAMS:
        flags = list(_read_dynamo_flags(package, program))
        variables.setdefault(f"dynamo.{program}", {})[version] = list(split_variables(flags))
        tables.setdefault(f"dynamo.{program}", {})[version] = flags


def _add_engine(engine: str, version: str, tables: _Rows, mappings: _Rows, variables: _Rows) -> None:
    package = open_wheel(f"{engine}=={version}")
    names = select_parser_modules(package.namelist(), ENGINES[engine])
    sources = {name: package.read(name).decode() for name in names}
    flags = list(read_vllm_flags(sources) if engine == "vllm" else read_sglang_flags(sources))
    tables.setdefault(engine, {})[version] = flags
    mappings.setdefault(engine, {})[version] = list(list_mappings(sources, flags))
    own = ast.parse(package.read(VARIABLES[engine]))
    variables.setdefault(engine, {})[version] = list(read_variables(own))


def _parse_version(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", version)]


def _compact(releases: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each row once with the releases that have it so, by their place in the list."""
    seen: dict[str, tuple[dict[str, Any], set[int]]] = {}
    for i, rows in enumerate(releases.values()):
        for row in rows:
            seen.setdefault(json.dumps(row, sort_keys=True), (row, set()))[1].add(i)
    return [
        row | ({} if len(where) == len(releases) else {"in": sorted(where)}) for row, where in seen.values()
    ]


def _read_dynamo_flags(package: zipfile.ZipFile, program: str) -> Iterator[Flag]:
    pending = [f"dynamo/{program}/{name}.py" for name in _OWN]
    there, done = set(package.namelist()), set()
    while pending:
        name = pending.pop(0)
        if name in there and name not in done:
            done.add(name)
            text = package.read(name).decode()
            pending += [f"{group.replace('.', '/')}.py" for group in _GROUP.findall(text)]
            yield from read_calls(ast.parse(text), {})


if __name__ == "__main__":
    main()
