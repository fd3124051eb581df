"""Words that nobody takes, each in a script with one mistake."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.command_words import command_words
from dynocheck.checks.engine.flags import flags_known
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, get_coverage, judge, outcomes, read_lines, run_check
from tests.checks.manifests import engine, graph, job

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
        (f"{START} --model\u00a0a/b", START),
        (f"{START} --model 'a/b '", START),
        (f"{START} --model \u201ca/b\u201d", START),
        ("exec pyhton3 -m dynamo.vllm --model a/b", "pyhton3"),
        ("exec python3 dynamo.vllm --model a/b", "dynamo.vllm"),
        (f"{START} foo --model a/b", f"- {START} foo --model a/b"),
        (f"{START} --model a/b c/d", f"- {START} --model a/b c/d"),
        (f"{START} --model a/b \\\n  wait\n", "wait"),
        (f"{START} --model a/b \\ \n  --enforce-eager\n", "--enforce-eager"),
    ],
)
def test_a_word_that_nobody_takes(tmp_path: Path, script: str, line: str) -> None:
    given = run(tmp_path, script)
    assert outcomes(command_words, given) == ["fail"]
    (found,) = read_lines(command_words, given)
    assert line.removeprefix("- ") in found


def test_a_flag_with_a_no_break_blank_is_told_once(tmp_path: Path) -> None:
    given = run(tmp_path, f"{START} --model\u00a0a/b")
    assert [outcomes(command_words, given), judge(flags_known, given)] == [["fail"], []]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("aiperf profile \\\n  -m a/b \\\n  --url http://a:8000\n", []),
        ("aiperf profile \\\n  -m a/b\n  --url http://a:8000\n", ["--url http://a:8000"]),
        ("aiperf profile\n  -m a/b \\\n  --url http://a:8000\n", ["-m a/b \\"]),
    ],
)
def test_a_load_generator_without_a_backslash(tmp_path: Path, script: str, expected: list[str]) -> None:
    given = deploy(tmp_path, graph(engine()), job(script))
    assert read_lines(command_words, given) == expected


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
        f"{START} --model a/b --max-num-seqs ' 4'",  # int() takes it
        f"{START} --model 'a/b' --kv-events-config '{{\"a\": \" b\"}}'",
    ],
)
def test_words_that_are_taken(tmp_path: Path, script: str) -> None:
    given = run(tmp_path, script)
    assert outcomes(command_words, given) == []
    assert get_coverage(command_words, given) == (2, [])  # with the frontend


def serve(image: str, **container: Any) -> dict[str, Any]:
    """A Pod of one container."""
    spec = {"containers": [{"name": "server", "image": image, **container}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


RUNTIME = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0"
FRONT: dict[str, Any] = {"name": "front", "image": RUNTIME, "args": ["-m", "dynamo.frontend"]}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (graph(engine(main={"command": [], "args": ["--model", "a/b"]})), ["fail"]),  # of the operator's sh
        (graph(engine(main={"command": [], "args": [f"{START} --model a/b"]})), []),
        (graph(engine(main={"command": [], "args": ["python3", "-m", "dynamo.vllm"]})), ["fail"]),
        (serve("vllm/vllm-openai:v0.11.0", args=["--model", "a/b", "--quantization fp8"]), ["fail"]),
        (serve("registry/vllm:1", command=["vllm", "serve", "a/b", "--max-model-len 1024"]), ["fail"]),
        (serve("busybox", command=["echo", "--max-model-len 1024"]), []),
        (serve(RUNTIME, args=["--model", "a/b"]), ["fail"]),
        (serve("python:3.12", args=["-m", "http.server"]), ["fail"]),
        (serve("vllm/vllm-openai:v0.11.0", args=["--model", "a/b"]), []),
        (
            serve("vllm/vllm-openai:v0.4.1", command=["python3 -m vllm.entrypoints.openai.api_server"]),
            ["fail"],
        ),
        (serve("vllm/vllm-openai:v0.11.0", command=["vllm", "serve", "a/b"]), []),
        (serve("busybox", command=["sh", "-c", "sleep 1"]), []),
        (serve("busybox"), ["skip"]),
    ],
)
def test_containers_that_start_nothing(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(command_words, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(("sidecar", "expected"), [("front", []), ("other", ["fail"])])
def test_a_frontend_beside_a_worker_has_the_operators_command(
    tmp_path: Path, sidecar: str, expected: list[str]
) -> None:
    worker = engine(frontendSidecar=sidecar)
    worker["podTemplate"]["spec"]["containers"].append(FRONT)
    assert outcomes(command_words, deploy(tmp_path, graph(worker))) == expected


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


def test_a_module_in_a_script_that_cannot_be_parsed_is_no_command(tmp_path: Path) -> None:
    script = "X=$(id)\necho $(\ncd / &&& ls\nexec python3 -m dynamo.vllm --model a/b\n"
    given = deploy(tmp_path, graph(engine(main={"command": ["bash", "-c", f"true\n{script}"]})))
    assert "-m is run as a command" not in [f.message for f in run_check(command_words, given)]
