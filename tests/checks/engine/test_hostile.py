"""The checks of engines say something or nothing about any text; none of them crashes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from dynocheck.checks.engine import conflicting_args, flags, kv_router, kv_transfer, shell_quoting
from dynocheck.checks.memory import gpu_memory, shared_memory
from dynocheck.checks.parallelism import divisibility
from dynocheck.core.declarations import Check
from dynocheck.core.outcomes import Skip
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import FRONTEND, GRAPH, recipes

CHECKS = [
    value
    for module in (
        conflicting_args,
        flags,
        kv_transfer,
        gpu_memory,
        kv_router,
        shared_memory,
        shell_quoting,
        divisibility,
    )
    for value in vars(module).values()
    if isinstance(value, Check)
]
HUGE = "9" * 500
WORDS = [
    [],
    ["--model", ""],
    ["--model", "/"],
    ["--model", "Qwen/Qwen3-32B", "-tp", HUGE],
    ["--model", "Qwen/Qwen3-32B", "-tp", "99999999999999", "-pp", "99999999999999"],
    ["--model", "Qwen/Qwen3-32B", "-tp", "0", "--max-model-len", "1e999k"],
    ["--model", "Qwen/Qwen3-32B", "--max-model-len", "nan", "--gpu-memory-utilization", "nan"],
    ["--model", "Qwen/Qwen3-32B", "--max-model-len", HUGE, "--gpu-memory-utilization", "1e-300"],
    ["--kv-transfer-config", '{"kv_connector": 1, "kv_connector_extra_config": {"connectors": 7}}'],
    ["--kv-transfer-config", "[" * 5000],
    ["--kv-events-config", '{"publisher": []}', "--disaggregation-mode", "prefill"],
    ["--hf-overrides", "7", "--max-model-len", "9"],
    ["-", "--", "-x", "--=", "=", "--a.b.c", "--.", "-O", "--no-"],
    ["--extra-engine-args", "/c/e.yaml", "--config", "/c/e.yaml"],
]
FILES = [
    "",
    "[]",
    "kv_cache_config: 3",
    f"max_seq_len: {HUGE}",
    "{tensor_parallel_size: [1], kv_cache_config: {dtype: {}}}",
]


@pytest.mark.parametrize("module", ["dynamo.vllm", "dynamo.sglang", "dynamo.trtllm", "dynamo.frontend"])
def test_nothing_crashes(tmp_path: Path, module: str) -> None:
    for i, words in enumerate(WORDS):
        for j, file in enumerate(FILES if "/c/e.yaml" in words else [""]):
            given = load_recipes([str(_written(tmp_path / f"{i}-{j}", module, words, file))])
            assert [
                len(c.containers[0].launches) for r in given for g in r.graphs for c in g.components[1:]
            ] == [1, 1]
            for each in CHECKS:
                with contextlib.suppress(Skip):
                    list(each(given) or ())


def _written(folder: Path, module: str, words: list[str], file: str) -> Path:
    args = "".join(f"\n          - {word!r}" for word in words) or " []"
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  e.yaml: '" + file + "'\n---"
    workers = "".join(
        f"""
  - name: {role}
    type: {role}
    sharedMemorySize: [1]
    podTemplate:
      spec:
        nodeSelector: {{nvidia.com/gpu.product: {{}}}}
        volumes: [{{name: c, configMap: {{name: c}}}}, 3]
        containers:
        - name: main
          image: vllm-runtime:1.3.0
          command: [python3, -m, {module}]
          args:{args}
          volumeMounts: [{{name: c, mountPath: /c}}]
          resources:
            limits: {{nvidia.com/gpu: "2", rdma/ib: []}}
            requests: {{nvidia.com/gpu: x, rdma/ib: 1}}
"""
        for role in ("prefill", "decode")
    )
    recipes(folder, deploy=config + GRAPH + FRONTEND + workers)
    return folder
