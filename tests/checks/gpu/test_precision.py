from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.gpu import precision
from dynocheck.data import gpus
from dynocheck.facts import Node, Nodes, Recipes
from tests.checks.gpu import B200, B300, GB200, H100, NO_SLICES, gpu_node, offer, recipe_of
from tests.checks.judging import get_coverage, outcomes, places

A100, L40S, T4 = "NVIDIA-A100-SXM4-80GB", "NVIDIA-L40S", "Tesla-T4"
RTX_PRO = "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition"
FP4 = "nvidia/DeepSeek-R1-FP4"


@pytest.mark.parametrize(
    ("engine", "model", "args", "product", "expected"),
    [
        ("vllm", "Qwen/Qwen3-32B", "", A100, []),
        ("vllm", "Qwen/Qwen3-32B", "", T4, ["warn"]),
        ("vllm", "Qwen/Qwen3-32B-FP8", "", A100, ["warn"]),
        ("vllm", "Qwen/Qwen3-32B-FP8", "", L40S, []),
        ("trtllm", "Qwen/Qwen3-32B-FP8", "", L40S, ["warn"]),
        ("vllm", "openai/gpt-oss-120b", "", RTX_PRO, ["warn"]),
        ("vllm", "Qwen/Qwen3-32B", "--quantization fp8", A100, ["warn"]),
        ("vllm", "Qwen/Qwen3-32B", "--quantization awq", A100, []),
        ("trtllm", "Qwen/Qwen3-32B-FP8", "", A100, ["fail"]),
        ("trtllm", "Qwen/Qwen3-32B-FP8", "", H100, []),
        ("trtllm", "nvidia/DeepSeek-R1-FP4", "", H100, ["fail"]),
        ("trtllm", "nvidia/DeepSeek-R1-0528-NVFP4", "", B200, []),
        ("trtllm", "/model-cache/deepseek-r1-fp4", "", H100, ["fail"]),
        ("vllm", "nvidia/DeepSeek-R1-FP4", "", H100, ["warn"]),
        ("sglang", "nvidia/DeepSeek-R1-FP4", "", H100, ["warn"]),
        ("trtllm", "openai/gpt-oss-120b", "", H100, []),
        ("vllm", "openai/gpt-oss-120b", "", H100, []),
        ("vllm", "openai/gpt-oss-120b", "", A100, ["warn"]),
        ("trtllm", "openai/gpt-oss-120b", "", A100, ["fail"]),
        ("sglang", "deepseek-ai/DeepSeek-R1", "", H100, []),
        ("trtllm", "deepseek-ai/DeepSeek-R1", "", A100, ["fail"]),
        ("trtllm", "deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "", A100, []),
        ("trtllm", "RedHatAI/DeepSeek-R1-quantized.w4a16", "", A100, []),
    ],
)
def test_precision_against_gpu(
    tmp_path: Path, engine: str, model: str, args: str, product: str, expected: list[str]
) -> None:
    recipe = recipe_of(tmp_path, *args.split(), module=f"dynamo.{engine}", model=model)
    assert outcomes(precision.architecture, Nodes((gpu_node(product),)), NO_SLICES, recipe) == expected


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        ({}, [("warn", "deploy.yaml:9")]),
        ({"nvidia.com/gpu.product": B200}, []),
        ({"nvidia.com/gpu.product": GB200}, [("fail", "deploy.yaml:9")]),
    ],
)
def test_some_nodes_lack_it(tmp_path: Path, pool: dict[str, str], expected: list[tuple[str, str]]) -> None:
    recipe = fp4(tmp_path, pod={"nodeSelector": pool} if pool else {})
    nodes = Nodes((gpu_node(H100), gpu_node(B200)))
    assert places(precision.architecture, nodes, NO_SLICES, recipe) == expected


def fp4(folder: Path, **more: Any) -> Recipes:
    return recipe_of(folder, module="dynamo.trtllm", model=FP4, **more)


def test_workers_without_a_node_are_not_judged(tmp_path: Path) -> None:
    recipe = fp4(tmp_path, pod={"nodeSelector": {"pool": "none"}})
    assert outcomes(precision.architecture, Nodes((gpu_node(H100),)), NO_SLICES, recipe) == ["skip"]


def test_the_dra_driver_gives_what_labels_lack(tmp_path: Path) -> None:
    slices = offer(productName="NVIDIA H100 80GB HBM3", cudaComputeCapability="9.0.0")
    assert outcomes(precision.architecture, Nodes((Node("a"),)), slices, fp4(tmp_path)) == ["fail"]


def test_labels_give_what_the_table_lacks(tmp_path: Path) -> None:
    labels = {"nvidia.com/gpu.compute.major": "11", "nvidia.com/gpu.compute.minor": "0"}
    newer, unknown = gpu_node("NVIDIA-Rubin", labels=labels), gpu_node("NVIDIA-Rubin")
    recipe = fp4(tmp_path)
    assert outcomes(precision.architecture, Nodes((newer,)), NO_SLICES, recipe) == []
    facts = (NO_SLICES, recipe)
    left = ["Node nvidia-rubin: NVIDIA-Rubin"]
    assert get_coverage(precision.architecture, Nodes((unknown,)), *facts) == (0, left)
    both = Nodes((unknown, gpu_node(B200)))
    assert get_coverage(precision.architecture, both, *facts) == (1, left)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("vllm-runtime:1.2.1", ["fail"]),
        ("vllm-runtime:1.2.1-cuda13", []),
        ("vllm-runtime:1.3.0", []),
        ("own:1", []),
    ],
)
def test_blackwell_ultra_needs_cuda_13(tmp_path: Path, image: str, expected: list[str]) -> None:
    recipe = recipe_of(tmp_path, image=image, model="Qwen/Qwen3-0.6B")
    assert outcomes(precision.architecture, Nodes((gpu_node(B300),)), NO_SLICES, recipe) == expected


@pytest.mark.parametrize("product", [A100, L40S, H100, B200, B300, T4, GB200, "nvidia-h200-141gb"])
def test_products_are_known_with_their_source(product: str) -> None:
    row = gpus.gpu_type(product)
    assert row is not None
    assert row.source.startswith("https://")
    assert gpus.gpu_type("NVIDIA-Rubin") is None
