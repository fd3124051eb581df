"""What the tool that writes the tables reads in vLLM's source, against vLLM's own parser and classes."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT
from tests.vllm_cpu import parser
from tests.vllm_cpu.build import ENVIRONMENT
from tools.write_flags import list_mappings, read_vllm_flags, select_parser_modules

pytestmark = [pytest.mark.verify, pytest.mark.timeout(1800)]
NUMBERS = {"int": ["1"], "float": ["1", "1.5"], "units": ["1", "32k"]}


@pytest.fixture(scope="module")
def flags(vllm: Path) -> list[dict[str, Any]]:
    """The flags as they are read in the source."""
    return list(read_vllm_flags(sources(vllm)))


@pytest.fixture(scope="module")
def keys(vllm: Path, flags: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The classes as they are read in the source."""
    return {each["name"]: each["keys"] for each in list_mappings(sources(vllm), flags)}


@pytest.fixture(scope="module")
def real(vllm: Path, keys: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What vLLM itself says."""
    done = subprocess.run(
        [vllm, parser.__file__],
        input=json.dumps(keys),
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sources(vllm: Path) -> dict[str, str]:
    (packages,) = (vllm.parent.parent / "lib").glob("python*/site-packages")
    names = [str(path.relative_to(packages)) for path in (packages / "vllm").rglob("*.py")]
    return {name: (packages / name).read_text() for name in select_parser_modules(names, "vllm/")}


def test_the_flags_are_those_of_the_parser(flags: list[dict[str, Any]], real: dict[str, Any]) -> None:
    read = {name: flag for flag in flags for name in flag["names"]}
    taken = {name: flag for flag in real["flags"] for name in flag["names"]}
    switched = {name for name, flag in taken.items() if flag["negatable"] and name.startswith("--no-")}
    assert set(read) == set(taken) - switched
    assert len(read) > 200
    wrong = {name: (flag, taken[name]) for name, flag in read.items() if not agrees(flag, taken[name])}
    assert wrong == {}


def agrees(read: dict[str, Any], taken: dict[str, Any]) -> bool:
    """Whether all that was read of a flag is so; less may have been read than there is."""
    kind = read.get("kind", "value")
    counts = {"optional": "?", "many": "+", "switch": 0, "negatable": 0, "value": None}
    choices = set(taken["choices"] or ()) - {"None"}
    return (
        (kind == "unknown" or counts[kind] == taken["nargs"])
        and (kind == "unknown" or (kind == "negatable") is taken["negatable"])
        and ("choices" not in read or set(read["choices"]) == choices)
        and ("type" not in read or NUMBERS[read["type"]] == taken["reads"])
    )


def test_the_keys_are_those_of_the_classes(keys: dict[str, dict[str, str]], real: dict[str, Any]) -> None:
    assert len(keys) > 15
    missed = {name: set(real["fields"][name]) - set(known) for name, known in keys.items()}
    assert {name: found for name, found in missed.items() if found} == {}
    for name, known in keys.items():
        nested = [f"{key}.{parser.STRANGER}" for key, below in known.items() if below]
        assert real["refused"][name] == [parser.STRANGER, *nested], name
