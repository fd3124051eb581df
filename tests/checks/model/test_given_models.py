"""Models that only a recipe's own config.json describes, as they come from the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck import Finding
from dynocheck.checks.graph import probes
from dynocheck.checks.memory import gpu_memory
from dynocheck.checks.model import names
from dynocheck.checks.parallelism import divisibility
from dynocheck.checks.storage import recipe_claims
from dynocheck.facts import Recipes, Settings
from dynocheck.recipe.discover import load_recipes
from dynocheck.recipe.files import MAX_BYTES
from tests.checks.judging import explain_unjudged, get_coverage, get_skip_reason, list_messages
from tests.checks.manifests import dump_objects, engine, graph

OWN = "house/own-70b"
H100 = {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}
LLAMA_70B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 80,
    "hidden_size": 8192,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "intermediate_size": 28672,
    "torch_dtype": "bfloat16",
}
AWQ = {"quantization_config": {"quant_method": "awq", "bits": 4}}
DOWNLOAD = """
apiVersion: batch/v1
kind: Job
metadata: {name: d}
spec:
  template:
    spec:
      containers:
      - name: d
        command: [hf, download, house/own-70b, --local-dir, /m]
        volumeMounts: [{name: v, mountPath: /m}]
      volumes: [{name: v, persistentVolumeClaim: {claimName: cache}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: cache}
spec: {resources: {requests: {storage: 100Gi}}}
"""


def judged(folder: Path, files: dict[str, Any]) -> Recipes:
    """The recipe of these files, written as they are or as JSON."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return Recipes(load_recipes([str(folder)]))


def own(*args: str, name: str = OWN, **more: Any) -> str:
    return dump_objects(graph(engine(*args, model=name, pod=H100, **more)))


def index(size: object) -> dict[str, Any]:
    return {"metadata": {"total_size": size}, "weight_map": {}}


@pytest.mark.parametrize(
    "place", ["", "vllm/", "vllm/agg/", "model-cache/", "model-cache/own-70b/", "x/own-70b/"]
)
@pytest.mark.parametrize("name", [OWN, "/models/own-70b"])
def test_a_config_counts_where_it_lies(tmp_path: Path, place: str, name: str) -> None:
    given = judged(tmp_path, {"vllm/agg/deploy.yaml": own(name=name), f"{place}config.json": LLAMA_70B})
    ((outcome, message),) = list_messages(gpu_memory.weights_fit, given)
    assert outcome == "fail"
    assert f"the weights of {name} take at least 131.4 GiB" in message


@pytest.mark.parametrize(
    "place", ["sglang/config.json", "vllm/disagg/config.json", "model-cache/another/config.json"]
)
def test_and_nowhere_else(tmp_path: Path, place: str) -> None:
    given = judged(tmp_path, {"vllm/agg/deploy.yaml": own(), place: LLAMA_70B})
    assert "is not in the table" in explain_unjudged(gpu_memory.weights_fit, given)


def test_one_config_above_graphs_of_two_models_is_of_neither(tmp_path: Path) -> None:
    files = {"vllm/a/deploy.yaml": own(), "vllm/b/deploy.yaml": own(name="house/other")}
    assert explain_unjudged(gpu_memory.weights_fit, judged(tmp_path, {**files, "config.json": LLAMA_70B}))
    nearer = judged(tmp_path, {"vllm/a/config.json": LLAMA_70B})
    assert [outcome for outcome, _ in list_messages(gpu_memory.weights_fit, nearer)] == ["fail"]


def test_the_table_counts_more(tmp_path: Path) -> None:
    given = judged(tmp_path, {"deploy.yaml": own(name="Qwen/Qwen3-0.6B"), "config.json": LLAMA_70B})
    assert list_messages(gpu_memory.weights_fit, given) == []


@pytest.mark.parametrize(
    ("tensor", "expected"), [("2", []), ("3", ["64 attention heads do not divide over 3 ranks"])]
)
def test_its_heads_are_divided(tmp_path: Path, tensor: str, expected: list[str]) -> None:
    deploy = own("--tensor-parallel-size", tensor, gpus=4)
    given = judged(tmp_path, {"deploy.yaml": deploy, "config.json": LLAMA_70B})
    assert [
        message.partition(": ")[2] for _, message in list_messages(divisibility.heads_divide, given)
    ] == expected


def test_its_cache_is_reckoned_with(tmp_path: Path) -> None:
    given = judged(tmp_path, {"deploy.yaml": own("-tp", "2", gpus=2), "config.json": LLAMA_70B})
    assert list_messages(gpu_memory.weights_fit, given) == []
    ((outcome, message),) = list_messages(gpu_memory.kv_cache, given)
    assert outcome == "warn"
    assert "a sequence of house/own-70b up to 131072" in message


# Weights that are quantized in a way not known here


@pytest.mark.parametrize(
    ("size", "args", "expected"),
    [
        (40e9, [], []),
        (140e9, [], ["fail"]),
        (140e9, ["-tp", "2"], []),
        (140e9, ["--quantization", "awq"], None),  # not known to be what the file says
        (None, [], None),
        (True, [], None),
        (-1, [], None),
        ("many", [], None),
        (float("inf"), [], None),
    ],
)
def test_the_index_says_how_large(
    tmp_path: Path, size: object, args: list[str], expected: list[str] | None
) -> None:
    files = {"config.json": LLAMA_70B | AWQ, "deploy.yaml": own(*args)}
    if size is not None:
        files["model.safetensors.index.json"] = index(size)
    given = judged(tmp_path, files)
    if expected is None:
        assert get_coverage(gpu_memory.weights_fit, given)[0] == 0
        assert explain_unjudged(gpu_memory.weights_fit, given)
    else:
        assert [outcome for outcome, _ in list_messages(gpu_memory.weights_fit, given)] == expected


def test_modelopt_says_it_in_a_file_of_its_own(tmp_path: Path) -> None:
    """Without it the config reads as BF16, and twice as large as the weights are."""
    quantized = {
        "producer": {"name": "modelopt"},
        "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"},
    }
    files = {"config.json": LLAMA_70B, "hf_quant_config.json": quantized, "deploy.yaml": own()}
    assert "unknown kind of model" in explain_unjudged(gpu_memory.weights_fit, judged(tmp_path, files))
    given = judged(tmp_path, {**files, "model.safetensors.index.json": index(71e9)})
    assert list_messages(gpu_memory.weights_fit, given) == []
    assert list_messages(gpu_memory.kv_cache, given) == []
    assert "precision of its KV cache" in explain_unjudged(gpu_memory.kv_cache, given)


