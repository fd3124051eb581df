"""`dynocheck load --engine`: engines that stand in for the real ones."""

import json
import os
from pathlib import Path

import pytest

from tests.command import ROOT, CommandResult, dynocheck, interrupt, run_inside, start, usage_error

SMALL = ("--requests", "12", "--isl", "20", "--osl", "8", "--warmup", "2")
BESIDE = {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent / 'engines'}"}


def load(engine: str, *arguments: str | Path, model: str = "some-model") -> CommandResult:
    return dynocheck("load", "--engine", engine, "--model", model, *SMALL, *arguments, env=BESIDE)


@pytest.mark.parametrize(("engine", "chunks"), [("vllm", 8), ("trtllm", 4)])
def test_the_same_words_without_a_server(engine: str, chunks: int, tmp_path: Path) -> None:
    saved = tmp_path / "run.json"
    ended = load(engine, "-o", "json", "--save", saved)
    assert ended.outcomes["load.errors"] == "pass", ended.err
    assert ended.row("load.requests").items() >= {"sent": 12, "ok": 12, "failed": 0}.items()
    assert ended.report["target"]["way"] == "in-process"
    held = json.loads(saved.read_text())["facts"]["LoadRun"]
    assert (held["path"], held["url"], held["model"]) == ("in-process", "in-process", "some-model")
    start_s, _, first_s, last_s, *_ = sample = held["points"][0]["samples"][0]
    assert 0.005 < first_s < last_s
    assert start_s >= 0
    assert sample[5:8] == [chunks, 20, 8]


def test_what_the_engine_prints_is_not_in_the_report() -> None:
    ended = load("vllm", "-o", "json")
    assert "an engine that talks" in ended.err
    assert "an engine that says goodbye" in ended.err
    assert ended.report["command"] == "load"


def test_its_own_parser_judges_its_flags_first() -> None:
    for engine, *good in (
        ("vllm", "--max-model-len", "64", "--dtype", "bfloat16"),
        ("trtllm", "--max-batch-size", "8", "--kv-cache-config={max_tokens: 9}"),
    ):
        assert load(engine, "-o", "json", "--", *good).outcomes["load.errors"] == "pass"
    for engine, says, *wrong in (
        ("vllm", "vLLM's own parser", "--dtype", "int3"),
        ("vllm", "vLLM's own parser", "--no-such-flag"),
        ("trtllm", "TensorRT-LLM", "--max-batch-size", "many"),
        ("trtllm", "TensorRT-LLM", "--no-such-field", "1"),
        ("trtllm", "TensorRT-LLM", "--max-batch-size"),
    ):
        ended = load(engine, "--", *wrong)
        assert (ended.code, ended.out) == (2, "")
        assert says in ended.err
        assert engine == "trtllm" or (wrong[0] in ended.err and "an engine that talks" not in ended.err)


def test_an_engine_that_does_not_start() -> None:
    ended = load("vllm", "-o", "json", model="no-such-model")
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"})
    message = ended.findings("load.errors")[0]["message"]
    assert "the engine does not start: OSError: no-such-model is not a local folder" in message


def test_an_engine_that_refuses_or_dies_fails_the_run() -> None:
    refused = load("vllm", "-o", "json", "--", "--max-model-len", "3")
    died = load("vllm", "-o", "json", "--osl", "13")
    for ended, said in ((refused, "longer than 3 tokens"), (died, "the engine is dead")):
        assert (ended.code, ended.outcomes["load.errors"]) == (1, "fail")
        (finding, *_) = ended.findings("load.errors")
        assert said in finding["message"]
        assert "standard error" in finding["fix"]


def test_messages_need_a_server(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"messages": [{"role": "user", "content": "hello"}]}\n')
    ended = load("vllm", "-o", "json", "--prompts", file)
    assert ended.outcomes["load.errors"] == "fail"
    assert "chat messages need a server" in ended.findings("load.errors")[0]["message"]


def test_ctrl_c_reports_what_was_measured() -> None:
    words = ("--engine", "vllm", "--model", "m", "--duration", "60", "--osl", "4", "-o", "json")
    with start("load", *words, env=BESIDE) as process:
        assert process.stderr is not None
        while "request 40" not in process.stderr.readline():  # well past the warm-up
            assert process.poll() is None
        ended = interrupt(process)
    requests = ended.row("load.requests")
    assert requests["failed"] == 0
    assert requests["ok"]


def test_wrong_usage() -> None:
    for engine, extra in (("vllm", "dynocheck[vllm]"), ("trtllm", "dynocheck[trtllm]")):
        absent = run_inside("load", "--engine", engine, "--model", "m")
        if absent.code != 2:
            pytest.skip(f"{engine} is installed here")
        assert len(absent.err.splitlines()) == 1
        assert extra in absent.err
    assert "--model DIR" in usage_error("load", "--engine", "vllm")
    for odd in (["--url", "http://h"], ["--workers", "2"], ["--insecure"], ["--from", "x"], ["--in-cluster"]):
        assert "--engine" in usage_error("load", "--engine", "vllm", "--model", "m", *odd)
