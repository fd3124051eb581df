"""Engines of TensorRT-LLM fit the servers that load them."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.builds import builds
from dynocheck.checks.graph.probes import startup_budget
from dynocheck.facts import Settings
from tests.checks.judging import deploy, get_coverage, judge
from tests.checks.manifests import MODEL
from tests.checks.test_servers import serve

TRITON = "nvcr.io/nvidia/tritonserver:24.01-trtllm-python-py3"
BUILD = """hf download {model} --local-dir /m
python convert_checkpoint.py --model_dir /m --output_dir /c --tp_size {tp} --pp_size 1
trtllm-build --checkpoint_dir /c --output_dir /engines/x
"""
A100, H100 = "NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3"
PROBE = {"httpGet": {"path": "/v2/health/live", "port": 8000}, "initialDelaySeconds": 10}


def on(gpu: str, claim: str) -> dict[str, Any]:
    selector = {"nodeSelector": {"nvidia.com/gpu.product": gpu}} if gpu else {}
    return {**selector, "volumes": [{"name": "e", "persistentVolumeClaim": {"claimName": claim}}]}


def mount(**more: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "e", "mountPath": "/engines"}], **more}


def build(gpu: str = A100, tp: int = 2) -> dict[str, Any]:
    command = {"command": ["bash", "-c", BUILD.format(model=MODEL, tp=tp)]}
    one = serve("builder:1", kind="Job", gpus=2, pod=on(gpu, "engines"), **mount(**command))
    return {**one, "metadata": {"name": "builder"}}


def load(gpu: str = A100, claim: str = "engines", gpus: int = 2, **more: Any) -> dict[str, Any]:
    command = ["mpirun", "-n", str(gpus), "tritonserver", "--model-repository=/engines"]
    return serve(TRITON, gpus=gpus, pod=on(gpu, claim), **mount(command=command, **more))


@pytest.mark.parametrize(
    ("builder", "server", "expected"),
    [
        (build(), load(), []),
        (build(), load(H100), ["fail"]),
        (build("nvidia-a100-80gb"), load(A100), []),
        (build("nvidia-h100-80gb"), load("NVIDIA-H100-SXM5-80GB"), []),  # by the model in the name
        (build(), load("NVIDIA-A100-PCIE-40GB"), []),  # of one compute capability
        (build(), load(""), ["unjudged"]),
        (build("NVIDIA-X9"), load(), ["unjudged"]),
        (build(), load(claim="others"), ["warn"]),
        (build(), load(H100, "others"), ["warn", "warn"]),  # may be of another builder
        (build(tp=4), load(), ["fail"]),
        (build(tp=2), load(gpus=4), []),
    ],
)
def test_builds(tmp_path: Path, builder: dict[str, Any], server: dict[str, Any], expected: list[str]) -> None:
    assert judge(builds, deploy(tmp_path, builder, server)) == expected


def test_no_build(tmp_path: Path) -> None:
    assert judge(builds, deploy(tmp_path, load())) == ["skip"]


@pytest.mark.parametrize(("failures", "expected"), [(3, ["warn"]), (60, [])])
def test_triton_answers_when_its_engine_is_loaded(tmp_path: Path, failures: int, expected: list[str]) -> None:
    server = load(livenessProbe={**PROBE, "failureThreshold": failures})
    assert judge(startup_budget, deploy(tmp_path, build(), server), Settings()) == expected


@pytest.mark.parametrize(("path", "expected"), [("/opt/examples/", 1), ("/engines/", 0), ("", 0)])
def test_a_script_of_a_builders_image_is_unknown(tmp_path: Path, path: str, expected: int) -> None:
    builder = build()
    container = builder["spec"]["template"]["spec"]["containers"][0]
    container["command"][2] = container["command"][2].replace("convert_", f"{path}convert_")
    assert len(get_coverage(builds, deploy(tmp_path, builder, load()))[1]) == expected
