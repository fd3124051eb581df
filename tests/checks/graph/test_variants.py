"""The table of what each variant asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.graph.variants import variants
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import FRONTEND, GRAPH, recipes, worker


def rows(given: Recipes) -> list[dict[str, Any]]:
    return [dict(row) for row in variants(given)]


def labels(given: Recipes) -> list[str]:
    return [row["variant"] for row in rows(given)]


def test_a_row_for_each_graph(tmp_path: Path) -> None:
    pair = worker("p", role="prefill", more="replicas: 2") + worker(
        "d", role="decode", gpus='"8"', args='-tp, "8", -pp, "2"', more="multinode: {nodeCount: 2}"
    )
    (row,) = rows(recipes(tmp_path, vllm__disagg__deploy=GRAPH + FRONTEND + pair))
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
    by_claim = worker(args="--tensor-parallel-size, $(NOWHERE)").replace(
        'resources: {limits: {nvidia.com/gpu: "1"}}', "resources: {claims: [{name: gpus}]}"
    )
    by_claim = by_claim.replace("      spec:\n", "      spec:\n        resourceClaims: [{name: gpus}]\n")
    (row,) = rows(recipes(tmp_path, deploy=GRAPH + FRONTEND + by_claim))
    assert (row["GPUs"], row["parallelism"]) == ("?", ("?",))


@pytest.mark.parametrize(
    ("module", "args", "says"),
    [
        ("vllm", '-tp, "2", -dp, "4", --enable-expert-parallel', "TP 2 x DP 4, EP 8"),
        ("vllm", '-tp, "2", --no-enable-expert-parallel', "TP 2"),
        ("sglang", '--tp, "8", --dp, "4", --enable-dp-attention', "TP 8, attention DP 4"),
        ("sglang", '--tp, "8", --dp, "8", --enable-dp-attention, --ep, "8"', "TP 8, attention DP 8, EP 8"),
        ("sglang", '--tp, "8", --ep, $(NOWHERE)', "TP 8, EP ?"),
        ("trtllm", '--tensor-parallel-size, "4", --expert-parallel-size, "2"', "TP 4, EP 2"),
        ("trtllm", '--tensor-parallel-size, "4", --enable-attention-dp', "TP 4, attention DP 4"),
    ],
)
def test_how_attention_and_experts_are_divided(tmp_path: Path, module: str, args: str, says: str) -> None:
    text = GRAPH + FRONTEND + worker(gpus='"8"', args=args).replace("dynamo.vllm", f"dynamo.{module}")
    (row,) = rows(recipes(tmp_path, deploy=text))
    assert row["parallelism"] == (says,)


def test_memory_follows_from_the_gpu_that_is_named(tmp_path: Path) -> None:
    named = worker().replace(
        "      spec:\n", "      spec:\n        nodeSelector: {nvidia.com/gpu.product: NVIDIA-H200}\n"
    )
    (row,) = rows(recipes(tmp_path, deploy=GRAPH + FRONTEND + named))
    assert row["weights"] == ("1.1",)
    assert row["tokens"] == ("1,204,082",)


def test_components_of_one_role_go_by_their_names(tmp_path: Path) -> None:
    (row,) = rows(recipes(tmp_path, deploy=GRAPH + FRONTEND + worker("a") + worker("b")))
    assert row["role"] == ("a", "b")


def test_a_variant_goes_by_what_tells_it_from_the_others(tmp_path: Path) -> None:
    graph = GRAPH + FRONTEND + worker()
    other = graph.replace("name: g", "name: h")
    assert labels(recipes(tmp_path / "a", deploy=graph)) == ["g"]
    assert labels(recipes(tmp_path / "b", deploy_x=graph, deploy_y=graph)) == ["deploy-x", "deploy-y"]
    assert labels(recipes(tmp_path / "c", vllm__deploy=f"{graph}\n---{other}")) == [
        "vllm/deploy: g",
        "vllm/deploy: h",
    ]
    assert labels(Recipes(load_recipes([str(tmp_path / "b" / "deploy-x.yaml")]))) == ["g"]
    assert labels(Recipes(load_recipes([str(tmp_path / "a"), str(tmp_path / "c")]))) == [
        "a",
        "c/vllm/deploy: g",
        "c/vllm/deploy: h",
    ]


def test_a_recipe_without_graphs_has_no_rows(tmp_path: Path) -> None:
    assert rows(recipes(tmp_path, claim="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")) == []
