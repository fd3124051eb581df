"""The parser of an installed engine, here a stand-in made of argparse."""

import json
from pathlib import Path

import pytest

from dynocheck.data.flags import FlagTable, flag_tables
from dynocheck.engines import local_parser
from dynocheck.facts import Launch, Word
from tests.checks.manifests import dump_objects, engine, graph
from tests.command import ROOT, CommandResult, dynocheck

UTILS = """
import argparse

class FlexibleArgumentParser(argparse.ArgumentParser):
    pass
"""
ARGS = """
import sys
print("a banner on standard output")
print("a warning", file=sys.stderr)

class AsyncEngineArgs:
    @staticmethod
    def add_cli_args(parser, async_args_only=False):
        parser.add_argument("--model")
        parser.add_argument("--tensor-parallel-size", "-tp", type=int)
        parser.add_argument("--max-model-len", type=int)
        parser.add_argument("--max-num-seqs", type=int)
        parser.add_argument("--only-here", action="store_true")
        return parser
"""


def package(
    folder: Path, version: str = "0.23.0", utils: str = "utils/argparse_utils.py", args: str = ARGS
) -> Path:
    """A package named vllm, with its metadata, for PYTHONPATH."""
    files = {
        **dict.fromkeys(("vllm/__init__.py", "vllm/utils/__init__.py", "vllm/engine/__init__.py"), ""),
        f"vllm/{utils}": UTILS,
        "vllm/engine/arg_utils.py": args,
        f"vllm-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = package(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(found))
    return found


@pytest.mark.parametrize("utils", ["utils/argparse_utils.py", "utils/__init__.py"])
def test_it_says_what_its_parser_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, utils: str) -> None:
    says = {
        "--model m -tp 2 --only-here": None,
        "--tensor-parallel-size two": "argument --tensor-parallel-size/-tp: invalid int value: 'two'",
        "--modell m": "unrecognized arguments: --modell m",
        "--max-n 2": None,
        "--max 2": "ambiguous option: --max could match --max-model-len, --max-num-seqs",
        "--help": "unrecognized arguments: --help",
        "": None,
    }
    monkeypatch.setenv("PYTHONPATH", str(package(tmp_path, utils=utils)))
    found = local_parser.check_command_lines("vllm", [line.split() for line in says], 30)
    assert dict(zip(says, found, strict=True)) == says


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("raise RuntimeError('Failed to infer device type')", "RuntimeError: Failed to infer device type"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import time; time.sleep(60)", "was not imported in 1 s"),
    ],
)
def test_an_engine_that_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: str, says: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(package(tmp_path, args=args)))
    with pytest.raises(local_parser.ParserUnavailable, match=says):
        local_parser.check_command_lines("vllm", [[]], 1 if "sleep" in args else 30)


def launch(*texts: str | None) -> Launch:
    return Launch("dynamo.vllm", tuple(Word(text, 1, at) for at, text in enumerate(texts)), 1, 1)


@pytest.mark.parametrize(
    ("texts", "left"),
    [
        (["--model", "m", "--disaggregation-mode", "prefill"], ["--model", "m"]),
        (["--disaggregation-mode=prefill", "-tp", "2"], ["-tp", "2"]),
        (["--no-durable-kv-events", "--seed", "-1"], ["--seed", "-1"]),
        (["--unheard-of", "x"], ["--unheard-of", "x"]),
        (["--model", None], None),
        (["--config", "/etc/engine.yaml"], None),
        (["--model", "m", "--", "x"], None),
    ],
)
def test_the_engine_gets_what_dynamo_leaves(texts: list[str | None], left: list[str] | None) -> None:
    own: FlagTable = flag_tables("dynamo.vllm", "1.3.0")[0]
    assert local_parser.select_engine_words(launch(*texts), own) == left


# The command line


def judged(site: Path, folder: Path, *args: str, option: str = "--engine-parser") -> CommandResult:
    folder.mkdir(exist_ok=True)
    (folder / "deploy.yaml").write_text(dump_objects(graph(engine(*args))))
    options = (*((option,) if option else ()), "--select", "engine.flags-known", "--select", "engine.values")
    return dynocheck("recipe", folder, *options, "-o", "json", env={"PYTHONPATH": f"{ROOT}:{site}"})


def test_its_word_counts_more_than_the_table(vllm: Path, tmp_path: Path) -> None:
    assert judged(vllm, tmp_path / "r", "--only-here", option="").outcomes["engine.flags-known"] == "fail"
    ended = judged(vllm, tmp_path / "r", "--only-here")
    assert ended.outcomes == {"engine.flags-known": "pass", "engine.values": "pass"}


def test_its_errors_stand_at_the_flag(vllm: Path, tmp_path: Path) -> None:
    ended = judged(vllm, tmp_path / "r", "--tensor-parallel-size", "two")
    finding = ended.finding("engine.values")
    assert finding["message"] == "w: argument --tensor-parallel-size/-tp: invalid int value: 'two'"
    line = (tmp_path / "r" / "deploy.yaml").read_text().splitlines()[finding["location"]["line"] - 1]
    assert line.strip() == "- --tensor-parallel-size"
    assert "installed here" in json.dumps(finding["evidence"])
    assert ended.outcomes["engine.flags-known"] == "pass"


def test_dynamos_own_flags_are_judged_as_before(vllm: Path, tmp_path: Path) -> None:
    ended = judged(vllm, tmp_path / "r", "--benchmark-mode", "both", "--gpu-memory-utilization", "0.9")
    assert ended.finding("engine.values")["message"].startswith("w: --benchmark-mode is both;")
    said = ended.finding("engine.flags-known")["message"]
    assert said == "w: unrecognized arguments: --gpu-memory-utilization 0.9"


@pytest.mark.parametrize(("version", "outcome"), [("0.31.0", "fail"), ("0.23.0+cpu", "pass")])
def test_another_release_is_judged_by_the_table(tmp_path: Path, version: str, outcome: str) -> None:
    """And a build of the release is the release."""
    site = package(tmp_path / "site", version)
    assert judged(site, tmp_path / "r", "--only-here").outcomes["engine.flags-known"] == outcome


def test_a_missing_engine_is_unknown(tmp_path: Path) -> None:
    ended = judged(tmp_path, tmp_path / "r", "--tensor-paralel-size", "2")
    outcomes = [(f["outcome"], f["message"]) for f in ended.findings("engine.flags-known")]
    assert ("unknown", "engine parser not used: none of vllm is installed here") in outcomes
    assert len(outcomes) == 2  # the table goes on
    assert ended.code == 1
