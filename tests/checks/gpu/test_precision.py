from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.gpu import architectures, precision
from dynocheck.data import gpus
from dynocheck.facts import Node, Nodes, Recipes, ResourceSlice, ResourceSlices
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

NO_SLICES = ResourceSlices(served=False)
A100, L40S, H100, B200, B300 = (
    "NVIDIA-A100-SXM4-80GB",
    "NVIDIA-L40S",
    "NVIDIA-H100-80GB-HBM3",
    "NVIDIA-B200",
    "NVIDIA-B300-SXM6-AC",
)
T4, GB200, RTX_PRO = "Tesla-T4", "NVIDIA-GB200", "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition"


def node(product: str, name: str = "", architecture: str = "amd64", **labels: str) -> Node:
    given = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": product, **labels}
    return Node(name or product.lower(), labels=given, architecture=architecture)


def running(
    folder: Path,
    engine: str = "vllm",
    model: str = "Qwen/Qwen3-0.6B",
    args: str = "",
    image: str = "vllm-runtime:1.3.0",
    spec: str = "",
) -> Recipes:
    text = worker(args=args).replace("dynamo.vllm", f"dynamo.{engine}").replace("Qwen/Qwen3-0.6B", model)
    text = text.replace("registry.example/vllm-runtime:1.3.0", image)
    text = text.replace("      spec:\n", f"      spec:\n{spec}")
    if engine == "sglang":
        text = text.replace("--model,", "--model-path,")
    return recipes(folder, deploy=GRAPH + FRONTEND + text)


