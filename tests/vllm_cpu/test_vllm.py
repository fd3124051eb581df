"""The real vLLM: as an engine in this process for `dynocheck load`, and as a server for `dynocheck smoke`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command import ROOT, Ended
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


def dynocheck(python: Path, *arguments: str | Path) -> Ended:
    """Run it under the Python that has vLLM."""
    done = subprocess.run(
        [python, "-m", "dynocheck", *arguments],
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_in_process(vllm: Path, model: Path) -> None:
    load = ("load", "--engine", "vllm", "--model", model, "--requests", "12", "--isl", "20", "--osl", "8")
    ended = dynocheck(vllm, *load, "-o", "json", "--", *FLAGS)
    assert ended.outcomes["load.errors"] == "pass", ended.err[-2000:]
    (requests,) = [each for each in ended.report["tables"] if each["id"] == "load.requests"]
    row = dict(zip(requests["columns"], requests["rows"][0], strict=True))
    assert (row["sent"], row["ok"]) == (12, 12)

    refused = dynocheck(vllm, *load, "--", "--dtype", "int3")
    assert (refused.code, "vLLM's own parser: argument --dtype" in refused.err) == (2, True)


def test_as_a_server(vllm: Path, model: Path, tmp_path: Path) -> None:
    """From its start on: smoke waits for it."""
    port = str(free_port())
    serve = [str(vllm), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", port]
    serve += ["--served-model-name", "tiny", *FLAGS]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(serve, env={**os.environ, **ENVIRONMENT}, stdout=log, stderr=log) as server,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            ended = dynocheck(vllm, "smoke", "--url", url, "--timeout", "600", "-o", "json")
        finally:
            server.terminate()
    bad = {check: outcome for check, outcome in ended.outcomes.items() if outcome in ("fail", "error")}
    assert bad == {}, (tmp_path / "log").read_text()[-2000:]
    for check in ("endpoint.ready", "endpoint.steady", "load.errors"):
        assert ended.outcomes[check] == "pass"
