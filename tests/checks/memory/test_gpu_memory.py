"""Whether models fit, on recipes that ask for too little."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.memory import gpu_memory
from dynocheck.facts import Autoscalers, Node, Nodes, Recipes
from tests.checks.judging import (
    FRONTEND,
    GRAPH,
    explain_unjudged,
    get_coverage,
    get_skip_reason,
    outcomes,
    recipes,
    run_check,
)

LARGE = "meta-llama/Llama-3.1-405B-Instruct"
H100 = "nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3"


def graph(
    folder: Path, model: str, args: str = "", *, selector: str = "", module: str = "dynamo.vllm"
) -> Recipes:
    flag = "--model-path" if module == "dynamo.sglang" else "--model"
    text = f"""
  - name: w
    type: worker
    podTemplate:
      spec:
        nodeSelector: {{{selector}}}
        containers:
        - name: main
          image: registry.example/vllm-runtime:1.3.0
          command: [python3, -m, {module}]
          args: [{flag}, {model}{", " + args if args else ""}]
          resources: {{limits: {{nvidia.com/gpu: "1"}}}}
"""
    return recipes(folder, deploy=GRAPH + FRONTEND + text)


# memory.weights-fit


@pytest.mark.parametrize(
    ("model", "selector", "expected", "judged"),
    [
        ("Qwen/Qwen3-0.6B", "", [], 1),  # which every known GPU holds
        ("Qwen/Qwen3-32B", "", [], 0),
        (LARGE, "", ["fail"], 1),
        ("Qwen/Qwen3-8B", "nvidia.com/gpu.product: Tesla-T4", ["fail"], 1),
        ("Qwen/Qwen3-8B", "nvidia.com/gpu.product: NVIDIA-L4", [], 1),
        ("Qwen/Qwen3-32B", "nvidia.com/gpu.product: NVIDIA-A10G", ["fail"], 1),
        ("Qwen/Qwen3-32B", "nvidia.com/gpu.product: NVIDIA-H100-NVL", [], 1),
        ("Qwen/Qwen3-32B", "nvidia.com/gpu.product: NVIDIA-FUTURE-32GB", ["fail"], 1),
        ("Qwen/Qwen3-32B", "nvidia.com/gpu.product: NVIDIA-FUTURE", [], 0),
        ("Qwen/Qwen3-8B", "nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", ["fail"], 1),
        ("Qwen/Qwen3-8B", "nvidia.com/gpu.product: NVIDIA-L4-SHARED", [], 1),
        ("Qwen/Qwen3-32B", 'nvidia.com/gpu.memory: "46068"', ["fail"], 1),
        ("Qwen/Qwen3-32B", 'nvidia.com/gpu.memory: "81559"', [], 1),
    ],
)
def test_the_gpu_is_known_as_far_as_the_recipe_tells(
    tmp_path: Path, model: str, selector: str, expected: list[str], judged: int
) -> None:
    given = graph(tmp_path, model, "--max-model-len=9", selector=selector)
    left = [] if judged else [f"w: {model}"]
    assert outcomes(gpu_memory.weights_fit, given) == expected
    assert get_coverage(gpu_memory.weights_fit, given) == (judged, left)
    fits = judged and not expected
    assert outcomes(gpu_memory.kv_cache, given) == []
    assert get_coverage(gpu_memory.kv_cache, given) == (1, []) if fits else (0, [f"w: {model}"])


def node(name: str, product: str, memory: int | None = None) -> Node:
    size = {"nvidia.com/gpu.memory": str(memory)} if memory else {}
    return Node(
        name=name, labels={"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": product, **size}
    )


L4, NEW, H200 = node("a", "NVIDIA-L4"), node("b", "NVIDIA-FUTURE", 81559), node("c", "NVIDIA-H200", 143771)


@pytest.mark.parametrize(
    ("nodes", "autoscalers", "expected", "judged"),
    [
        ([L4], [], ["fail"], 1),
        ([NEW], [], [], 1),
        ([L4, NEW], [], ["warn"], 1),
        ([L4], ["Karpenter"], [], 0),  # which may add larger ones
        ([], [], [], 0),
    ],
)
def test_the_gpu_is_one_of_the_clusters(
    tmp_path: Path, nodes: list[Node], autoscalers: list[str], expected: list[str], judged: int
) -> None:
    facts = (graph(tmp_path, "Qwen/Qwen3-32B"), Nodes(tuple(nodes)), Autoscalers(tuple(autoscalers)))
    assert outcomes(gpu_memory.weights_fit, *facts) == expected
    assert get_coverage(gpu_memory.weights_fit, *facts)[0] == judged


def test_only_nodes_that_the_pods_may_get_count(tmp_path: Path) -> None:
    given = graph(tmp_path, "Qwen/Qwen3-32B", selector="nvidia.com/gpu.product: NVIDIA-H200")
    assert get_coverage(gpu_memory.weights_fit, given, Nodes((L4, H200)), Autoscalers(())) == (1, [])


@pytest.mark.parametrize(
    ("model", "args", "selector", "fits"),
    [
        ("Qwen/Qwen3-32B", "", H100, True),
        ("meta-llama/Llama-3.3-70B-Instruct", "", H100, False),
        ("meta-llama/Llama-3.3-70B-Instruct", '--tensor-parallel-size, "2"', H100, True),
        ("meta-llama/Llama-3.3-70B-Instruct", '-pp, "2"', H100, True),
        ("meta-llama/Llama-3.3-70B-Instruct", "", "", True),  # there are larger GPUs
        (LARGE, "", "", False),  # there are none that large
        (LARGE, '-tp, "4"', "", True),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "", H100, True),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "--gpu-memory-utilization=0.8", H100, False),
    ],
)
def test_weights_fit(tmp_path: Path, model: str, args: str, selector: str, fits: bool) -> None:
    recipe = graph(tmp_path, model, args, selector=selector)
    assert outcomes(gpu_memory.weights_fit, recipe) == ([] if fits else ["fail"])


def test_evidence_has_the_sizes(tmp_path: Path) -> None:
    (finding,) = run_check(
        gpu_memory.weights_fit, graph(tmp_path, "meta-llama/Llama-3.3-70B-Instruct", selector=H100)
    )
    assert (finding.evidence["weights_gib"], finding.evidence["gpu_gib"]) == (131.4, 80.0)
    assert finding.location is not None
    assert finding.location.line


def test_engines_of_all_kinds_are_judged(tmp_path: Path) -> None:
    for module in ("dynamo.vllm", "dynamo.sglang", "dynamo.trtllm"):
        (finding,) = run_check(gpu_memory.weights_fit, graph(tmp_path / module, LARGE, module=module))
        assert str(finding.outcome) == "fail"


def test_required_affinity_names_a_product_too(tmp_path: Path) -> None:
    text = """
  - name: w
    type: worker
    podTemplate:
      spec:
        affinity:
          nodeAffinity:
            requiredDuringSchedulingIgnoredDuringExecution:
              nodeSelectorTerms:
              - matchExpressions: [{key: nvidia.com/gpu.product, operator: In, values: [VALUES]}]
        containers:
        - name: main
          command: [python3, -m, dynamo.vllm, --model, meta-llama/Llama-3.3-70B-Instruct]
          resources: {limits: {nvidia.com/gpu: "1"}}
