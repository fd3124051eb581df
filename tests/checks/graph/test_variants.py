"""The table of what each variant asks for."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.graph.variants import variants
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import deploy, recipes
from tests.checks.manifests import config_map, dump_objects, engine, graph

SMALL: dict[str, Any] = {"model": "Qwen/Qwen3-0.6B", "image": "registry.example/vllm-runtime:1.3.0"}


def rows(given: Recipes) -> list[dict[str, Any]]:
    return [dict(row) for row in variants(given)]


def labels(*paths: Path) -> list[str]:
    return [row["variant"] for row in rows(Recipes(load_recipes([str(path) for path in paths])))]


def test_a_row_for_each_graph(tmp_path: Path) -> None:
    prefill = engine(name="p", role="prefill", replicas=2, **SMALL)
    spread: dict[str, Any] = {"gpus": 8, "multinode": {"nodeCount": 2}, **SMALL}
    decode = engine("-tp", "8", "-pp", "2", name="d", role="decode", **spread)
    (row,) = rows(recipes(tmp_path, vllm__disagg__deploy=dump_objects(graph(prefill, decode))))
    assert row == {
        "variant": "vllm/disagg",
        "framework": "vllm",
        "GPUs": 18,
        "role": ("prefill", "decode"),
        "replicas": (2, 1),
        "nodes": (1, 2),
        "parallelism": ("TP 1", "TP 8 x PP 2"),
        "weights": ("1.1", "0.1"),
        "KV": ("112.0", "7.0"),
    }


def test_what_cannot_be_known_is_not_guessed(tmp_path: Path) -> None:
    main, pod = {"resources": {"claims": [{"name": "gpus"}]}}, {"resourceClaims": [{"name": "gpus"}]}
    by_claim = engine("--tensor-parallel-size", "$(NOWHERE)", main=main, pod=pod, **SMALL)
    (row,) = rows(deploy(tmp_path, graph(by_claim)))
    assert (row["GPUs"], row["parallelism"]) == ("?", ("?",))


@pytest.mark.parametrize(
    ("module", "args", "says"),
    [
        ("vllm", "-tp 2 -dp 4 --enable-expert-parallel", "TP 2 x DP 4, EP 8"),
        ("vllm", "-tp 2 --no-enable-expert-parallel", "TP 2"),
        ("sglang", "--tp 8 --dp 4 --enable-dp-attention", "TP 8, attention DP 4"),
        ("sglang", "--tp 8 --dp 8 --enable-dp-attention --ep 8", "TP 8, attention DP 8, EP 8"),
        ("sglang", "--tp 8 --ep $(NOWHERE)", "TP 8, EP ?"),
        ("trtllm", "--tensor-parallel-size 4 --expert-parallel-size 2", "TP 4, EP 2"),
        ("trtllm", "--tensor-parallel-size 4 --enable-attention-dp", "TP 4, attention DP 4"),
    ],
)
def test_how_attention_and_experts_are_divided(tmp_path: Path, module: str, args: str, says: str) -> None:
    worker = engine(*args.split(), module=f"dynamo.{module}", gpus=8, **SMALL)
    (row,) = rows(deploy(tmp_path, graph(worker)))
    assert row["parallelism"] == (says,)


def test_memory_follows_from_the_gpu_that_is_named(tmp_path: Path) -> None:
    h200 = {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H200"}}
    (row,) = rows(deploy(tmp_path, graph(engine(pod=h200, **SMALL))))
    assert (row["weights"], row["tokens"]) == (("1.1",), ("1,204,082",))


def test_components_of_one_role_go_by_their_names(tmp_path: Path) -> None:
    (row,) = rows(deploy(tmp_path, graph(engine(name="a"), engine(name="b"))))
    assert row["role"] == ("a", "b")


def test_a_variant_goes_by_what_tells_it_from_the_others(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    one, other = graph(engine()), graph(engine(), name="h")
    deploy(a, one)
    recipes(b, deploy_x=dump_objects(one), deploy_y=dump_objects(one))
    recipes(c, vllm__deploy=dump_objects(one, other))
    assert labels(a) == ["g"]
    assert labels(b) == ["deploy-x", "deploy-y"]
    assert labels(b / "deploy-x.yaml") == ["g"]
    assert labels(c) == ["vllm/deploy: g", "vllm/deploy: h"]
    assert labels(a, c) == ["a", "c/vllm/deploy: g", "c/vllm/deploy: h"]


def test_a_recipe_without_graphs_has_no_rows(tmp_path: Path) -> None:
    assert rows(deploy(tmp_path, config_map("a"))) == []
