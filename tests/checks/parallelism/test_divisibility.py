"""Whether models can be split as they are told to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.parallelism import divisibility
from dynocheck.facts import Recipes
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    get_skip_reason,
    list_messages,
    make_component,
    recipes,
    run_check,
    worker,
)

QWEN = "Qwen/Qwen3-235B-A22B-FP8"


def split(
    folder: Path, model: str, *args: str, module: str = "dynamo.vllm", image: str = "vllm-runtime:1.3.0"
) -> Recipes:
    """The recipe of a worker that loads a model with these arguments."""
    flag = "--model-path" if module == "dynamo.sglang" else "--model"
    component = make_component(flag, model, *args, module=module, image=image)
    return recipes(folder, deploy=GRAPH + FRONTEND + component)


# parallelism.requests-equal-limits


@pytest.mark.parametrize(
    ("resources", "problems"),
    [
        ('{limits: {nvidia.com/gpu: "4"}}', 0),
        ('{limits: {nvidia.com/gpu: "4"}, requests: {nvidia.com/gpu: 4}}', 0),
        ('{limits: {nvidia.com/gpu: "4"}, requests: {nvidia.com/gpu: "2"}}', 1),
        ('{requests: {nvidia.com/gpu: "4"}}', 1),
        ('{limits: {nvidia.com/gpu: "1", rdma/ib: 8}, requests: {nvidia.com/gpu: "1", rdma/ib: 4}}', 1),
        ('{limits: {nvidia.com/gpu: "1", cpu: 8}, requests: {nvidia.com/gpu: "1", cpu: 4}}', 0),
        ('{limits: {nvidia.com/gpu: "1", hugepages-2Mi: 1Gi}, requests: {memory: 4Gi}}', 0),
        ('{limits: {nvidia.com/gpu: "4"}, requests: {nvidia.com/gpu: null}}', 0),
    ],
)
def test_devices_cannot_be_overcommitted(tmp_path: Path, resources: str, problems: int) -> None:
    text = worker().replace('{limits: {nvidia.com/gpu: "1"}}', resources)
    outcomes = [
        o
        for o, _ in list_messages(
            divisibility.requests_equal_limits, recipes(tmp_path, deploy=GRAPH + FRONTEND + text)
        )
    ]
    assert outcomes == ["fail"] * problems


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
    findings = run_check(divisibility.requests_equal_limits, recipes(tmp_path, deploy=text))
    assert [f.message for f in findings] == [
        "requests 2 of gpu and is limited to 4",
        "requests 1 of rdma/ib and is limited to 2",
    ]
    assert [f.location and f.location.line for f in findings] == [9, 9]


# parallelism.fits-node


@pytest.mark.parametrize(
    ("gpus", "product", "message"),
    [
        ("8", "", None),
        ("16", "", None),
        ("32", "", "w: a pod asks for 32 GPUs, the largest node has 16"),
        ("4", "NVIDIA-GB200", None),
        ("8", "NVIDIA-GB200", "w: a pod asks for 8 GPUs, a node of NVIDIA-GB200 has 4"),
        ("8", "NVIDIA-H200", None),
        ("16", "NVIDIA-H200", "w: a pod asks for 16 GPUs, a node of NVIDIA-H200 has 8"),
        ("16", "NVIDIA-A100-SXM4-40GB", None),
    ],
)
def test_a_pod_lies_on_one_node(tmp_path: Path, gpus: str, product: str, message: str | None) -> None:
    text = worker(gpus=f'"{gpus}"')
    if product:
        selector = f"      spec:\n        nodeSelector: {{nvidia.com/gpu.product: {product}}}\n"
        text = text.replace("      spec:\n", selector)
    outcomes = list_messages(divisibility.fits_node, recipes(tmp_path, deploy=GRAPH + FRONTEND + text))
    assert [said for _, said in outcomes] == ([message] if message else [])


def test_the_fix_spreads_it_over_nodes(tmp_path: Path) -> None:
    (finding,) = run_check(
        divisibility.fits_node, recipes(tmp_path, deploy=GRAPH + FRONTEND + worker(gpus='"40"'))
    )
    assert finding.fix == "set nvidia.com/gpu to 16 and multinode.nodeCount to 3"


# parallelism.heads-divide


@pytest.mark.parametrize(
    ("module", "model", "args", "problem"),
    [
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-tp", "8"], None),
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-tp", "16"], None),  # key-value heads are repeated
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-tp", "6"], "64 attention heads cannot be divided by 6 ranks"),
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-pp", "6"], None),
        (
            "dynamo.vllm",
            "mistralai/Mixtral-8x22B-v0.1",
            ["-tp", "12"],
            "8 key-value heads do not go evenly on 12",
        ),
        ("dynamo.trtllm", "mistralai/Mixtral-8x22B-v0.1", ["--tensor-parallel-size", "12"], None),
        ("dynamo.vllm", "deepseek-ai/DeepSeek-R1", ["-tp", "32"], None),
        (
            "dynamo.sglang",
            "Qwen/Qwen3-32B",
            ["--tp", "12"],
            "64 attention heads cannot be divided by 12 ranks",
        ),
        ("dynamo.sglang", "Qwen/Qwen3-32B", ["--tp", "12", "--dp", "3", "--enable-dp-attention"], None),
        ("dynamo.trtllm", "Qwen/Qwen3-32B", ["--tensor-parallel-size", "12", "--enable-attention-dp"], None),
    ],
)
def test_heads_divide(tmp_path: Path, module: str, model: str, args: list[str], problem: str | None) -> None:
    outcomes = list_messages(divisibility.heads_divide, split(tmp_path, model, *args, module=module))
    assert [outcome for outcome, _ in outcomes] == ([] if problem is None else ["fail"])
    assert problem is None or problem in outcomes[0][1]


def test_other_models_are_not_judged(tmp_path: Path) -> None:
    assert get_skip_reason(divisibility.heads_divide, split(tmp_path / "a", "own/model", "-tp", "6"))
    assert (
        get_skip_reason(divisibility.experts_divide, recipes(tmp_path / "b", deploy=GRAPH + FRONTEND))
        == "no engine"
    )


# parallelism.experts-divide


@pytest.mark.parametrize(
    ("module", "model", "args", "problem"),
    [
        ("dynamo.vllm", QWEN, ["-tp", "4"], None),
        ("dynamo.vllm", QWEN, ["-tp", "8"], "experts split over 8 ranks have 192 columns each"),
        ("dynamo.vllm", QWEN, ["-tp", "4", "-dp", "2"], "experts split over 8 ranks"),
        ("dynamo.vllm", QWEN, ["-tp", "8", "--enable-expert-parallel"], None),
        ("dynamo.vllm", "Qwen/Qwen3-235B-A22B", ["-tp", "8"], None),
        ("dynamo.vllm", "Qwen/Qwen3-32B", ["-tp", "2", "-ep"], "has no experts"),
        ("dynamo.vllm", "Qwen/Qwen3-32B-FP8", ["-tp", "8"], None),
        ("dynamo.sglang", QWEN, ["--tp", "8"], "experts split over 8 ranks"),
        ("dynamo.sglang", QWEN, ["--tp", "8", "--ep", "2"], None),
        ("dynamo.sglang", QWEN, ["--tp", "8", "--moe-a2a-backend", "deepep"], None),
        ("dynamo.sglang", QWEN, ["--tp", "8", "--ep", "3"], "3 does not divide tensor parallel size 8"),
        (
            "dynamo.sglang",
            QWEN,
            ["--tp", "4", "--dp", "3", "--enable-dp-attention"],
            "attention data parallel size 3",
        ),
        ("dynamo.sglang", QWEN, ["--tp", "4", "--dp", "3"], None),
        ("dynamo.trtllm", QWEN, ["--tensor-parallel-size", "8"], None),
        (
            "dynamo.trtllm",
            QWEN,
            ["--tensor-parallel-size", "4", "--expert-parallel-size", "8"],
            "8 does not divide",
        ),
    ],
)
def test_experts_divide(
    tmp_path: Path, module: str, model: str, args: list[str], problem: str | None
) -> None:
    outcomes = list_messages(divisibility.experts_divide, split(tmp_path, model, *args, module=module))
    assert [outcome for outcome, _ in outcomes] == ([] if problem is None else ["fail"])
    assert problem is None or problem in outcomes[0][1]


@pytest.mark.parametrize("image", ["vllm-runtime:1.6.1", "vllm-runtime:latest", "my-vllm:1.3.0"])
def test_releases_that_are_not_known_to_refuse_are_not_judged(tmp_path: Path, image: str) -> None:
    assert list_messages(divisibility.experts_divide, split(tmp_path, QWEN, "-tp", "8", image=image)) == []
