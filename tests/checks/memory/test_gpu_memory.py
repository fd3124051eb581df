"""Whether models fit, on recipes that ask for too little."""

import json
from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.memory.gpu_memory import kv_cache, weights_fit
from dynocheck.facts import Autoscalers, Node, Nodes
from tests.checks.judging import deploy, explain_unjudged, judge, outcomes, run_check
from tests.checks.manifests import CLAIM, engine, graph, job

IMAGE = "registry.example/vllm-runtime:1.3.0"
LARGE, LLAMA, QWEN = (
    "meta-llama/Llama-3.1-405B-Instruct",
    "meta-llama/Llama-3.3-70B-Instruct",
    "Qwen/Qwen3-32B",
)
FP8 = "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"
PRODUCT = "nvidia.com/gpu.product"
H100 = {PRODUCT: "NVIDIA-H100-80GB-HBM3"}


def load(model: str, args: str = "", on: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A graph with a worker that loads a model, on a node with these labels."""
    pod = {"pod": {"nodeSelector": on or {}}}
    return graph(engine(*args.split(), model=model, image=IMAGE, **{**pod, **more}))


def require(*products: str) -> dict[str, Any]:
    """The same where an affinity names products."""
    term = {"key": PRODUCT, "operator": "In", "values": list(products)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [term]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    return load(LLAMA, pod={"affinity": affinity})


def load_path(path: str) -> dict[str, Any]:
    mounted = {"volumeMounts": [{"name": "cache", "mountPath": "/model-cache"}]}
    return graph(engine(model=path, main=mounted, pod={"volumes": [CLAIM]}))


FETCH = job(f"hf download {LARGE} --local-dir /models/llama")


@pytest.mark.parametrize(
    ("model", "on", "weights", "cache"),
    [
        ("Qwen/Qwen3-0.6B", {}, [], []),  # which every known GPU holds
        (QWEN, {}, ["unjudged"], ["unjudged"]),
        (LARGE, {}, ["fail"], ["unjudged"]),
        ("Qwen/Qwen3-8B", {PRODUCT: "Tesla-T4"}, ["fail"], ["unjudged"]),
        ("Qwen/Qwen3-8B", {PRODUCT: "NVIDIA-L4"}, [], []),
        (QWEN, {PRODUCT: "NVIDIA-A10G"}, ["fail"], ["unjudged"]),
        (QWEN, {PRODUCT: "NVIDIA-H100-NVL"}, [], []),
        (QWEN, {PRODUCT: "NVIDIA-FUTURE-32GB"}, ["fail"], ["unjudged"]),
        (QWEN, {PRODUCT: "NVIDIA-FUTURE"}, ["unjudged"], ["unjudged"]),
        ("Qwen/Qwen3-8B", {PRODUCT: "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb"}, ["fail"], ["unjudged"]),
        ("Qwen/Qwen3-8B", {PRODUCT: "NVIDIA-L4-SHARED"}, [], []),
        (QWEN, {"nvidia.com/gpu.memory": "46068"}, ["fail"], ["unjudged"]),
        (QWEN, {"nvidia.com/gpu.memory": "81559"}, [], []),
    ],
)
def test_the_gpu_is_known_as_far_as_the_recipe_tells(
    tmp_path: Path, model: str, on: dict[str, str], weights: list[str], cache: list[str]
) -> None:
    given = deploy(tmp_path, load(model, "--max-model-len=9", on))
    assert (judge(weights_fit, given), judge(kv_cache, given)) == (weights, cache)


def draft(**config: Any) -> str:
    return f"--speculative-config={json.dumps(config, separators=(',', ':'))}"


@pytest.mark.parametrize(
    ("model", "args", "expected"),
    [
        (QWEN, draft(model="Qwen/Qwen3-8B", method="draft_model"), ["fail"]),
        (QWEN, draft(model="Qwen/Qwen3-0.6B"), []),
        (QWEN, draft(model="own/head", method="eagle3"), ["unjudged"]),
        ("Qwen/Qwen3-8B", draft(model="own/head", method="eagle3"), []),  # there is room for as much again
        (QWEN, draft(method="ngram"), []),
        (QWEN, "--speculative-config=$(DRAFT)", ["unjudged"]),
    ],
)
def test_a_draft_model_takes_memory_too(tmp_path: Path, model: str, args: str, expected: list[str]) -> None:
    assert judge(weights_fit, deploy(tmp_path, load(model, args, on=H100))) == expected


def node(name: str, product: str, memory: int | None = None) -> Node:
    size = {"nvidia.com/gpu.memory": str(memory)} if memory else {}
    return Node(name=name, labels={"nvidia.com/gpu.present": "true", PRODUCT: product, **size})


L4, NEW, H200 = node("a", "NVIDIA-L4"), node("b", "NVIDIA-FUTURE", 81559), node("c", "NVIDIA-H200", 143771)


@pytest.mark.parametrize(
    ("on", "nodes", "autoscalers", "expected"),
    [
        ({}, [L4], [], ["fail"]),
        ({}, [NEW], [], []),
        ({}, [L4, NEW], [], ["warn"]),
        ({}, [L4], ["Karpenter"], ["unjudged"]),  # which may add larger ones
        ({}, [], [], ["unjudged"]),
        ({PRODUCT: "NVIDIA-H200"}, [L4, H200], [], []),  # only nodes that the pods may get count
    ],
)
def test_the_gpu_is_one_of_the_clusters(
    tmp_path: Path, on: dict[str, str], nodes: list[Node], autoscalers: list[str], expected: list[str]
) -> None:
    around = Nodes(tuple(nodes)), Autoscalers(tuple(autoscalers))
    assert judge(weights_fit, deploy(tmp_path, load(QWEN, on=on)), *around) == expected


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([load(QWEN, "", H100)], []),
        ([load(LLAMA, "", H100)], ["fail"]),
        ([load(LLAMA, "--tensor-parallel-size 2", H100)], []),
        ([load(LLAMA, "-pp 2", H100)], []),
        ([load(LLAMA)], ["unjudged"]),  # there are larger GPUs
        ([load(LARGE, module="dynamo.sglang")], ["fail"]),
        ([load(LARGE, module="dynamo.trtllm")], ["fail"]),
        ([load(LARGE, "-tp 4")], ["unjudged"]),
        ([load(FP8, "", H100)], []),
        ([load(FP8, "--gpu-memory-utilization=0.8", H100)], ["fail"]),
        ([require("NVIDIA-H100-80GB-HBM3")], ["fail"]),
        ([require("NVIDIA-H100-80GB-HBM3", "NVIDIA-B200")], ["warn"]),
        # what changes the weights is not guessed
        ([load(LARGE, "--quantization fp8")], ["unjudged"]),
        ([load(LARGE, "--cpu-offload-gb 400")], ["unjudged"]),
        ([load(LARGE, '--hf-overrides {"num_hidden_layers":2}')], ["unjudged"]),
        ([load(LARGE, "--tensor-parallel-size $(NOWHERE)")], ["unjudged"]),
        ([load(LARGE, "--gpu-memory-utilization $(NOWHERE)")], ["unjudged"]),
        ([load("/models/somewhere")], ["unjudged"]),
        ([graph()], ["skip"]),
        # a path is known by the download that fills it
        ([FETCH, load_path("/model-cache/llama")], ["fail"]),
        ([FETCH, load_path("/model-cache/llama/")], ["fail"]),
        ([FETCH, load_path("/model-cache/other")], ["unjudged"]),
        ([FETCH, load_path("/elsewhere/llama")], ["unjudged"]),
    ],
)
def test_weights_fit(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert judge(weights_fit, deploy(tmp_path, *objects)) == expected


@pytest.mark.parametrize(
    ("one", "named"), [(load("own/model"), "not in the table"), (require("NVIDIA-FUTURE"), "NVIDIA-FUTURE")]
)
def test_what_is_not_in_the_tables_is_named(tmp_path: Path, one: dict[str, Any], named: str) -> None:
    assert named in explain_unjudged(weights_fit, deploy(tmp_path, one))


def test_evidence_has_the_sizes(tmp_path: Path) -> None:
    (finding,) = run_check(weights_fit, deploy(tmp_path, load(LLAMA, "", H100)))
    assert (finding.evidence["weights_gib"], finding.evidence["gpu_gib"]) == (131.4, 80.0)
    assert finding.location is not None
    assert finding.location.line


@pytest.mark.parametrize(
    ("model", "args", "expected"),
    [
        (QWEN, "", []),
        (QWEN, "--max-model-len 131072", ["warn"]),
        (QWEN, "--max-model-len=128K", ["warn"]),
        (QWEN, "--max_model_len=16k", []),
        (QWEN, "--max-model-len -1", []),
        (QWEN, "--max-model-len many", []),  # engine.values says it
        (QWEN, "--max-model-len 131072 --kv-cache-dtype fp8 -tp 2", []),
        (FP8, "", ["warn"]),
        (FP8, "--max-model-len 8192", []),
        (LLAMA, "", []),  # memory.weights-fit says it
    ],
)
def test_one_sequence_fits_the_kv_cache(tmp_path: Path, model: str, args: str, expected: list[str]) -> None:
    assert outcomes(kv_cache, deploy(tmp_path, load(model, args, H100))) == expected
