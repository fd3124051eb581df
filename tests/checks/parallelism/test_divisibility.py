"""Whether models can be split as they are told to be."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.parallelism import divisibility
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, explain_unjudged, outcomes, places, read_lines, recipes, run_check
from tests.checks.manifests import engine, graph

GPU = "nvidia.com/gpu"
QWEN = "Qwen/Qwen3-235B-A22B-FP8"


def split(
    folder: Path, model: str, *args: str, module: str = "dynamo.vllm", image: str = "vllm-runtime:1.3.0"
) -> Recipes:
    """The recipe of a worker that loads a model with these arguments."""
    image = f"nvcr.io/nvidia/ai-dynamo/{image}"
    return deploy(folder, graph(engine(*args, model=model, module=module, image=image)))


# parallelism.requests-equal-limits


@pytest.mark.parametrize(
    ("limits", "requests", "expected"),
    [
        ({GPU: "4"}, {}, []),
        ({GPU: "4"}, {GPU: 4}, []),
        ({GPU: "4"}, {GPU: "2"}, ["fail"]),
        ({GPU: "4"}, {GPU: None}, []),
        ({}, {GPU: "4"}, ["fail"]),
        ({GPU: "1", "rdma/ib": 8}, {GPU: "1", "rdma/ib": 4}, ["fail"]),
        ({GPU: "1", "cpu": 8}, {GPU: "1", "cpu": 4}, []),
        ({GPU: "1", "hugepages-2Mi": "1Gi"}, {"memory": "4Gi"}, []),
    ],
)
def test_devices_cannot_be_overcommitted(
    tmp_path: Path, limits: dict[str, Any], requests: dict[str, Any], expected: list[str]
) -> None:
    given = {"limits": limits, "requests": requests}
    recipe = deploy(tmp_path, graph(engine(main={"resources": {k: v for k, v in given.items() if v}})))
    assert outcomes(divisibility.requests_equal_limits, recipe) == expected


def test_the_older_api_has_a_short_form(tmp_path: Path) -> None:
    text = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  services:
    w:
      resources:
        requests: {gpu: "2", custom: {rdma/ib: "1"}}
        limits: {gpu: "4", custom: {rdma/ib: "2"}}
"""
    found = places(divisibility.requests_equal_limits, recipes(tmp_path, deploy=text))
    assert found == [("fail", "deploy.yaml:9")] * 2


@pytest.mark.parametrize(
    ("main", "expected"),
    [("", ["fail"]), ("extraPodSpec: {mainContainer: {resources: {limits: {nvidia.com/gpu: 2}}}}", [])],
)
def test_a_short_request_needs_a_limit(tmp_path: Path, main: str, expected: list[str]) -> None:
    """The operator makes nvidia.com/gpu of it, which the API server takes only with a limit."""
    text = f"""
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {{name: g}}
spec:
  services:
    w:
      resources: {{requests: {{gpu: "2"}}}}
      {main}
"""
    assert outcomes(divisibility.requests_equal_limits, recipes(tmp_path, deploy=text)) == expected


# parallelism.fits-node


@pytest.mark.parametrize(
    ("gpus", "product", "expected"),
    [
        (8, "", []),
        (16, "", []),
        (32, "", ["fail"]),
        (4, "NVIDIA-GB200", []),
        (8, "NVIDIA-GB200", ["fail"]),
        (8, "NVIDIA-H200", []),
        (16, "NVIDIA-H200", ["fail"]),
        (16, "NVIDIA-A100-SXM4-40GB", []),
    ],
)
def test_a_pod_lies_on_one_node(tmp_path: Path, gpus: int, product: str, expected: list[str]) -> None:
    pod = {"nodeSelector": {"nvidia.com/gpu.product": product}} if product else {}
    recipe = deploy(tmp_path, graph(engine(gpus=gpus, pod=pod)))
    assert outcomes(divisibility.fits_node, recipe) == expected


def test_the_fix_spreads_it_over_nodes(tmp_path: Path) -> None:
    (finding,) = run_check(divisibility.fits_node, deploy(tmp_path, graph(engine(gpus=40))))
    gpus = "podTemplate.spec.containers[main].resources.limits[nvidia.com/gpu]"
    assert finding.fix == f'set {gpus}: "16"; set multinode.nodeCount: 3'


# parallelism.heads-divide


