"""`dynocheck node` as its users run it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from dynocheck.reports import FORMATS
from tests.command import ROOT, dynocheck
from tests.gate.test_canaries import FORMS, list_leaks
from tests.nvml.library import MACHINE, build_library, write_machine


def run_on(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dynocheck in a process that finds the NVML of the tests by LD_LIBRARY_PATH."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(build_library().parent), MACHINE: str(machine)}
    command = [sys.executable, "-m", "dynocheck", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def get_outcomes(text: str) -> dict[str, str]:
    return {verdict["check"]: verdict["outcome"] for verdict in json.loads(text)["verdicts"]}


def test_a_machine_is_judged_live_and_from_its_recording(tmp_path: Path) -> None:
    machine, recording = tmp_path / "machine.ini", tmp_path / "node.json"
    write_machine(machine, "dgx-h100", {"gpu.3.remap_failed": 1})
    live = run_on(machine, "node", "--expect-gpu", "8", "-o", "json")
    assert (live.returncode, get_outcomes(live.stdout)["node.row-remap"]) == (1, "fail")
    assert run_on(machine, "snapshot", str(recording), "--node").returncode == 0
    recorded = dynocheck("node", "--snapshot", str(recording), "--expect-gpu", "8", "-o", "json")
    (first, *_) = json.loads(recording.read_text())["facts"]["NodeGpus"]["devices"]
    assert first["firmware"] == "96.00.AF.00.01"
    assert (recorded.code, recorded.outcomes) == (1, get_outcomes(live.stdout))


def test_a_machine_without_gpus_is_skipped_unless_some_are_expected(tmp_path: Path) -> None:
    arguments = ["--select", "node.gpu-visible", "--select", "node.ecc", "-o", "json"]
    without = run_on(tmp_path / "none.ini", "node", *arguments)
    expected = run_on(tmp_path / "none.ini", "node", "--expect-gpu", "1", *arguments)
    assert get_outcomes(without.stdout) == {"node.gpu-visible": "skip", "node.ecc": "skip"}
    assert get_outcomes(expected.stdout)["node.gpu-visible"] == "fail"
    assert (without.returncode, expected.returncode) == (3, 1)


def test_a_release_without_a_table_is_a_usage_error() -> None:
    ended = dynocheck("node", "--release", "0.0.1")
    assert (ended.code, "--release 0.0.1" in ended.err) == (2, True)


def test_secrets_of_the_environment_are_not_recorded(tmp_path: Path) -> None:
    recording = tmp_path / "node.json"
    os.environ["HF_TOKEN"] = secret = "hf_" + "a1B2" * 9
    try:
        assert dynocheck("snapshot", str(recording), "--node").code == 0
    finally:
        del os.environ["HF_TOKEN"]
    facts = json.loads(recording.read_text())["facts"]
    assert facts["NodeEnvironment"]["items"]["HF_TOKEN"] in ("set", "[hidden]")
    assert secret not in recording.read_text()


@pytest.mark.parametrize("form", FORMS)
def test_secrets_of_a_machine_stay_there(tmp_path: Path, form: str) -> None:
    """In its environment, as its file and folder names, and in what it says of itself."""
    names = ("HF_TOKEN", "NCCL_NET", "NCCL_NOTE", "UCX_TLS", "DYN_ETCD_URL", "NATS_SERVER", "DYN_NOTE")
    tokens = [f"hf_Canary{form}{number:03}QwErTyUiOp" for number in range(len(names) + 1)]
    environment = {name: FORMS[form](token) for name, token in zip(names, tokens, strict=False)}
    model = tmp_path / "cache" / f"models--org--{quote(FORMS[form](tokens[-1]), safe='%')}"
    (model / "blobs").mkdir(parents=True)
    (model / "blobs" / "part.incomplete").touch()
    environment["HF_HUB_CACHE"] = str(tmp_path / "cache")
    recording = tmp_path / "node.json"
    outputs = [word for name in FORMATS for word in ("-o", f"{name}={tmp_path / name}")]
    ended = [
        dynocheck("snapshot", str(recording), "--node", env=environment),
        dynocheck("node", "-v", *outputs, env=environment),
        dynocheck("node", "-v", "--snapshot", str(recording), env=environment),
    ]
    told = recording.read_text() + "".join((tmp_path / name).read_text() for name in FORMATS)
    told += "".join(each.out + each.err for each in ended)
    assert list_leaks(told, tokens) == []
    assert "org/" in told
