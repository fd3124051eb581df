"""Makes dynocheck/data/flags.json: the flags of Dynamo's programs and of their engines, release by release.

    python -m tools.write_flags

The argument parsers are read from the source in the published wheels, never run (but for Dynamo's compiled
runtime, which alone knows its parsers of reasoning and tool calls), and so are the classes that the JSON of
vLLM's flags becomes, and the variables that stand for flags or that an engine converts.
TensorRT-LLM has no parser of its own here: `dynamo.trtllm` names every flag that it takes.

The servers of vLLM and SGLang without Dynamo are read of the releases in tools/server_releases.json.

Each release of tools/dynamo_releases.json names its package. One whose own package is not published names the
nearest that is, the engines that the release's documentation states, and that documentation.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from tools.argument_parsers import (
    Flag,
    list_mappings,
    read_calls,
    read_sglang_flags,
    read_variables,
    read_vllm_flags,
    read_vllm_server_flags,
    select_parser_modules,
    split_variables,
)
from tools.packages import open_wheel

SERVERS = Path(__file__).parent / "server_releases.json"
RELEASES = Path(__file__).parent / "dynamo_releases.json"
TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "flags.json"
PROGRAMS = ("frontend", "mocker", "sglang", "trtllm", "vllm")
ENGINES = {"vllm": "vllm/", "sglang": "sglang/srt/"}
VARIABLES = {"vllm": "vllm/envs.py", "sglang": "sglang/srt/environ.py"}
# Where the names of parsers are that no argument parser states: which function of Dynamo's compiled runtime
# lists those that a flag takes, and which mapping of an engine has them.
_RUNTIME_NAMES = {
    "--dyn-reasoning-parser": "get_reasoning_parser_names",
    "--dyn-tool-call-parser": "get_tool_parser_names",
}
_REGISTRIES = {
    "sglang": {
        "--reasoning-parser": ("sglang/srt/parser/reasoning_parser.py", "DetectorMap"),
        "--tool-call-parser": ("sglang/srt/function_call/function_call_parser.py", "ToolCallParserEnum"),
    },
    "vllm": {"--reasoning-parser": ("vllm/reasoning/__init__.py", "_REASONING_PARSERS_TO_REGISTER")},
}
_TOOL_PARSER = re.compile(r"vllm/(?:entrypoints/openai/)?tool_parsers/\w+\.py")
_REGISTERED = re.compile(
    r"@ToolParserManager\.register_module\(\s*(?:name\s*=\s*)?(\[[^\]]*\]|\"[^\"]+\"|'[^']+')"
)
_AUTO = '["auto"] + '  # what SGLang takes besides
# The minors before the first release whose flags are written down in full, and where their flags are.
_FORMER_RELEASES = ("0.4.1", "0.5.1", "0.6.0", "0.7.0", "0.8.0", "0.9.0")
_FORMER_FILES = ("args", "main", "worker/main", "utils/trtllm_utils")
_OWN = ("args", "backend_args", "frontend_args", "main", "_compat")
_FLAG_LITERAL = re.compile(r"[\"'](--[a-z][a-z0-9-]+)[\"']")
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
            names = _list_runtime_names(row["package"])
            _add_dynamo(package, row["package"] if release in nearest else release, names, tables, variables)
    for engine in ENGINES:
        for version in sorted({pins[engine] for pins in engines.values()}, key=_parse_version):
            _add_engine(engine, version, tables, mappings, variables)
    for engine, versions in json.loads(SERVERS.read_text()).items():
        for version in versions:
            _add_engine(engine, version, tables, mappings, variables, program=f"{engine} serve")
    rows = {
        program: {
            "releases": list(releases),
            "flags": sorted(compact(releases), key=lambda flag: flag["names"]),
            "mappings": sorted(compact(mappings.get(program, {})), key=json.dumps),
            "variables": sorted(compact(variables[program]), key=lambda flag: flag["names"]),
        }
        for program, releases in tables.items()
    }
    former = _list_former_flags(rows)
    table = {"engines": engines, "former": former, "nearest": nearest, "programs": rows}
    TARGET.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n")


def _list_former_flags(rows: Mapping[str, dict[str, Any]]) -> dict[str, list[str]]:
    """By program the flags of releases before the first, without those that the last release still takes."""
    found: dict[str, set[str]] = {f"dynamo.{program}": set() for program in PROGRAMS}
    for release in _FORMER_RELEASES:
        package = open_wheel(f"ai-dynamo=={release}")
        for program in PROGRAMS:
            for name in {f"dynamo/{program}/{file}.py" for file in _FORMER_FILES} & {*package.namelist()}:
                found[f"dynamo.{program}"] |= set(_FLAG_LITERAL.findall(package.read(name).decode()))
    for program, flags in found.items():
        for name in (program, program.removeprefix("dynamo.")):
            row = rows.get(name, {"releases": [], "flags": []})
            last = len(row["releases"]) - 1
            kept = (f for f in row["flags"] if last in f.get("in", [last]))
            flags.difference_update(spelled for flag in kept for spelled in flag["names"])
    return {program: sorted(flags) for program, flags in found.items()}


def _read_pins(package: zipfile.ZipFile) -> dict[str, str]:
    """The versions of the engines that a package of Dynamo asks for."""
    metadata = next(name for name in package.namelist() if name.endswith(".dist-info/METADATA"))
    return dict(_PIN.findall(package.read(metadata).decode()))


def _add_dynamo(
    package: zipfile.ZipFile,
    version: str,
    names: Mapping[str, list[str]],
    tables: _Rows,
    variables: _Rows,
) -> None:
    for program in PROGRAMS:
        flags = list(_add_choices(_read_dynamo_flags(package, program), names))
        variables.setdefault(f"dynamo.{program}", {})[version] = list(split_variables(flags))
        tables.setdefault(f"dynamo.{program}", {})[version] = flags


def _add_engine(
    engine: str, version: str, tables: _Rows, mappings: _Rows, variables: _Rows, program: str = ""
) -> None:
    """Adds the engine as Dynamo starts it, or with the flags of its own server as this program."""
    package = open_wheel(f"{engine}=={version}")
    names = select_parser_modules(package.namelist(), ENGINES[engine])
    sources = {name: package.read(name).decode() for name in names}
    read = read_vllm_flags(sources) if engine == "vllm" else read_sglang_flags(sources)
    if program == "vllm serve":
        read = chain(read, read_vllm_server_flags(sources))
    flags = list(_add_choices(read, _read_registries(package, engine)))
    program = program or engine
    tables.setdefault(program, {})[version] = flags
    mappings.setdefault(program, {})[version] = list(list_mappings(sources, flags))
    there = VARIABLES[engine] in package.namelist()
    own = ast.parse(package.read(VARIABLES[engine])) if there else ast.Module([], [])
    variables.setdefault(program, {})[version] = list(read_variables(own))


def _list_runtime_names(version: str) -> dict[str, list[str]]:
    """The choices of flags that only the compiled runtime knows, which is run for them."""
    script = "import json; from dynamo import _core as c; print(json.dumps([sorted(f()) for f in ({})]))"
    calls = ", ".join(f"c.{name}" for name in _RUNTIME_NAMES.values())
    with tempfile.TemporaryDirectory() as folder:
        install = ("pip", "install", "--quiet", "--no-deps", "--target", folder)
        subprocess.run([sys.executable, "-m", *install, f"ai-dynamo-runtime=={version}"], check=True)
        command = [sys.executable, "-c", script.format(calls)]
        printed = subprocess.check_output(command, env=os.environ | {"PYTHONPATH": folder})
    return dict(zip(_RUNTIME_NAMES, json.loads(printed), strict=True))


def _read_registries(package: zipfile.ZipFile, engine: str) -> dict[str, list[str]]:
    """The names of an engine's parsers, by the flag that takes them."""
    found = {}
    there = set(package.namelist())
    for flag, (module, name) in _REGISTRIES[engine].items():
        if module not in there:
            continue  # a release before there was one
        keys = list(_read_keys(ast.parse(package.read(module)), name))
        takes_auto = engine == "sglang" and _AUTO in package.read("sglang/srt/server_args.py").decode()
        found[flag] = sorted({*keys, "auto"} if takes_auto else keys)
    if engine == "vllm" and (parsers := read_tool_parsers(package)):
        found["--tool-call-parser"] = parsers
    return found


