"""The checks of engines say something or nothing about any text; none of them crashes."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine import conflicting_args, flags, kv_router, kv_transfer, shell_quoting
from dynocheck.checks.memory import gpu_memory, shared_memory
from dynocheck.checks.parallelism import divisibility
from dynocheck.core.declarations import Check
from dynocheck.core.outcomes import Skip
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import deploy
from tests.checks.manifests import config_map, engine, graph, mount_config

MODULES = (
    *(conflicting_args, flags, kv_router, kv_transfer, shell_quoting),
    *(gpu_memory, shared_memory, divisibility),
)
CHECKS = [each for module in MODULES for each in vars(module).values() if isinstance(each, Check)]
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
TENSORS = "{tensor_parallel_size: [1], kv_cache_config: {dtype: {}}}"
FILES = ["", "[]", "kv_cache_config: 3", f"max_seq_len: {HUGE}", TENSORS]


@pytest.mark.parametrize("module", ["dynamo.vllm", "dynamo.sglang", "dynamo.trtllm", "dynamo.frontend"])
def test_nothing_crashes(tmp_path: Path, module: str) -> None:
    for i, words in enumerate(WORDS):
        for j, file in enumerate(FILES if "/c/e.yaml" in words else [""]):
            given = load_recipes([_write(tmp_path / f"{i}-{j}", module, words, file)])
            (graphs,) = (recipe.graphs for recipe in given)
            assert [len(worker.containers[0].launches) for worker in graphs[0].components[1:]] == [1, 1]
            for each in CHECKS:
                with contextlib.suppress(Skip):
                    list(each(given) or ())


def _write(folder: Path, module: str, words: list[str], file: str) -> str:
    limits, requests = {"nvidia.com/gpu": "2", "rdma/ib": []}, {"nvidia.com/gpu": "x", "rdma/ib": 1}
    main = {"resources": {"limits": limits, "requests": requests}, **mount_config("c", "/c")["main"]}
    volumes = mount_config("c")["pod"]["volumes"]
    pod = {"nodeSelector": {"nvidia.com/gpu.product": {}}, "volumes": [*volumes, 3]}
    usual: dict[str, Any] = {
        "module": module,
        "model": None,
        "image": "vllm-runtime:1.3.0",
        "main": main,
        "pod": pod,
    }
    roles = ("prefill", "decode")
    workers = [engine(*words, name=role, role=role, **usual, sharedMemorySize=[1]) for role in roles]
    deploy(folder, config_map("c", e=file), graph(*workers))
    return str(folder)
