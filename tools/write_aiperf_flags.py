"""Makes dynocheck/data/aiperf.json: the flags of `aiperf profile`, release by release.

    python -m tools.write_aiperf_flags

They are read from the source in the published wheels, which is never run: the names of each CLIParameter, and
the kinds of endpoint that the registry of plugins lists.
"""

import ast
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.packages import open_wheel

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "aiperf.json"
RELEASES = (
    "0.5.0",
    "0.6.0",
    "0.6.0.post1",
    "0.7.0",
    "0.8.0",
    "0.9.0",
    "0.10.0",
    "0.11.0",
    "0.12.0",
    "0.13.0",
)
_PLUGINS = "aiperf/plugin/plugins.yaml"


def main() -> None:
    """Writes the table: a row for each name, with the releases that have it and the values it takes there."""
    rows: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for at, release in enumerate(RELEASES):
        wheel = open_wheel(f"aiperf=={release}")
        kinds = list_endpoint_types(wheel)
        for name in sorted(set(read_names(wheel))):
            choices = kinds if name == "--endpoint-type" else ()
            rows.setdefault((name, choices), []).append(at)
    flags = [_make_row(name, choices, places) for (name, choices), places in sorted(rows.items())]
    lines = ",\n".join(json.dumps(flag) for flag in flags)
    TARGET.write_text(f'{{"releases": {json.dumps(RELEASES)}, "flags": [\n{lines}\n]}}\n')


def _make_row(name: str, choices: tuple[str, ...], places: list[int]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name}
    if choices:
        row["choices"] = choices
    if len(places) < len(RELEASES):
        row["in"] = places
    return row


def read_names(wheel: zipfile.ZipFile) -> Iterator[str]:
    """Every spelling of a parameter, and of its negation, in the source of a wheel."""
    for file in wheel.namelist():
        if file.endswith(".py") and b"CLIParameter(" in (source := wheel.read(file)):
            for node in ast.walk(ast.parse(source)):
                match node:
                    case ast.Call(ast.Name("CLIParameter"), _, keywords):
                        yield from _list_names(
                            [word.value for word in keywords if word.arg in ("name", "negative")]
                        )


def _list_names(values: list[ast.expr]) -> Iterator[str]:
    for value in values:
        for node in ast.walk(value):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("-"):
                yield node.value


def list_endpoint_types(wheel: zipfile.ZipFile) -> tuple[str, ...]:
    """The kinds of endpoint that a release can measure; none where they are not in the registry."""
    if _PLUGINS not in wheel.namelist():
        return ()
    return tuple(sorted(yaml.safe_load(wheel.read(_PLUGINS)).get("endpoint", ())))


if __name__ == "__main__":
    main()