@pytest.mark.parametrize("name", ["house/own-70b-AWQ", "/models/own-70b.w4a16", "house/own-70b-nvfp4"])
def test_a_name_that_says_more_than_its_config(tmp_path: Path, name: str) -> None:
    files = {"deploy.yaml": own(name=name), "config.json": LLAMA_70B}
    assert "unknown kind of model" in explain_unjudged(gpu_memory.weights_fit, judged(tmp_path, files))
    whole = judged(tmp_path, {**files, "model.safetensors.index.json": index(141_107_412_992)})
    assert [outcome for outcome, _ in list_messages(gpu_memory.weights_fit, whole)] == ["fail"]


def test_an_index_much_smaller_than_the_config_says(tmp_path: Path) -> None:
    """Some quantized checkpoints say so nowhere in their config."""
    given = judged(
        tmp_path,
        {"config.json": LLAMA_70B, "model.safetensors.index.json": index(40e9), "deploy.yaml": own()},
    )
    assert list_messages(gpu_memory.weights_fit, given) == []


def test_claims_and_startup_go_by_it_too(tmp_path: Path) -> None:
    held = {"startupProbe": {"httpGet": {"path": "/live", "port": 9090}, "failureThreshold": 6}}
    files = {
        "model-cache/all.yaml": DOWNLOAD,
        "vllm/agg/deploy.yaml": own(main=held),
        "config.json": LLAMA_70B,
        "model.safetensors.index.json": index(141_107_412_992),
    }
    given = judged(tmp_path, files)
    assert "141 GB of weights to read" in list_messages(probes.startup_budget, given, Settings())[0][1]
    assert [outcome for outcome, _ in list_messages(recipe_claims.size, given)] == ["warn"]


# Files that cannot be used


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 60 + "1" + "}" * 60, "nested too deep"),
        ("", "not JSON: Expecting value"),
    ],
)
@pytest.mark.parametrize("name", ["config.json", "hf_quant_config.json"])
def test_a_broken_file_is_told_with_its_place(tmp_path: Path, name: str, text: str, says: str) -> None:
    files = {"deploy.yaml": own(), "config.json": LLAMA_70B, name: text or " "}
    given = judged(tmp_path, files)
    (finding,) = (each for each in names.config(given) or () if isinstance(each, Finding))
    assert str(finding.outcome) == "warn"
    assert says in finding.message
    assert finding.location is not None
    assert finding.location.file == str(tmp_path / name)
    assert explain_unjudged(gpu_memory.weights_fit, given)


def test_an_index_too_large_to_read_says_nothing(tmp_path: Path) -> None:
    large = json.dumps(index(40e9)) + " " * MAX_BYTES
    files = {"deploy.yaml": own(), "config.json": LLAMA_70B | AWQ, "model.safetensors.index.json": large}
    given = judged(tmp_path, files)
    assert list_messages(names.config, given) == []
    assert "unknown kind of model" in explain_unjudged(gpu_memory.weights_fit, given)


def test_an_empty_file_is_told_once(tmp_path: Path) -> None:
    given = judged(tmp_path, {"deploy.yaml": own(), "config.json": ""})
    assert list_messages(names.config, given) == []


def test_what_is_beside_a_config_is_an_object(tmp_path: Path) -> None:
    given = judged(tmp_path, {"deploy.yaml": own(), "config.json": LLAMA_70B, "hf_quant_config.json": []})
    assert list_messages(names.config, given) == [("warn", "not a JSON object")]
    other = judged(tmp_path / "other", {"deploy.yaml": own(), "config.json": []})
    assert "no config.json" in get_skip_reason(names.config, other)


def test_a_config_of_another_program_is_none(tmp_path: Path) -> None:
    given = judged(tmp_path, {"deploy.yaml": own(), "config.json": {"auths": {"x": {"auth": "c2VjcmV0"}}}})
    assert "no config.json" in get_skip_reason(names.config, given)
    assert b"c2VjcmV0" not in msgspec.json.encode(given)


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**400},
        {"num_attention_heads": 0, "head_dim": None},
        {"num_attention_heads": -4},
        {"architectures": "LlamaForCausalLM"},
        {"architectures": [["x"]]},
        {"quantization_config": "awq"},
        {"quantization_config": {"quant_method": "fp8", "weight_block_size": 3}},
        {"vocab_size": 1e9},
        {"hidden_size": True},
    ],
)
def test_nonsense_is_not_judged(tmp_path: Path, change: dict[str, Any]) -> None:
    given = judged(tmp_path, {"deploy.yaml": own(), "config.json": LLAMA_70B | change})
    assert explain_unjudged(gpu_memory.weights_fit, given)
    assert msgspec.json.decode(msgspec.json.encode(given), type=Recipes)
