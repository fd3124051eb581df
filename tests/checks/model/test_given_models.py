"""Models that only a recipe's own config.json describes, as they come from the hub."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynocheck import Finding
from dynocheck.checks.graph import probes
from dynocheck.checks.memory.gpu_memory import kv_cache, weights_fit
from dynocheck.checks.model import names
from dynocheck.checks.parallelism import divisibility
from dynocheck.checks.storage import recipe_claims
from dynocheck.core.declarations import Check
from dynocheck.facts import Recipes, Settings
from dynocheck.recipe.discover import load_recipes
from dynocheck.recipe.files import MAX_BYTES
from tests.checks.judging import explain_unjudged, get_skip_reason, judge, outcomes
from tests.checks.manifests import claim, dump_objects, engine, graph, job
from tests.checks.model.llama import H100, LLAMA_70B, OWN

INDEX = "model.safetensors.index.json"
AWQ = {"quantization_config": {"quant_method": "awq", "bits": 4}}
VOLUME = {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}
FETCH = job(f"hf download {OWN} --local-dir /models", name="d", pod={"volumes": [VOLUME]})


def write(folder: Path, files: dict[str, Any]) -> Recipes:
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
    given = write(tmp_path, {"vllm/agg/deploy.yaml": own(name=name), f"{place}config.json": LLAMA_70B})
    assert judge(weights_fit, given) == ["fail"]


@pytest.mark.parametrize("place", ["sglang", "vllm/disagg", "model-cache/another"])
def test_and_nowhere_else(tmp_path: Path, place: str) -> None:
    given = write(tmp_path, {"vllm/agg/deploy.yaml": own(), f"{place}/config.json": LLAMA_70B})
    assert "is not in the table" in explain_unjudged(weights_fit, given)


def test_one_config_above_graphs_of_two_models_is_of_neither(tmp_path: Path) -> None:
    files = {"vllm/a/deploy.yaml": own(), "vllm/b/deploy.yaml": own(name="house/other")}
    assert judge(weights_fit, write(tmp_path, {**files, "config.json": LLAMA_70B})) == ["unjudged"] * 2
    assert judge(weights_fit, write(tmp_path, {"vllm/a/config.json": LLAMA_70B})) == ["fail", "unjudged"]


def test_the_table_counts_more(tmp_path: Path) -> None:
    given = write(tmp_path, {"deploy.yaml": own(name="Qwen/Qwen3-0.6B"), "config.json": LLAMA_70B})
    assert judge(weights_fit, given) == []


@pytest.mark.parametrize(
    ("check", "args", "gpus", "expected"),
    [
        (divisibility.heads_divide, ["--tensor-parallel-size", "2"], 4, []),
        (divisibility.heads_divide, ["--tensor-parallel-size", "3"], 4, ["fail"]),
        (weights_fit, ["-tp", "2"], 2, []),
        (kv_cache, ["-tp", "2"], 2, ["warn"]),
    ],
)
def test_heads_and_kv(tmp_path: Path, check: Check, args: list[str], gpus: int, expected: list[str]) -> None:
    given = write(tmp_path, {"deploy.yaml": own(*args, gpus=gpus), "config.json": LLAMA_70B})
    assert outcomes(check, given) == expected


# Weights that are quantized in a way not known here


@pytest.mark.parametrize(
    ("size", "args", "expected"),
    [
        (40e9, [], []),
        (140e9, [], ["fail"]),
        (140e9, ["-tp", "2"], []),
        (140e9, ["--quantization", "awq"], ["unjudged"]),  # not known to be what the file says
        (None, [], ["unjudged"]),
        (True, [], ["unjudged"]),
        (-1, [], ["unjudged"]),
        ("many", [], ["unjudged"]),
        (float("inf"), [], ["unjudged"]),
    ],
)
def test_the_index_says_how_large(tmp_path: Path, size: object, args: list[str], expected: list[str]) -> None:
    files = {"config.json": LLAMA_70B | AWQ, "deploy.yaml": own(*args)}
    if size is not None:
        files[INDEX] = index(size)
    assert judge(weights_fit, write(tmp_path, files)) == expected


@pytest.mark.parametrize(("method", "expected"), [("eagle", []), ("draft_model", ["fail"])])
def test_a_head_that_drafts_needs_no_vocabulary_of_its_own(
    tmp_path: Path, method: str, expected: list[str]
) -> None:
    drafting = json.dumps({"method": method, "model": "house/small", "num_speculative_tokens": 2})
    args = ["--gpu-memory-utilization", "0.8", "--speculative-config", drafting]
    one = LLAMA_70B | {"num_hidden_layers": 1}
    files = {"small/config.json": one, "deploy.yaml": own(*args, name="Qwen/Qwen3-32B")}
    assert judge(weights_fit, write(tmp_path, files)) == expected


def test_an_index_that_is_too_small_for_the_config(tmp_path: Path) -> None:
    files = {"config.json": LLAMA_70B, "deploy.yaml": own(), INDEX: index(40e9)}
    assert judge(weights_fit, write(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("algorithm", "fit", "cached"),
    [("FP8", [], ["warn"]), ("NVFP4", [], ["pass"]), ("W4A8_AWQ", ["unjudged"], ["unjudged"])],
)
def test_modelopt_says_it_in_a_file_of_its_own(
    tmp_path: Path, algorithm: str, fit: list[str], cached: list[str]
) -> None:
    """Without it the config reads as BF16, and twice as large as the weights are."""
    algorithms = {"quant_algo": algorithm, "kv_cache_quant_algo": "FP8"}
    quantized = {"producer": {"name": "modelopt"}, "quantization": algorithms}
    files = {"config.json": LLAMA_70B, "hf_quant_config.json": quantized}
    given = write(tmp_path, {**files, "deploy.yaml": own("--max-model-len", "65536")})
    assert judge(weights_fit, given) == fit
    assert judge(kv_cache, given) == [each for each in cached if each != "pass"]


def test_another_architecture_is_judged_by_its_size_alone(tmp_path: Path) -> None:
    files = {"config.json": LLAMA_70B | {"architectures": ["OtherForCausalLM"]}, "deploy.yaml": own()}
    assert judge(weights_fit, write(tmp_path, files)) == ["unjudged"]
    given = write(tmp_path, {**files, INDEX: index(141e9)})
    assert judge(weights_fit, given) == ["fail"]
    files["deploy.yaml"] = own("-tp", "3")
    given = write(tmp_path, files)
    assert outcomes(divisibility.heads_divide, given) == ["fail"]
    assert "takes of a token is unknown" in explain_unjudged(kv_cache, given)


@pytest.mark.parametrize("name", ["house/own-70b-AWQ", "/models/own-70b.w4a16", "house/own-70b-nvfp4"])
def test_a_name_that_says_more_than_its_config(tmp_path: Path, name: str) -> None:
    files = {"deploy.yaml": own(name=name), "config.json": LLAMA_70B}
    assert "unknown kind of model" in explain_unjudged(weights_fit, write(tmp_path, files))
    assert judge(weights_fit, write(tmp_path, {**files, INDEX: index(141_107_412_992)})) == ["fail"]


def test_claims_and_startup_go_by_it_too(tmp_path: Path) -> None:
    held = {"startupProbe": {"httpGet": {"path": "/live", "port": 9090}, "failureThreshold": 6}}
    files = {
        "model-cache/all.yaml": dump_objects(FETCH, claim(name="cache")),
        "vllm/agg/deploy.yaml": own(main=held),
        "config.json": LLAMA_70B,
        INDEX: index(141_107_412_992),
    }
    given = write(tmp_path, files)
    assert outcomes(probes.startup_budget, given, Settings()) == ["warn"]
    assert outcomes(recipe_claims.size, given) == ["warn"]


# Files that cannot be used


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 60 + "1" + "}" * 60, "nested too deep"),
        (" ", "not JSON: Expecting value"),
    ],
)
@pytest.mark.parametrize("name", ["config.json", "hf_quant_config.json"])
def test_a_broken_file_is_told_with_its_place(tmp_path: Path, name: str, text: str, says: str) -> None:
    given = write(tmp_path, {"deploy.yaml": own(), "config.json": LLAMA_70B, name: text})
    (finding,) = (each for each in names.config(given) or () if isinstance(each, Finding))
    assert (finding.outcome, says in finding.message) == ("warn", True)
    assert finding.location is not None
    assert finding.location.file == str(tmp_path / name)
    assert judge(weights_fit, given) == ["unjudged"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config.json": ""}, []),
        ({"config.json": LLAMA_70B, "hf_quant_config.json": []}, ["warn"]),  # it is an object
        ({"config.json": []}, ["skip"]),
    ],
)
def test_other_files(tmp_path: Path, files: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(names.config, write(tmp_path, {"deploy.yaml": own(), **files})) == expected


def test_an_index_too_large_to_read_says_nothing(tmp_path: Path) -> None:
    large = json.dumps(index(40e9)) + " " * MAX_BYTES
    given = write(tmp_path, {"deploy.yaml": own(), "config.json": LLAMA_70B | AWQ, INDEX: large})
    assert outcomes(names.config, given) == []
    assert "unknown kind of model" in explain_unjudged(weights_fit, given)


def test_a_config_of_another_program_is_none(tmp_path: Path) -> None:
    given = write(tmp_path, {"deploy.yaml": own(), "config.json": {"auths": {"x": {"auth": "c2VjcmV0"}}}})
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
    given = write(tmp_path, {"deploy.yaml": own(), "config.json": LLAMA_70B | change})
    assert judge(weights_fit, given) == ["unjudged"]
    assert msgspec.json.decode(msgspec.json.encode(given), type=Recipes)