def read_tool_parsers(package: zipfile.ZipFile) -> list[str]:
    """The names under which vLLM registers its parsers of tool calls: in a mapping, or each where it is."""
    modules = [name for name in package.namelist() if _TOOL_PARSER.fullmatch(name)]
    sources = {name: package.read(name).decode() for name in modules}
    names = {
        key
        for name, source in sources.items()
        if name.endswith("__init__.py")
        for key in _read_keys(ast.parse(source), "_TOOL_PARSERS_TO_REGISTER")
    }
    registered = [found for source in sources.values() for found in _REGISTERED.findall(source)]
    return sorted(
        names | {name for words in registered for name in re.findall(r"[\"']([\w.-]+)[\"']", words)}
    )


def _read_keys(tree: ast.Module, name: str) -> Iterator[Any]:
    """The keys of a mapping of a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign([ast.Name(target)], ast.Dict(keys)) if target == name:
                yield from (key.value for key in keys if isinstance(key, ast.Constant))
            case ast.AnnAssign(ast.Name(target), _, ast.Dict(keys)) if target == name:
                yield from (key.value for key in keys if isinstance(key, ast.Constant))


def _add_choices(flags: Iterable[Flag], names: Mapping[str, list[str]]) -> Iterator[Flag]:
    for flag in flags:
        choices = next((names[name] for name in flag["names"] if name in names), None)
        known = {key: flag[key] for key in flag if flag[key] != "unknown"}  # it takes one of them
        yield flag if choices is None else known | {"choices": choices, "growing": True}


def _parse_version(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", version)]


def compact(releases: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
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
