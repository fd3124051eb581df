"""The real vLLM: as an engine in this process for `dynocheck load`, and as a server for `dynocheck smoke`."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import ROOT, CommandResult
from tests.controlplane.processes import free_port
from tests.dynamo.build import Home
from tests.vllm_cpu.build import ENVIRONMENT

pytestmark = [pytest.mark.verify, pytest.mark.timeout(1800)]
FLAGS = ("--load-format", "dummy", "--dtype", "bfloat16", "--enforce-eager", "--max-model-len", "512")


@pytest.fixture(scope="module")
def model(dynamo_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model without weights, whose heads are as wide as vLLM's kernels for CPUs want them."""
    folder = tmp_path_factory.mktemp("vllm") / "model"
    shutil.copytree(dynamo_home.model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 256}))
    return folder


def dynocheck(python: Path, *arguments: str | Path) -> CommandResult:
    """Run it under the Python that has vLLM."""
    done = subprocess.run(
        [python, "-m", "dynocheck", *arguments],
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return CommandResult(done.returncode, done.stdout, done.stderr)


def test_in_process(vllm: Path, model: Path) -> None:
    load = ("load", "--engine", "vllm", "--model", model, "--requests", "12", "--isl", "20", "--osl", "8")
    ended = dynocheck(vllm, *load, "-o", "json", "--", *FLAGS)
    assert ended.outcomes["load.errors"] == "pass", ended.err[-2000:]
    (requests,) = [each for each in ended.report["tables"] if each["id"] == "load.requests"]
    row = dict(zip(requests["columns"], requests["rows"][0], strict=True))
    assert (row["sent"], row["ok"]) == (12, 12)

    refused = dynocheck(vllm, *load, "--", "--dtype", "int3")
    assert (refused.code, "vLLM's own parser: argument --dtype" in refused.err) == (2, True)


@contextmanager
def server(python: Path, model: Path, log: Path, *flags: str) -> Iterator[str]:
    """VLLM's own, from its start on: who asks waits for it."""
    port = str(free_port())
    serve = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", port]
    serve += ["--served-model-name", "tiny", *flags]
    with (
        log.open("wb") as out,
        subprocess.Popen(serve, env={**os.environ, **ENVIRONMENT}, stdout=out, stderr=out) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def test_as_a_server(vllm: Path, model: Path, tmp_path: Path) -> None:
    with server(vllm, model, tmp_path / "log", *FLAGS) as url:
        ended = dynocheck(vllm, "smoke", "--url", url, "--timeout", "600", "-o", "json")
    bad = {check: outcome for check, outcome in ended.outcomes.items() if outcome in ("fail", "error")}
    assert bad == {}, (tmp_path / "log").read_text()[-2000:]
    for check in ("endpoint.ready", "endpoint.steady", "load.errors"):
        assert ended.outcomes[check] == "pass"


# Tool calls and structured output. The engine's grammar makes any model follow a schema, and not come to an
# end: one of random weights writes white space for ever where a schema lets it.

PARSER = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
TOOL, STRUCTURE = "endpoint.tool-call", "endpoint.structured"


@pytest.fixture(scope="module")
def brief(vllm: Path, dynamo_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with weights, that takes the shortest way through a grammar."""
    folder = tmp_path_factory.mktemp("vllm") / "brief"
    shutil.copytree(dynamo_home.model, folder)
    subprocess.run([vllm, Path(__file__).with_name("model.py"), folder], check=True)
    return folder


def skills(python: Path, url: str) -> CommandResult:
    wanted = ("--select", "endpoint.ready", "--select", TOOL, "--select", STRUCTURE)
    ended = dynocheck(
        python, "smoke", "--url", url, "--tools", "--structured", *wanted, "--timeout", "600", "-o", "json"
    )
    assert ended.outcomes["endpoint.ready"] == "pass"
    return ended


def test_tools_and_structure(vllm: Path, brief: Path, tmp_path: Path) -> None:
    with server(vllm, brief, tmp_path / "log", "--enforce-eager", "--max-model-len", "512", *PARSER) as url:
        ended = skills(vllm, url)
    assert (ended.outcomes[TOOL], ended.outcomes[STRUCTURE]) == ("pass", "pass"), ended.out


def test_tools_without_a_parser(vllm: Path, brief: Path, tmp_path: Path) -> None:
    with server(vllm, brief, tmp_path / "log", "--enforce-eager", "--max-model-len", "512") as url:
        ended = skills(vllm, url)
    assert (ended.outcomes[TOOL], ended.outcomes[STRUCTURE]) == ("fail", "pass"), ended.out
    (finding,) = ended.findings(TOOL)
    assert "HTTP 400" in finding["message"]
    assert "--tool-call-parser" in finding["message"]


def test_a_model_that_never_ends_tells_nothing_of_either(vllm: Path, model: Path, tmp_path: Path) -> None:
    with server(vllm, model, tmp_path / "log", *FLAGS, *PARSER) as url:
        ended = skills(vllm, url)
    assert (ended.outcomes[TOOL], ended.outcomes[STRUCTURE]) == ("unknown", "unknown"), ended.out
    assert "limit of 256 tokens" in ended.findings(TOOL)[0]["message"]
