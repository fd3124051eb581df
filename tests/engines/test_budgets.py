"""The memory budget that an engine's arguments set."""

from collections.abc import Sequence

import pytest

from dynocheck.engines.memory import MemoryBudget, Sharding
from tests.engines.launches import CONFIG, read_engine

FILE = ["--extra-engine-args", CONFIG]


def budget(module: str, line: Sequence[str | None], file: str | None = None) -> MemoryBudget | None:
    engine, arguments = read_engine(module, line, file)
    return engine.budget(arguments)


def known(module: str, line: Sequence[str | None], file: str | None = None) -> MemoryBudget:
    found = budget(module, line, file)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["-tp", "4", "-pp", "2", "-dp", "2"], Sharding(4, 4, 8, 2)),
        (["-tp", "8", "-dcp", "8"], Sharding(8, 8, 8, 1, 8)),
        (["-tp", "8", "-pcp", "2"], Sharding(8, 8, 16)),
    ],
)
def test_vllm_is_sharded(line: list[str], expected: Sharding) -> None:
    found = known("dynamo.vllm", line)
    assert found.sharding == expected


@pytest.mark.parametrize(
    ("line", "static", "longest", "adapts"),
    [
        ([], 0.92, None, False),
        (["--gpu-memory-utilization=0.5", "--max-model-len", "4096"], 0.5, 4096, False),
        (["--max-model-len", "16k"], 0.92, 16_000, False),
        (["--max-model-len", "16K"], 0.92, 16_384, False),
        (["--max-model-len", "1.5k"], 0.92, 1500, False),
        (["--max-model-len", "auto"], 0.92, None, True),
        (["--max-model-len", "-1"], 0.92, None, True),
        (["--max-model-len", "9", "--hf-overrides", '{"rope_scaling": {"factor": 4}}'], 0.92, 9, False),
    ],
)
def test_vllm_uses_one_share(line: list[str], static: float, longest: int | None, adapts: bool) -> None:
    found = known("dynamo.vllm", line)
    assert (found.static, found.free, found.longest, found.adapts) == (static, 1.0, longest, adapts)


@pytest.mark.parametrize(
    ("line", "attention"),
    [
        (["--tp", "8"], 8),
        (["--tp", "8", "--dp", "4", "--enable-dp-attention"], 2),
        (["--tp", "8", "--dp", "4"], 8),
        (["--tp", "8", "--dp", "16", "--enable-dp-attention"], 1),
    ],
)
def test_sglang_divides_attention(line: list[str], attention: int) -> None:
    found = known("dynamo.sglang", [*line, "--mem-fraction-static", "0.8"])
    assert found.sharding == Sharding(8, attention, 8)
    assert found.static == 0.8


@pytest.mark.parametrize(
    ("line", "file", "free"),
    [
        ([], None, 0.9),
        (["--free-gpu-memory-fraction", "0.5"], None, 0.5),
        (FILE, "kv_cache_config: {free_gpu_memory_fraction: 0.7}", 0.7),
        ([*FILE, "--free-gpu-memory-fraction=0.5"], "kv_cache_config: {dtype: fp8}", 0.9),
        ([*FILE, "--free-gpu-memory-fraction=0.5"], "max_batch_size: 8", 0.5),
    ],
)
def test_trtllm_gives_its_cache_a_share_of_the_rest(line: list[str], file: str | None, free: float) -> None:
    found = known("dynamo.trtllm", line, file)
    assert (found.static, found.free) == (1.0, free)


def test_trtllm_reads_its_file() -> None:
    text = (
        "{tensor_parallel_size: 8, enable_attention_dp: true, max_seq_len: 9, kv_cache_config: {dtype: fp8}}"
    )
    found = known("dynamo.trtllm", FILE, text)
    assert (found.sharding, found.cache, found.longest) == (Sharding(8, 1, 8), "fp8", 9)


def test_a_faster_loader_loads_the_same() -> None:
    for loader in ("fastsafetensors", "mistral", "pt"):
        assert known("dynamo.vllm", ["--load-format", loader]) == known("dynamo.vllm", [])


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("dynamo.vllm", ["-tp", None]),
        ("dynamo.vllm", ["--gpu-memory-utilization", "2"]),
        ("dynamo.vllm", ["--gpu-memory-utilization", None]),
        ("dynamo.vllm", ["--kv-cache-memory-bytes", "1G"]),
        ("dynamo.vllm", ["--load-format", "sharded_state"]),
        ("dynamo.vllm", ["--load-format", None]),
        ("dynamo.vllm", ["--hf-overrides", '{"rope_scaling": {"factor": 4}}']),
        ("dynamo.sglang", ["--cpu-offload-gb", "8"]),
        ("dynamo.sglang", ["--config", "/elsewhere.yaml"]),
        ("dynamo.trtllm", ["--trtllm.kv_cache_config.free_gpu_memory_fraction", "0.5"]),
        ("dynamo.trtllm", ["--override-engine-args", "{}"]),
        ("dynamo.trtllm", FILE),
    ],
)
def test_what_is_not_known_is_not_guessed(module: str, line: list[str | None]) -> None:
    assert budget(module, line) is None
