"""What a terminal shows of ten runs and of two samples, at three widths, as files: tests/reports/golden.

`make renew` writes them anew. `smoke.json` there is the report of a run against an engine that lost its model
on one of the workers, `load.json` a load whose times are edited: it shows
a layout, and says nothing of speed.
"""

import json
import os
import re
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from dynocheck.core.outcomes import Report
from dynocheck.reports import ReportOptions, render_report
from dynocheck.reports._causes import group_causes
from tests.checks.manifests import dump_objects, engine, graph
from tests.command import ROOT, run_inside
from tests.kube.servers import Request, reply, serve
from tests.reports.samples import every_outcome, with_table
from tests.wording import RENEW

GOLDEN = Path(__file__).with_name("golden")
DEMO = "preflight", "--snapshot", "dynocheck/data/demo.json"
NOT_SOUND = "gpu.allocatable", "rdma.gpudirect", "storage.rwx-class"
WIDTHS = (40, 80, 200)
FIRST_LINES = 20
_PORT = re.compile(r"127\.0\.0\.1:\d+")


def judge(*arguments: str | Path, cwd: Path = ROOT) -> Report:
    """The report of a run, with the same time and port in each."""
    ended = run_inside(*arguments, "-o", "json", cwd=cwd)
    report = msgspec.json.decode(_PORT.sub("127.0.0.1:6443", ended.out), type=Report)
    return msgspec.structs.replace(report, duration_s=1.0)


def judge_tree(files: dict[str, str]) -> Report:
    with TemporaryDirectory() as folder:
        for name, text in files.items():
            file = Path(folder, "models", name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return judge("recipe", "models", cwd=Path(folder))


def deployment(name: str, *workers: dict[str, Any]) -> str:
    image = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0"
    pod = {"spec": {"containers": [{"name": "main", "image": image}]}}
    front = {"name": "Frontend", "type": "frontend", "podTemplate": pod}
    return dump_objects(graph(front, *workers, name=name))


def preflight(kubeconfig: Callable[[Path], Path]) -> Report:
    with TemporaryDirectory() as folder:
        return judge("preflight", "--kubeconfig", kubeconfig(Path(folder)))


def many_of_one_cause() -> Report:
    """Seven variants of a recipe with the same misspelt flag."""
    names = [f"agg-{n}" for n in range(1, 8)]
    flag = "--max-model-length", "8192"
    return judge_tree({f"qwen/vllm/{name}/deploy.yaml": deployment(name, engine(*flag)) for name in names})


def large() -> Report:
    """Sixty graphs, each with several failures and warnings."""
    files = {}
    for number in range(60):
        slow = engine("--tensor-parallel-size", "2", name="slow", image="vllm:latest")
        broken = deployment(f"graph-{number}", engine("--block-sise", "16", gpus=2), slow)
        files[f"team-{number % 6}/vllm/graph-{number}/deploy.yaml"] = broken
    return judge_tree(files)


def no_rights() -> Report:
    """A user who may do nothing but ask who may do what."""

    def answer(request: Request, _: socket.socket) -> bytes:
        if request.path == "/version":
            return reply(200, {"gitVersion": "v1.36.3", "platform": "linux/amd64"})
        if request.method == "POST":
            return reply(201, json.loads(request.body) | {"status": {"allowed": False}})
        resource = request.path.rstrip("/").rpartition("/")[2]
        message = f'{resource} is forbidden: User "dev" cannot list resource "{resource}"'
        return reply(403, {"message": message})

    with serve(answer) as server:
        return preflight(server.kubeconfig)


def unreachable() -> Report:
    with serve(None) as server:
        pass
    return preflight(server.kubeconfig)


def smoke() -> Report:
    return msgspec.json.decode((GOLDEN / "smoke.json").read_bytes(), type=Report)


RUNS: dict[str, Callable[[], Report]] = {
    "every-outcome": every_outcome,
    "table": with_table,
    "sound": lambda: judge(*DEMO, *(f"--skip={check}" for check in NOT_SOUND)),
    "one-failure": lambda: judge(*DEMO),
    "many-of-one-cause": many_of_one_cause,
    "no-rights": no_rights,
    "unreachable": unreachable,
    "large": large,
    "partial-coverage": lambda: judge("recipe", "recipes/deepseek-r1"),
    "smoke": smoke,
    "load": lambda: judge("load", "--from", "tests/reports/golden/load.json", "--limit", "ttft.p95=5ms"),
    "recipe-tree": lambda: judge("recipe", "recipes"),
}


@cache
def run(name: str) -> Report:
    return RUNS[name]()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_reads_as_it_was_read(name: str, width: int) -> None:
    file = GOLDEN / f"{name}-{width}.txt"
    shown = render_report(run(name), "table", ReportOptions(width=width))
    if RENEW in os.environ:
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8"), "read it, then `make renew`"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RUNS)
def test_the_first_cause_and_its_fix_stand_on_the_first_screen(name: str, width: int) -> None:
    lines = render_report(run(name), "table", ReportOptions(width=width)).splitlines()[:FIRST_LINES]
    causes = group_causes(run(name))
    assert bool(causes) == (name not in ("sound", "partial-coverage", "recipe-tree", "table"))
    if causes:
        screen = " ".join(" ".join(lines).split())
        assert " ".join(causes[0].message.split()) in screen
        assert f"    fix: {causes[0].fix}" in lines