@pytest.mark.parametrize(
    ("engine", "model", "args", "product", "outcomes"),
    [
        ("vllm", "Qwen/Qwen3-32B", "", A100, []),
        ("vllm", "Qwen/Qwen3-32B", "", T4, ["warn"]),
        ("vllm", "Qwen/Qwen3-32B-FP8", "", A100, ["warn"]),
        ("vllm", "Qwen/Qwen3-32B-FP8", "", L40S, []),
        ("trtllm", "Qwen/Qwen3-32B-FP8", "", L40S, ["warn"]),
        ("vllm", "openai/gpt-oss-120b", "", RTX_PRO, ["warn"]),
        ("vllm", "Qwen/Qwen3-32B", "--quantization, fp8", A100, ["warn"]),
        ("vllm", "Qwen/Qwen3-32B", "--quantization, awq", A100, []),
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
    tmp_path: Path, engine: str, model: str, args: str, product: str, outcomes: list[str]
) -> None:
    given = running(tmp_path, engine, model, args)
    findings = list_messages(precision.architecture, Nodes((node(product),)), NO_SLICES, given)
    assert [outcome for outcome, _ in findings] == outcomes, findings


def test_some_nodes_will_not_do(tmp_path: Path) -> None:
    nodes = Nodes((node(H100), node(B200)))
    fp4 = "nvidia/DeepSeek-R1-FP4"
    ((outcome, message),) = list_messages(
        precision.architecture, nodes, NO_SLICES, running(tmp_path / "a", "trtllm", fp4)
    )
    assert outcome == "warn"
    assert message == (
        "w: trtllm needs compute capability 10.0 for NVFP4 (by the name nvidia/DeepSeek-R1-FP4), "
        "and 1 of 2 nodes that it may run on have less"
    )
    pin = f"        nodeSelector: {{nvidia.com/gpu.product: {B200}}}\n"
    pinned = running(tmp_path / "b", "trtllm", fp4, spec=pin)
    assert list_messages(precision.architecture, nodes, NO_SLICES, pinned) == []
    gone = running(tmp_path / "c", "trtllm", fp4, spec=pin.replace(B200, GB200))
    ((outcome, message),) = list_messages(precision.architecture, nodes, NO_SLICES, gone)
    assert (outcome, message) == (
        "fail",
        "w selects nodes by nvidia.com/gpu.product=NVIDIA-GB200, and no node has that",
    )


def test_workers_that_find_no_node_are_not_judged(tmp_path: Path) -> None:
    given = running(tmp_path, "trtllm", "nvidia/DeepSeek-R1-FP4", spec="        nodeSelector: {pool: none}\n")
    reason = get_skip_reason(precision.architecture, Nodes((node(H100),)), NO_SLICES, given)
    assert reason == "no engine of the recipe may run on a GPU node of this cluster"


def test_the_dra_driver_tells_what_labels_do_not(tmp_path: Path) -> None:
    told = {"productName": "NVIDIA H100 80GB HBM3", "cudaComputeCapability": "9.0.0"}
    slices = ResourceSlices((ResourceSlice("s", "gpu.nvidia.com", "a", 8, told),))
    given = running(tmp_path, "trtllm", "nvidia/DeepSeek-R1-FP4")
    assert [o for o, _ in list_messages(precision.architecture, Nodes((Node("a"),)), slices, given)] == [
        "fail"
    ]


def test_labels_tell_more_than_the_table(tmp_path: Path) -> None:
    newer = node(
        "NVIDIA-Rubin", **{"nvidia.com/gpu.compute.major": "11", "nvidia.com/gpu.compute.minor": "0"}
    )
    given = running(tmp_path, "trtllm", "nvidia/DeepSeek-R1-FP4")
    assert list_messages(precision.architecture, Nodes((newer,)), NO_SLICES, given) == []
    unheard = node("NVIDIA-Rubin")
    reason = get_skip_reason(precision.architecture, Nodes((unheard,)), NO_SLICES, given)
    assert reason == "what these GPUs compute is not known here: NVIDIA-Rubin"
    (finding,) = run_check(precision.architecture, Nodes((unheard, node(B200))), NO_SLICES, given)
    assert (str(finding.outcome), finding.subject and finding.subject.name) == ("warn", "nvidia-rubin")


def test_blackwell_ultra_needs_cuda_13(tmp_path: Path) -> None:
    nodes = Nodes((node(B300),))
    old = running(tmp_path / "a", image="vllm-runtime:1.2.1")
    ((outcome, message),) = list_messages(precision.architecture, nodes, NO_SLICES, old)
    assert (outcome, message) == ("fail", "w: B300 and GB300 need CUDA 13, and vllm-runtime:1.2.1 has 12.9")
    for i, image in enumerate(["vllm-runtime:1.2.1-cuda13", "vllm-runtime:1.3.0", "own:1"]):
        given = running(tmp_path / str(i), image=image)
        assert list_messages(precision.architecture, nodes, NO_SLICES, given) == []


# image-arch


@pytest.mark.parametrize(
    ("image", "architecture", "outcomes"),
    [
        ("nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0", "arm64", []),
        ("vllm-runtime:1.1.1-efa-amd64", "arm64", ["warn"]),
        ("registry.example/own:1-arm64", "arm64", ["warn"]),
        ("dynamo-frontend:1.3.0", "arm64", []),
        ("vllm-runtime:0.7.1", "arm64", ["warn"]),
    ],
)
def test_images_against_hosts(tmp_path: Path, image: str, architecture: str, outcomes: list[str]) -> None:
    given = running(tmp_path, image=image)
    nodes = Nodes((node(GB200, architecture=architecture),))
    assert [o for o, _ in list_messages(architectures.image_arch, nodes, NO_SLICES, given)] == outcomes


def test_the_gpu_tells_the_host_where_the_node_does_not(tmp_path: Path) -> None:
    given = running(tmp_path, image="registry.example/own:1")
    silent = Nodes((node(GB200, architecture=""),))
    assert [o for o, _ in list_messages(architectures.image_arch, silent, NO_SLICES, given)] == ["warn"]
    assert "amd64" in get_skip_reason(architectures.image_arch, Nodes((node(H100),)), NO_SLICES, given)


def test_images_of_workers_that_find_no_node_are_not_judged(tmp_path: Path) -> None:
    given = running(tmp_path, spec="        nodeSelector: {pool: none}\n")
    grace = Nodes((node(GB200, architecture="arm64"),))
    assert "may run on a GPU node" in get_skip_reason(architectures.image_arch, grace, NO_SLICES, given)


def test_a_pinned_architecture_must_be_there(tmp_path: Path) -> None:
    pin = "        nodeSelector: {kubernetes.io/arch: arm64}\n"
    given = running(tmp_path, spec=pin)
    ((outcome, message),) = list_messages(architectures.image_arch, Nodes((node(H100),)), NO_SLICES, given)
    assert (outcome, message) == (
        "fail",
        "w selects kubernetes.io/arch=arm64, and the GPU nodes are amd64",
    )
    both = Nodes((node(H100), node(GB200, architecture="arm64", **{"kubernetes.io/arch": "arm64"})))
    assert list_messages(architectures.image_arch, both, NO_SLICES, given) == []


# the table


def test_products_are_known_with_their_source() -> None:
    for product in (A100, L40S, H100, B200, B300, T4, GB200, "nvidia-h200-141gb"):
        row = gpus.gpu_type(product)
        assert row is not None, product
        assert row.source.startswith("https://")
    assert gpus.gpu_type("NVIDIA-Rubin") is None
