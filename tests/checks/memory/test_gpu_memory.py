"""Whether models fit, on recipes that ask for too little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.memory.gpu_memory import kv_cache, weights_fit
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, get_skip_reason, outcomes, run_check
from tests.checks.manifests import CLAIM, engine, graph, job

IMAGE = "registry.example/vllm-runtime:1.3.0"
LARGE, LLAMA, QWEN = (
    "meta-llama/Llama-3.1-405B-Instruct",
    "meta-llama/Llama-3.3-70B-Instruct",
    "Qwen/Qwen3-32B",
)
FP8 = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"
H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}


def load(folder: Path, model: str, args: str = "", on: dict[str, str] | None = None, **more: Any) -> Recipes:
    """The recipe of a worker that loads a model, on a node with these labels."""
    worker = engine(*args.split(), model=model, image=IMAGE, **{"pod": {"nodeSelector": on or {}}, **more})
    return deploy(folder, graph(worker))


# memory.weights-fit


@pytest.mark.parametrize(
    ("model", "args", "on", "expected"),
    [
        (QWEN, "", H100, []),
        (LLAMA, "", H100, ["fail"]),
        (LLAMA, "--tensor-parallel-size 2", H100, []),
        (LLAMA, "-pp 2", H100, []),
        (LLAMA, "", {}, []),  # there are larger GPUs
        (LARGE, "", {}, ["fail"]),  # there are none that large
        (LARGE, "-tp 4", {}, []),
        (FP8, "", H100, []),
        (FP8, "--gpu-memory-utilization=0.8", H100, ["fail"]),
        # what changes the weights is not guessed
        (LARGE, "--quantization fp8", {}, ["skip"]),
        (LARGE, "--cpu-offload-gb 400", {}, ["skip"]),
        (LARGE, '--hf-overrides {"num_hidden_layers":2}', {}, ["skip"]),
        (LARGE, "--tensor-parallel-size $(NOWHERE)", {}, ["skip"]),
        (LARGE, "--gpu-memory-utilization $(NOWHERE)", {}, ["skip"]),
        ("/models/somewhere", "", {}, ["skip"]),
    ],
)
def test_weights_fit(tmp_path: Path, model: str, args: str, on: dict[str, str], expected: list[str]) -> None:
    assert outcomes(weights_fit, load(tmp_path, model, args, on)) == expected


def test_evidence_has_the_sizes(tmp_path: Path) -> None:
    (finding,) = run_check(weights_fit, load(tmp_path, LLAMA, on=H100))
    assert (finding.evidence["weights_gib"], finding.evidence["gpu_gib"]) == (131.4, 80.0)
    assert finding.location is not None
    assert finding.location.line


@pytest.mark.parametrize("module", ["dynamo.vllm", "dynamo.sglang", "dynamo.trtllm"])
def test_engines_of_all_kinds_are_judged(tmp_path: Path, module: str) -> None:
    assert outcomes(weights_fit, load(tmp_path, LARGE, module=module)) == ["fail"]


@pytest.mark.parametrize(
    ("products", "expected"),
    [
        (["NVIDIA-H100-80GB-HBM3"], ["fail"]),
        (["NVIDIA-H100-80GB-HBM3", "NVIDIA-B200"], []),
        (["NVIDIA-FUTURE"], ["skip"]),
    ],
)
def test_required_affinity_names_a_product_too(
    tmp_path: Path, products: list[str], expected: list[str]
) -> None:
    term = {"key": "nvidia.com/gpu.product", "operator": "In", "values": products}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [term]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    given = load(tmp_path, LLAMA, pod={"affinity": affinity})
    assert outcomes(weights_fit, given) == expected
    if expected == ["skip"]:
        assert products[0] in get_skip_reason(weights_fit, given)


def test_other_models_are_not_judged(tmp_path: Path) -> None:
    assert "own/model" in get_skip_reason(weights_fit, load(tmp_path / "a", "own/model"))
    assert outcomes(weights_fit, deploy(tmp_path / "b", graph())) == ["skip"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/model-cache/llama", ["fail"]),
        ("/model-cache/llama/", ["fail"]),
        ("/model-cache/other", ["skip"]),
        ("/elsewhere/llama", ["skip"]),
    ],
)
def test_a_path_is_known_by_the_download_that_fills_it(
    tmp_path: Path, path: str, expected: list[str]
) -> None:
    mounted = {"volumeMounts": [{"name": "cache", "mountPath": "/model-cache"}]}
    loading = graph(engine(model=path, main=mounted, pod={"volumes": [CLAIM]}))
    given = deploy(tmp_path, job(f"hf download {LARGE} --local-dir /models/llama"), loading)
    assert outcomes(weights_fit, given) == expected


# memory.kv-cache


@pytest.mark.parametrize(
    ("model", "args", "expected"),
    [
        (QWEN, "", []),
        (QWEN, "--max-model-len 131072", ["warn"]),
        (QWEN, "--max-model-len=128K", ["warn"]),
        (QWEN, "--max_model_len=16k", []),
        (QWEN, "--max-model-len -1", []),
        (QWEN, "--max-model-len 131072 --kv-cache-dtype fp8 -tp 2", []),
        (FP8, "", ["warn"]),
        (FP8, "--max-model-len 8192", []),
        (LLAMA, "", []),  # memory.weights-fit says it
    ],
)
def test_one_sequence_fits(tmp_path: Path, model: str, args: str, expected: list[str]) -> None:
    assert outcomes(kv_cache, load(tmp_path, model, args, H100)) == expected