@pytest.mark.parametrize(
    ("module", "model", "args", "expected"),
    [
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-tp", "8"], []),
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-tp", "16"], []),  # key-value heads are repeated
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-tp", "6"], ["fail"]),
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-pp", "6"], []),
        ("dynamo.vllm", "mistralai/Mixtral-8x22B-v0.1", ["-tp", "12"], ["fail"]),
        ("dynamo.trtllm", "mistralai/Mixtral-8x22B-v0.1", ["--tensor-parallel-size", "12"], []),
        ("dynamo.vllm", "deepseek-ai/DeepSeek-R1", ["-tp", "32"], []),
        ("dynamo.vllm", "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", ["-tp", "8"], []),
        ("dynamo.vllm", "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8", ["-tp", "16"], ["fail"]),  # 8 groups
        ("dynamo.sglang", "Qwen/Qwen3.5-397B-A17B", ["--tp", "32"], ["fail"]),  # 16 heads of linear attention
        ("dynamo.sglang", "Qwen/Qwen3.5-397B-A17B", ["--tp", "16"], []),
        ("dynamo.sglang", "Qwen/Qwen3-32B", ["--tp", "12"], ["fail"]),
        ("dynamo.sglang", "Qwen/Qwen3-32B", ["--tp", "12", "--dp", "3", "--enable-dp-attention"], []),
        ("dynamo.trtllm", "Qwen/Qwen3-32B", ["--tensor-parallel-size", "12", "--enable-attention-dp"], []),
    ],
)
def test_heads_divide(tmp_path: Path, module: str, model: str, args: list[str], expected: list[str]) -> None:
    assert outcomes(divisibility.heads_divide, split(tmp_path, model, *args, module=module)) == expected


@pytest.mark.parametrize("model", ["Qwen/Qwen3-32B", "own/model"])
def test_attention_ranks_divide_whatever_the_model_is(tmp_path: Path, model: str) -> None:
    args = ["--tp", "16", "--dp", "3", "--enable-dp-attention"]
    given = split(tmp_path, model, *args, module="dynamo.sglang")
    assert read_lines(divisibility.experts_divide, given) == ["- --dp"]
    assert outcomes(divisibility.heads_divide, given) == []  # 64 heads over 5 ranks: told once


def test_other_models_are_not_judged(tmp_path: Path) -> None:
    assert explain_unjudged(divisibility.heads_divide, split(tmp_path / "a", "own/model", "-tp", "6"))
    assert outcomes(divisibility.experts_divide, deploy(tmp_path / "b", graph())) == ["skip"]


# parallelism.experts-divide


@pytest.mark.parametrize(
    ("module", "model", "args", "expected"),
    [
        ("dynamo.vllm", QWEN, ["-tp", "4"], []),
        ("dynamo.vllm", QWEN, ["-tp", "8"], ["fail"]),
        ("dynamo.vllm", QWEN, ["-tp", "4", "-dp", "2"], ["fail"]),
        ("dynamo.vllm", QWEN, ["-tp", "8", "--enable-expert-parallel"], []),
        ("dynamo.vllm", "Qwen/Qwen3-235B-A22B", ["-tp", "8"], []),
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-tp", "2", "-ep"], ["fail"]),
        ("dynamo.vllm", "Qwen/Qwen3-32B-FP8", ["-tp", "8"], []),
        ("dynamo.sglang", QWEN, ["--tp", "8"], ["fail"]),
        ("dynamo.sglang", QWEN, ["--tp", "8", "--ep", "2"], []),
        ("dynamo.sglang", QWEN, ["--tp", "8", "--moe-a2a-backend", "deepep"], []),
        ("dynamo.sglang", QWEN, ["--tp", "8", "--ep", "3"], ["fail"]),
        ("dynamo.sglang", QWEN, ["--tp", "4", "--dp", "3", "--enable-dp-attention"], ["fail"]),
        ("dynamo.sglang", QWEN, ["--tp", "4", "--dp", "3"], []),
        ("dynamo.trtllm", QWEN, ["--tensor-parallel-size", "8"], []),
        ("dynamo.trtllm", QWEN, ["--tensor-parallel-size", "4", "--expert-parallel-size", "8"], ["fail"]),
    ],
)
def test_experts_divide(
    tmp_path: Path, module: str, model: str, args: list[str], expected: list[str]
) -> None:
    assert outcomes(divisibility.experts_divide, split(tmp_path, model, *args, module=module)) == expected


@pytest.mark.parametrize("image", ["vllm-runtime:1.6.1", "vllm-runtime:latest", "my-vllm:1.3.0"])
def test_releases_that_are_not_known_to_refuse_are_not_judged(tmp_path: Path, image: str) -> None:
    assert outcomes(divisibility.experts_divide, split(tmp_path, QWEN, "-tp", "8", image=image)) == []
