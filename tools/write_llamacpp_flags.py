"""Makes dynocheck/data/llamacpp_flags.json: the flags and variables of llama.cpp's server, build by build.

    python -m tools.write_llamacpp_flags

They are read from the parser's source in the source distributions of xllamacpp on PyPI, whose versions end
with the number of llama.cpp's build: 2026.10.11549 holds b11549.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tools.packages import list_versions, open_source
from tools.write_flags import compact

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "llamacpp_flags.json"
_PACKAGE = "xllamacpp"
_VERSION = re.compile(r"20\d\d\.\d+\.(\d+)(?:\.\d+)?")
_SOURCE = "thirdparty/llama.cpp/common/arg.cpp"
_OPTION = re.compile(r"add_opt\(common_arg\(\s*\{(?P<names>[^{}]*)\}\s*,\s*(?:\{(?P<negated>[^{}]*)\}\s*,)?")
_NAME = re.compile(r"\"(-[^\"]+)\"")
_HANDLER = re.compile(r"\[[^\]]*\]\(\s*common_params\s*&\s*\w*(?:\s*,\s*(?P<values>[^)]*))?\)")
_PROGRAMS = re.compile(r"set_examples\(\{([^}]*)\}")
_EXCLUDED = re.compile(r"set_excludes\(\{([^}]*)\}")
_VARIABLE = re.compile(r"set_env\(\"(\w+)\"\)")
_SERVER = {"LLAMA_EXAMPLE_SERVER", "LLAMA_EXAMPLE_COMMON"}


def main() -> None:
    """Writes the table."""
    builds = {int(m[1]): version for version in list_versions(_PACKAGE) if (m := _VERSION.fullmatch(version))}
    flags, variables = {}, {}
    for build, version in sorted(builds.items()):
        with open_source(_PACKAGE, version) as archive:
            member = next(name for name in archive.getnames() if name.endswith(_SOURCE))
            found = list(read_options(archive.extractfile(member).read().decode()))  # type: ignore[union-attr]
        flags[f"b{build}"] = [{key: flag[key] for key in flag if key != "env"} for flag in found]
        variables[f"b{build}"] = [
            {"names": [flag["env"]], "type": flag["type"]}
            for flag in found
            if "env" in flag and "type" in flag
        ]
    row = {
        "releases": list(flags),
        "flags": sorted(compact(flags), key=lambda flag: flag["names"]),
        "mappings": [],
        "variables": sorted(compact(variables), key=lambda flag: flag["names"]),
    }
    TARGET.write_text(json.dumps(row, indent=0, sort_keys=True) + "\n")


def read_options(source: str) -> Iterator[dict[str, Any]]:
    """The options that the server takes, each with the variable that stands for it."""
    source = re.sub(r"^\s*//.*\n", "", source, flags=re.MULTILINE)
    starts = [*(match.start() for match in _OPTION.finditer(source)), len(source)]
    for start, end in pairwise(starts):
        block = source[start:end]
        option, handler = _OPTION.match(block), _HANDLER.search(block)
        chosen, excluded = _PROGRAMS.search(block), _EXCLUDED.search(block)
        used_by = set(re.findall(r"\w+", chosen[1])) if chosen is not None else _SERVER
        if option is None or handler is None or not used_by & _SERVER:
            continue
        if excluded is not None and "LLAMA_EXAMPLE_SERVER" in excluded[1]:
            continue
        values = [each for each in (handler["values"] or "").split(",") if each.strip()]
        names = _NAME.findall(option["names"]) + _NAME.findall(option["negated"] or "")
        if not names:
            continue
        if not values or (option["negated"] and "bool" in values[0]):
            kind: dict[str, Any] = {"kind": "switch"}
        elif len(values) > 1:
            kind = {"kind": "unknown"}
        else:
            kind = {"type": "int"} if re.match(r"\s*int\b", values[0]) else {}
        variable = _VARIABLE.search(block)
        yield {"names": sorted(names)} | kind | ({"env": variable[1]} if variable is not None else {})


if __name__ == "__main__":
    main()
