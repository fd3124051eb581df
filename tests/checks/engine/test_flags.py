"""Flags and values, on command lines with one mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine.flags import flags_known, values
from dynocheck.data import flags, images
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, outcomes, read_lines, run_check
from tests.checks.manifests import engine, graph

VLLM, SGLANG, TRTLLM = "vllm-runtime:1.3.0", "sglang-runtime:1.3.0", "tensorrtllm-runtime:1.3.0"


def launch(folder: Path, args: str, *, image: str = VLLM, **more: Any) -> Recipes:
    """The recipe of a worker that is started with these arguments."""
    image = f"nvcr.io/nvidia/ai-dynamo/{image}"
    return deploy(folder, graph(engine(*args.split(), model=None, image=image, **more)))


# engine.flags-known


@pytest.mark.parametrize(
    ("args", "fix"),
    [
        ("--tensor-paralel-size 2", "replace --tensor-paralel-size with --tensor-parallel-size"),
        ("--tp-size 2", "remove --tp-size"),
        ("--no-model", "replace --no-model with --model"),
        ("--disaggregation_mode prefill", "replace --disaggregation_mode with --disaggregation-mode"),
        ("--disaggregation-mo prefill", "replace --disaggregation-mo with --disaggregation-mode"),
        ("--enable-e x", "replace --enable-e with --enable-elastic-ep"),
        ("--max_num x", "replace --max_num with --max-num-batched-tokens"),
        ("--kv.a x", "replace --kv.a with --kv-cache-dtype"),
        ("--typo.mode 3", "remove --typo.mode"),
    ],
)
def test_vllm_exits_at_flags_that_it_does_not_know(tmp_path: Path, args: str, fix: str) -> None:
    given = launch(tmp_path, args)
    (finding,) = run_check(flags_known, given)
    assert (finding.outcome, (finding.fix or "").partition("   # ")[0]) == ("fail", fix)
    assert read_lines(flags_known, given) == [f"- {args.split()[0]}"]


@pytest.mark.parametrize(
    ("module", "image", "args", "expected"),
    [
        ("vllm", VLLM, "--model m --tensor-parallel-size 2 -tp=2 -q fp8 -tp 2", []),
        ("vllm", VLLM, "--no-enable-prefix-caching --enable-prefix-caching", []),
        ("vllm", VLLM, "--tensor_parallel_size=2 --gpu_memory_utilization 0.9", []),
        ("vllm", VLLM, "--tensor-para 2", []),
        ("vllm", VLLM, "--compilation-config.mode 3 -O2 -cc.mode=3 --compilation_config {}", []),
        ("vllm", VLLM, "--disaggregation-mode prefill --no-durable-kv-events", []),
        ("vllm", VLLM, "--seed -1 --help -h", []),
        ("vllm", VLLM, "-- --anything", []),
        ("sglang", SGLANG, "--tp 8 --dp-size=8 --enable-dp-attention", []),
        ("sglang", SGLANG, "--tensor_parallel_size 8", ["fail"]),
        ("sglang", SGLANG, "--prefill-round-robin-balance", []),
        ("sglang", "sglang-runtime:1.6.1", "--prefill-round-robin-balance", ["fail"]),
        ("trtllm", TRTLLM, "--extra-engine-args x", []),
        ("trtllm", TRTLLM, "--trtllm.kv_cache_config.dtype fp8", []),
        ("trtllm", TRTLLM, "--tp-size 8", ["fail"]),
        ("frontend", VLLM, "--router-mode kv --http-port=8000", []),
        ("frontend", VLLM, "--router kv", ["fail"]),
        ("frontend", VLLM, "--tokenizer-mode=slow", ["fail"]),
        ("frontend", VLLM, "--dyn-chat-processor=vllm --tokenizer-mode=slow", []),
        ("mocker", VLLM, "--model-path m", []),
        ("mocker", VLLM, "--modelpath m", ["fail"]),
        ("vllm", "vllm-runtime:1.3.0-efa", "--typo", ["fail"]),
        ("vllm", "vllm-runtime:1.2.0-cuda13", "--typo", ["fail"]),
        ("vllm", "vllm-runtime:1.6.1", "--typo", ["fail"]),
        ("vllm", "vllm-runtime:1.6.1-efa", "--typo", ["fail"]),
        ("vllm", "vllm-runtime:1.3.0.post1", "--typo", ["fail"]),
    ],
)
def test_flags_by_release(tmp_path: Path, module: str, image: str, args: str, expected: list[str]) -> None:
    assert outcomes(flags_known, launch(tmp_path, args, module=f"dynamo.{module}", image=image)) == expected


def test_what_only_the_container_knows_is_not_judged(tmp_path: Path) -> None:
    script = 'python3 -m dynamo.vllm --model m $EXTRA "$@" --max-model-len $(cat /length)'
    given = launch(tmp_path, "", main={"command": ["sh", "-c", script]})
    assert (outcomes(flags_known, given), outcomes(values, given)) == ([], [])


def test_images_and_packages_name_the_same_engines() -> None:
    names = {"vLLM": "vllm", "SGLang": "sglang", "TensorRT-LLM": "tensorrt-llm"}
    for image in images.engine_images():
        engine_name, _, version = image.engine.partition(" ")
        release = flags.dynamo_release(f"{image.image}:{image.tag}")
        if release is not None and engine_name in names:
            assert flags.engine_versions(release)[names[engine_name]] == version, image


# engine.values


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("--gpu-memory-utilization 0.9", []),
        ("--kv-cache-dtype fp8", []),
        ("--runner pooling --convert embed --spec-method eagle3", []),
        ("--dtype bfloat16", []),
        ("--max-model-len 16k", []),
        ("--max-model-len 1M", []),
        ("--max-model-len 2.5k", []),
        ("--max-model-len auto", []),
        ("--max-model-len=-1", []),
        ("--max-num-batched-tokens 8K", []),
        ("--served-model-name a b", []),
        ("--kv-transfer-config {}", []),
        ("-O3", []),
        ("--max-logprobs -1", []),
        ("--gpu-memory-utilization 1.5", ["fail"]),
        ("--gpu-memory-utilization=0", ["fail"]),
        ("--gpu-memory-utilization 90%", ["fail"]),
        ("--tensor-parallel-size two", ["fail"]),
        ("--tensor-parallel-size", ["fail"]),
        ("--tensor-parallel-size --enforce-eager", ["fail"]),
        ("--tensor-parallel-size 2 4", ["fail"]),
        ("--kv-cache-dtype fp7", ["fail"]),
        ("--runner generat", ["fail"]),
        ("--dtype bf16", ["fail"]),
        ("--enforce-eager true", ["fail"]),
        ("--enforce-eager=true", ["fail"]),
        ("--max-model-len 2.5K", ["fail"]),
        ("--max-model-len 16ki", ["fail"]),
        ("--max-model-len many", ["fail"]),
        ("--max-model-len=-2", ["fail"]),
        ("--max-num-batched-tokens 0k", ["fail"]),
        ("--kv-cache-memory-bytes 25.6G", ["fail"]),
    ],
)
def test_values(tmp_path: Path, args: str, expected: list[str]) -> None:
    given = launch(tmp_path, args)
    assert outcomes(values, given) == expected
    assert read_lines(values, given) == [f"- {args.split()[0]}"] * len(expected)


@pytest.mark.parametrize(("mode", "expected"), [("kv", []), ("kv-aware", ["fail"])])
def test_values_of_the_frontend(tmp_path: Path, mode: str, expected: list[str]) -> None:
    given = launch(tmp_path, f"--router-mode {mode}", module="dynamo.frontend")
    assert outcomes(values, given) == expected
