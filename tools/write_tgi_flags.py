"""Makes dynocheck/data/tgi_flags.json: the flags and variables of TGI's launcher, release by release.

    python -m tools.write_tgi_flags CHECKOUT

They are read from the launcher's source at each tag of a checkout of huggingface/text-generation-inference.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.write_flags import compact

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "tgi_flags.json"
_SOURCE = "launcher/src/main.rs"
_TAG = re.compile(r"v(?!0\.)(\d+\.\d+\.\d+)")
_FIELD = re.compile(r"#\[clap\((?P<how>[^\]]*)\)\]\s*(?P<name>\w+): (?P<type>[\w<>]+),")
_ENUM = re.compile(r"\benum (\w+) \{(.*?)\n\}", re.DOTALL)
_VARIANT = re.compile(r"(?:#\[clap\(name = \"([^\"]+)\"\)\]\s*)?\b([A-Z]\w*)\b\s*(?:,|$)", re.MULTILINE)
_TYPES: dict[str, dict[str, Any]] = {
    **{name: {"type": "int", "ge": 0} for name in ("usize", "u16", "u32", "u64")},
    "f32": {"type": "float"},
    "bool": {"choices": ["true", "false"]},
}


def main() -> None:
    """Writes the table."""
    checkout = Path(sys.argv[1])
    tags = _git(checkout, "tag", "--list").split()
    numbers = sorted((m[1] for tag in tags if (m := _TAG.fullmatch(tag))), key=_parse_version)
    flags, variables = {}, {}
    for number in numbers:
        found = list(_read_flags(_git(checkout, "show", f"v{number}:{_SOURCE}")))
        flags[number] = [{key: flag[key] for key in flag if key != "env"} for flag in found]
        variables[number] = [
            {"names": [flag["env"]], **{key: flag[key] for key in ("type", "ge", "choices") if key in flag}}
            for flag in found
            if flag.get("env") and ("type" in flag or "choices" in flag)
        ]
    row = {
        "releases": numbers,
        "flags": sorted(compact(flags), key=lambda flag: flag["names"]),
        "mappings": [],
        "variables": sorted(compact(variables), key=lambda flag: flag["names"]),
    }
    TARGET.write_text(json.dumps(row, indent=0, sort_keys=True) + "\n")


def _read_flags(source: str) -> Iterator[dict[str, Any]]:
    """The flags of the launcher, each with the variable that stands for it."""
    source = re.sub(r"^\s*//.*\n", "", source, flags=re.MULTILINE)
    enums = {name: [*_list_variants(body)] for name, body in _ENUM.findall(source)}
    arguments = source[source.index("struct Args {") :]
    for field in _FIELD.finditer(arguments[: arguments.index("\n}")]):
        how = re.split(r",\s*", re.sub(r'"[^"]*"', "", field["how"]))
        names = [f"--{field['name'].replace('_', '-')}"] + (
            [f"-{field['name'][0]}"] if "short" in how else []
        )
        inner = field["type"].removeprefix("Option<").removesuffix(">")
        kind: dict[str, Any] = {"choices": enums[inner]} if inner in enums else dict(_TYPES.get(inner, {}))
        if field["type"] == "bool":
            kind = {"kind": "switch"}
        yield {"names": names, **kind} | ({"env": field["name"].upper()} if "env" in how else {})


def _list_variants(body: str) -> Iterator[str]:
    for name, variant in _VARIANT.findall(body):
        yield name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", variant).lower()


def _parse_version(number: str) -> list[int]:
    return [int(part) for part in number.split(".")]


def _git(checkout: Path, *words: str) -> str:
    return subprocess.check_output(["git", "-C", str(checkout), *words], text=True)


if __name__ == "__main__":
    main()
