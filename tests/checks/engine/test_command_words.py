"""Words that nobody takes, each in a script with one mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.engine.command_words import command_words
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, get_coverage, outcomes, read_lines
from tests.checks.manifests import engine, graph

START = "python3 -m dynamo.vllm"
SHELL = ["/bin/sh", "-c"]


def run(folder: Path, *args: str, command: list[str] | None = None) -> Recipes:
    """A worker with this command and arguments."""
    main = {"command": SHELL if command is None else command, "args": list(args)}
    return deploy(folder, graph(engine(main=main)))


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (f"{START} \\\n  --model a/b\n  --tensor-parallel-size 4\n", "--tensor-parallel-size 4"),
        (
            f"{START} \\\n  --model a/b \\\n  # sizes\n  --tensor-parallel-size 4\n",
            "--tensor-parallel-size 4",
        ),
        (f"{START} \\ --model a/b", f"- {START} \\ --model a/b"),  # what >- makes of continued lines
        (f"cd /workspace {START} --model a/b", f"- cd /workspace {START} --model a/b"),
        (f"ulimit -l unlimited X=0 {START} --model a/b", f"- ulimit -l unlimited X=0 {START} --model a/b"),
        (f"{START} \u2013model a/b", START),
        (f"{START} --model \u201ca/b\u201d", START),
        (f"{START} foo --model a/b", f"- {START} foo --model a/b"),
        (f"{START} --model a/b c/d", f"- {START} --model a/b c/d"),
        (f"{START} --model a/b \\\n  wait\n", "wait"),
    ],
)
def test_a_word_that_nobody_takes(tmp_path: Path, script: str, line: str) -> None:
    given = run(tmp_path, script)
    assert outcomes(command_words, given) == ["fail"]
    (found,) = read_lines(command_words, given)
    assert line.removeprefix("- ") in found


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_quote_that_does_not_end(tmp_path: Path, quote: str) -> None:
    given = run(tmp_path, f"set -e\n{START} \\\n  --model {quote}a/b \\\n  --tensor-parallel-size 4\n")
    assert outcomes(command_words, given) == ["fail"]
    assert read_lines(command_words, given) == [f"--model {quote}a/b \\"]


def test_a_program_that_export_takes_as_its_words(tmp_path: Path) -> None:
    assert outcomes(command_words, run(tmp_path, f"export A=1 {START} --model a/b")) == ["fail"]


def test_a_command_that_is_one_string(tmp_path: Path) -> None:
    given = run(tmp_path, command=[f"{START} --model a/b"])
    assert outcomes(command_words, given) == ["fail"]


@pytest.mark.parametrize(
    "script",
    [
        f"{START} --model a/b",
        f"cd /workspace && {START} --model a/b",
        f"ulimit -l unlimited\nexec {START} --model a/b",
        f"echo {START}\n{START} --model a/b",
        f"{START} \\\n  --model a/b \\\n  --enforce-eager\n",
        f"{START} --model a/b --served-model-name c d",
        f"if true; then\n  {START} --model a/b\nfi",
        f"{START} --model 'a/b' --kv-events-config '{{\"a\": \" b\"}}'",
    ],
)
def test_words_that_are_taken(tmp_path: Path, script: str) -> None:
    given = run(tmp_path, script)
    assert outcomes(command_words, given) == []
    assert get_coverage(command_words, given) == (2, [])  # with the frontend


def test_arguments_alone_are_the_entry_points(tmp_path: Path) -> None:
    given = run(tmp_path, "--model", "a/b", command=[])
    assert "fail" not in outcomes(command_words, given)


def test_the_arguments_of_a_script_are_its_words(tmp_path: Path) -> None:
    command = ["/bin/bash", "-c", 'exec python3 "$@"', "--"]
    assert outcomes(command_words, run(tmp_path, "-m", "dynamo.vllm", "foo", command=command)) == ["fail"]
    assert (
        outcomes(command_words, run(tmp_path, "-m", "dynamo.vllm", "--model", "a/b", command=command)) == []
    )


def test_words_of_the_running_container_are_not_judged(tmp_path: Path) -> None:
    given = run(tmp_path, f"{START} --model a/b $(cat /flags)")
    assert outcomes(command_words, given) == []
    assert get_coverage(command_words, given) == (1, ["w: dynamo.vllm"])