"""
    small = GRAPH + FRONTEND + text.replace("VALUES", "NVIDIA-H100-80GB-HBM3")
    assert len(run_check(gpu_memory.weights_fit, recipes(tmp_path / "a", deploy=small))) == 1
    either = GRAPH + FRONTEND + text.replace("VALUES", "NVIDIA-H100-80GB-HBM3, NVIDIA-B200")
    assert outcomes(gpu_memory.weights_fit, recipes(tmp_path / "b", deploy=either)) == ["warn"]
    unknown = GRAPH + FRONTEND + text.replace("VALUES", "NVIDIA-FUTURE")
    reason = explain_unjudged(gpu_memory.weights_fit, recipes(tmp_path / "c", deploy=unknown))
    assert "NVIDIA-FUTURE" in reason


@pytest.mark.parametrize(
    "args",
    [
        "--quantization, fp8",
        '--cpu-offload-gb, "400"',
        "--hf-overrides, '{\"num_hidden_layers\": 2}'",
        "--tensor-parallel-size, $(NOWHERE)",
        "--gpu-memory-utilization, $(NOWHERE)",
    ],
)
def test_what_changes_the_weights_is_not_guessed(tmp_path: Path, args: str) -> None:
    assert explain_unjudged(gpu_memory.weights_fit, graph(tmp_path, LARGE, args))


def test_other_models_are_not_judged(tmp_path: Path) -> None:
    assert "not in the table" in explain_unjudged(gpu_memory.weights_fit, graph(tmp_path / "a", "own/model"))
    assert explain_unjudged(gpu_memory.weights_fit, graph(tmp_path / "b", "/models/somewhere"))
    assert get_skip_reason(gpu_memory.weights_fit, recipes(tmp_path / "c", deploy=GRAPH + FRONTEND))


@pytest.mark.parametrize(
    ("path", "folder", "known"),
    [
        ("/model-cache/llama", "/cache/llama", True),
        ("/model-cache/llama/", "/cache/llama", True),
        ("/model-cache/other", "/cache/llama", False),
        ("/elsewhere/llama", "/cache/llama", False),
    ],
)
def test_a_path_is_known_by_the_download_that_fills_it(
    tmp_path: Path, path: str, folder: str, known: bool
) -> None:
    download = f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: download}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: c
        image: python:3.12
        command: [hf, download, {LARGE}, --local-dir, {folder}]
        volumeMounts: [{{name: v, mountPath: /cache}}]
      volumes: [{{name: v, persistentVolumeClaim: {{claimName: model-cache}}}}]
"""
    loads = f"""
  - name: w
    type: worker
    podTemplate:
      spec:
        volumes: [{{name: v, persistentVolumeClaim: {{claimName: model-cache}}}}]
        containers:
        - name: main
          command: [python3, -m, dynamo.vllm, --model, {path}]
          resources: {{limits: {{nvidia.com/gpu: "1"}}}}
          volumeMounts: [{{name: v, mountPath: /model-cache}}]
"""
    given = recipes(tmp_path, download=download, deploy=GRAPH + FRONTEND + loads)
    if known:
        assert outcomes(gpu_memory.weights_fit, given) == ["fail"]
    else:
        assert explain_unjudged(gpu_memory.weights_fit, given)


# memory.kv-cache


@pytest.mark.parametrize(
    ("model", "args", "expected"),
    [
        ("Qwen/Qwen3-32B", "", []),
        ("Qwen/Qwen3-32B", '--max-model-len, "131072"', ["warn"]),
        ("Qwen/Qwen3-32B", "--max-model-len=128K", ["warn"]),
        ("Qwen/Qwen3-32B", "--max_model_len=16k", []),
        ("Qwen/Qwen3-32B", '--max-model-len, "-1"', []),
        ("Qwen/Qwen3-32B", '--max-model-len, "131072", --kv-cache-dtype, fp8, -tp, "2"', []),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "", ["warn"]),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", '--max-model-len, "8192"', []),
        ("meta-llama/Llama-3.3-70B-Instruct", "", []),  # memory.weights-fit says it
    ],
)
def test_one_sequence_fits(tmp_path: Path, model: str, args: str, expected: list[str]) -> None:
    given = graph(tmp_path, model, args, selector=H100)
    assert outcomes(gpu_memory.kv_cache, given) == expected
