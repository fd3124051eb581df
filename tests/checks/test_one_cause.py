"""One mistake is told by the check that knows it best, and by no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine import config_keys
from dynocheck.checks.engine import flags as engines
from dynocheck.checks.memory import gpu_memory
from dynocheck.checks.parallelism import divisibility, gpu_counts
from dynocheck.checks.storage import classes, weight_paths
from dynocheck.core.outcomes import Skip
from dynocheck.facts import Recipes
from tests.checks.judging import recipes, run_check
from tests.checks.manifests import CLAIM, claim, dump_objects, engine, graph, job

SPLIT = (
    gpu_counts.gpus_match,
    gpu_memory.weights_fit,
    gpu_memory.kv_cache,
    divisibility.experts_divide,
    divisibility.heads_divide,
)
FLAGS = (engines.flags_known, engines.values, config_keys.config_keys)
LARGE = "meta-llama/Llama-3.1-405B-Instruct"


def tellers(checks: Any, given: Recipes) -> list[str]:
    """The checks that have something to say."""
    told = []
    for check in checks:
        try:
            told += [check.id] if run_check(check, given) else []
        except Skip:
            continue
    return told


def worker(folder: Path, *args: str, image: str = "1.3.0", module: str = "dynamo.vllm") -> Recipes:
    name = f"nvcr.io/nvidia/ai-dynamo/vllm-runtime:{image}"
    return recipes(
        folder, deploy=dump_objects(graph(engine(*args, gpus=8, model=LARGE, image=name, module=module)))
    )


@pytest.mark.parametrize(
    ("args", "teller"),
    [
        (["--tensor-paralel-size", "8"], "engine.flags-known"),
        (["--tp", "8"], "engine.flags-known"),
        (["--tensor-parallel-size", "eight"], "engine.values"),
        (["--tensor-parallel-size=8x"], "engine.values"),
    ],
)
def test_a_flag_that_is_misspelt(tmp_path: Path, args: list[str], teller: str) -> None:
    """What follows from there being no such flag is not said of an engine that does not start."""
    assert tellers((*FLAGS, *SPLIT), worker(tmp_path, *args)) == [teller]


def test_the_same_of_sglang(tmp_path: Path) -> None:
    given = worker(tmp_path, "--tpp", "8", "--ep-size", "8", module="dynamo.sglang")
    assert tellers((*FLAGS, *SPLIT), given) == ["engine.flags-known"]


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        ("tensor-paralel-size: 8", ["engine.config-keys"]),
        ("tp_size: 8", ["engine.config-keys"]),
        ("tp-size: eight", ["engine.values"]),
        ("tp-size: 8\nmax-runing-requests: 4", ["engine.config-keys"]),
        ("tp-size: 8", []),
        ("tp-size: 4", ["parallelism.gpus-match"]),
    ],
)
def test_a_key_of_a_file_that_is_misspelt(tmp_path: Path, text: str, tells: list[str]) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"c.yaml": text}}
    mounted = {"volumeMounts": [{"name": "c", "mountPath": "/etc/c"}]}
    volumes = {"volumes": [{"name": "c", "configMap": {"name": "c"}}]}
    image = "nvcr.io/nvidia/ai-dynamo/sglang-runtime:1.3.0"
    told = ("--config", "/etc/c/c.yaml")
    worker = engine(
        *told, gpus=8, model=LARGE, image=image, module="dynamo.sglang", main=mounted, pod=volumes
    )
    given = recipes(tmp_path, deploy=dump_objects(graph(worker), config))
    assert tellers((*FLAGS, gpu_counts.gpus_match), given) == tells


@pytest.mark.parametrize("args", [[], ["--enforce-eagr"], ["--seed", "x"], ["--tensor-parallel-size", "4"]])
def test_another_mistake_hides_nothing(tmp_path: Path, args: list[str]) -> None:
    assert "parallelism.gpus-match" in tellers((*FLAGS, *SPLIT), worker(tmp_path, *args))


def test_a_flag_that_no_release_has_is_the_cause_in_an_image_of_unknown_release_too(tmp_path: Path) -> None:
    given = worker(tmp_path, "--tensor-paralel-size", "8", image="my-build")
    assert tellers((*FLAGS, *SPLIT), given) == ["engine.flags-known"]


@pytest.mark.parametrize(
    ("name", "tells"),
    [
        ("model-cache", []),
        ("model-cahce", ["storage.claim-declared"]),
        ("other", ["storage.model-path"]),  # which the recipe declares too
    ],
)
def test_a_claim_that_is_misspelt(tmp_path: Path, name: str, tells: list[str]) -> None:
    mounted = {"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}
    loading = engine(env={"HF_HOME": "/cache"}, main=mounted, pod={"volumes": [CLAIM]})
    volume = {**CLAIM, "persistentVolumeClaim": {"claimName": name}}
    get = job("hf download Qwen/Qwen3-32B", env={"HF_HOME": "/models"}, pod={"volumes": [volume]})
    claims = claim("ReadWriteMany"), claim("ReadWriteMany", name="other")
    given = recipes(tmp_path, deploy=dump_objects(graph(loading), get, *claims))
    assert tellers((classes.claim_declared, weight_paths.model_path), given) == tells
