"""What real engines say when they are broken: Dynamo 1.6.1 with its mocker; vLLM on CPUs by `make verify`."""

import json
import os
import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.diagnosis.conftest import diagnose, list_problems
from tests.diagnosis.stage import Stage, crashed, running
from tests.dynamo.build import Home
from tests.vllm_cpu.build import ENVIRONMENT
from tests.vllm_cpu.conftest import vllm as vllm

_LIMIT_S = 8.0  # after which what still runs is ended, as its log says enough


@dataclass(frozen=True)
class Break:
    """A program whose words or variables are wrong, and what must be said of it.

    `{model}` is the folder of a model, which `spoil` changes first, and `{port}` a port that is taken.
    """

    title: str
    module: str
    words: Sequence[str]
    says: str
    env: Mapping[str, str] = field(default_factory=dict)
    spoil: Callable[[Path], object] = lambda folder: None

    def __str__(self) -> str:
        return self.title


_FRONTEND, _WORKER = "dynamo.frontend", "dynamo.mocker"
_FILES = ("--discovery-backend", "file")
_MODEL = ("--model-path", "{model}", "--model-name", "tiny", "--max-model-len", "2048")
_NOWHERE = {"NATS_SERVER": "nats://127.0.0.1:1", "ETCD_ENDPOINTS": "http://127.0.0.1:1"}


def _list_breaks() -> Iterator[Break]:
    def worker(title: str, *words: str, says: str, **more: object) -> Break:
        chosen = () if "--discovery-backend" in words else _FILES
        return Break(title, _WORKER, (*_MODEL, *chosen, *words), says, **more)  # type: ignore[arg-type]

    yield worker("a request plane", says="request plane", env={"DYN_REQUEST_PLANE": "http"})
    yield worker("an event plane", says="DYN_EVENT_PLANE", env={"DYN_EVENT_PLANE": "kafka"})
    yield worker("no etcd", "--discovery-backend", "etcd", says="reaches none", env=_NOWHERE)
    yield worker("no NATS", "--request-plane", "nats", says="needs NATS", env=_NOWHERE)
    yield worker("no NATS for events", "--event-plane", "nats", says="needs NATS", env=_NOWHERE)
    yield worker("a flag", "--tensor-paralel-size", "2", says="one of its arguments")
    yield worker("a number", "--block-size", "x", says="--block-size")
    yield worker("no pod", "--discovery-backend", "kubernetes", says="needs the name of the pod")
    yield worker("a file", "--extra-engine-args", "/none.json", says="/none.json")
    yield worker("ports", "--disaggregation-mode", "prefill", "--bootstrap-ports", "x", says="'x'")
    yield worker("a variable", says="SYSTEM_PORT", env={"DYN_SYSTEM_PORT": "70000"})
    yield worker("no folder", says="find each other", env={"DYN_FILE_KV": "/dev/null/kv"})
    broken = lambda folder: (folder / "config.json").write_text("{")  # noqa: E731
    yield worker("a broken model", says="missing or broken", spoil=broken)
    empty = lambda folder: (folder / "config.json").unlink()  # noqa: E731
    yield worker("a model without configuration", says="missing or broken", spoil=empty)
    port = ("--http-port", "{port}", *_FILES)
    yield Break("a port", _FRONTEND, port, "another process has the port")
    mode = ("--http-port", "0", *_FILES, "--router-mode", "fastest")
    yield Break("a router", _FRONTEND, mode, "--router-mode")
    tls = ("--http-port", "0", *_FILES, "--tls-cert-path", "/none.pem", "--tls-key-path", "/none.key")
    yield Break("a certificate", _FRONTEND, tls, "certificate")
    for engine in ("vllm", "sglang", "trtllm"):
        yield Break(f"no {engine}", f"dynamo.{engine}", ("--model", "{model}"), "not in the image")
    yield Break("a module", "dynamo.none", (), "not in the image")


BREAKS = [*_list_breaks()]
SAMPLE = random.Random(17).sample(BREAKS, 3)


def sample(breaks: Sequence[Break]) -> list[ParameterSet]:
    return [pytest.param(b, id=str(b), marks=() if b in SAMPLE else pytest.mark.verify) for b in breaks]


def run(python: Path, case: Break, model: Path, folder: Path) -> tuple[int | None, str]:
    """Run the program until it ends, or for some seconds; give its exit code and what it said."""
    spoilt = folder / "model"
    shutil.copytree(model, spoilt)
    case.spoil(spoilt)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "HF_HUB_OFFLINE": "1", "DYN_LOGGING_JSONL": "0"}
    env |= {"DYN_FILE_KV": str(folder / "kv"), **ENVIRONMENT, **case.env}
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = [word.replace("{model}", str(spoilt)).replace("{port}", port) for word in case.words]
        log = folder / "engine.log"
        with log.open("wb") as out:
            command = [str(python), "-m", case.module, *words]
            process = subprocess.Popen(command, env=env, cwd=folder, stdout=out, stderr=out)
            try:
                code: int | None = process.wait(_LIMIT_S if case.module.startswith("dynamo.") else 120)
            except subprocess.TimeoutExpired:
                code = None
                process.kill()
                process.wait()
    return code, log.read_text(errors="replace")


def judge(stage: Stage, code: int | None, log: str, case: Break) -> None:
    """A pod with this log: the cause is named, alone."""
    if code is None:
        stage.deploy(ready=False, status=running(900, ready=False))
    else:
        stage.deploy(ready=False, status=crashed(code))
    stage.log(log)
    _, verdicts = diagnose(stage)
    check = "symptom.not-ready" if code is None else "symptom.crash"
    problems = list_problems(verdicts)
    assert [(name, found["outcome"]) for name, found in problems] == [(check, "fail")], log[-2000:]
    told = f"{problems[0][1]['message']} {problems[0][1]['fix']}"
    assert case.says in told, (told, log[-2000:])


@pytest.mark.parametrize("case", sample(BREAKS))
def test_dynamo(stage: Stage, dynamo_home: Home, tmp_path: Path, case: Break) -> None:
    code, log = run(dynamo_home.python, case, dynamo_home.model, tmp_path)
    judge(stage, code, log, case)


_VLLM = "vllm.entrypoints.openai.api_server"
_SERVE = ("--model", "{model}", "--load-format", "dummy", "--dtype", "bfloat16", "--enforce-eager")


def _edit(**fields: object) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))

    return spoil


_VLLM_BREAKS = (
    Break("a flag", _VLLM, (*_SERVE, "--tensor-paralel-size", "2"), "one of its arguments"),
    Break("a context", _VLLM, (*_SERVE, "--max-model-len", "9999999"), "--max-model-len"),
    Break("an architecture", _VLLM, _SERVE, "architecture", spoil=_edit(architectures=["NoneForCausalLM"])),
    Break("heads", _VLLM, (*_SERVE, "--tensor-parallel-size", "3"), "heads"),
    Break("no model", _VLLM, ("--model", "/models/none"), "/models/none"),
    Break("a parser", _VLLM, (*_SERVE, "--tool-call-parser", "none", "--enable-auto-tool-choice"), "parser"),
)


@pytest.mark.verify
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", _VLLM_BREAKS, ids=str)
def test_vllm(stage: Stage, vllm: Path, dynamo_home: Home, tmp_path: Path, case: Break) -> None:
    code, log = run(vllm, case, dynamo_home.model, tmp_path)
    judge(stage, code, log, case)
