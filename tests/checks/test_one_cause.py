"""One mistake is told by the check that knows it best, and by no other."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.engine import config_keys
from dynocheck.checks.engine import flags as engines
from dynocheck.checks.memory import gpu_memory
from dynocheck.checks.parallelism import divisibility, gpu_counts
from dynocheck.checks.storage import classes, weight_paths
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, outcomes
from tests.checks.manifests import CLAIM, claim, config_map, engine, graph, job, mount_config

FLAGS = (engines.flags_known, engines.values, config_keys.config_keys)
MEMORY = (gpu_memory.weights_fit, gpu_memory.kv_cache)
SPLIT = (gpu_counts.gpus_match, *MEMORY, divisibility.experts_divide, divisibility.heads_divide)
LARGE = "meta-llama/Llama-3.1-405B-Instruct"
RUNTIME = "nvcr.io/nvidia/ai-dynamo/vllm-runtime"


def list_tellers(checks: Any, given: Recipes) -> list[str]:
    """The checks that have something to say."""
    return [check.id for check in checks if outcomes(check, given) not in ([], ["skip"])]


def load(folder: Path, args: str, tag: str = "1.3.0", module: str = "dynamo.vllm") -> Recipes:
    """The recipe of a large model on 8 GPUs."""
    worker = engine(*args.split(), gpus=8, model=LARGE, image=f"{RUNTIME}:{tag}", module=module)
    return deploy(folder, graph(worker))


@pytest.mark.parametrize(
    ("args", "more", "expected"),
    [
        # what follows from there being no such flag is not said of an engine that does not start
        ("--tensor-paralel-size 8", {}, ["engine.flags-known"]),
        ("--tp 8", {}, ["engine.flags-known"]),
        ("--tensor-parallel-size eight", {}, ["engine.values"]),
        ("--tensor-parallel-size=8x", {}, ["engine.values"]),
        ("--tpp 8 --ep-size 8", {"module": "dynamo.sglang"}, ["engine.flags-known"]),
        # no release has it, so the cause is told of any image
        ("--tensor-paralel-size 8", {"tag": "my-build"}, ["engine.flags-known"]),
    ],
)
def test_a_misspelt_flag(tmp_path: Path, args: str, more: dict[str, str], expected: list[str]) -> None:
    assert list_tellers((*FLAGS, *SPLIT), load(tmp_path, args, **more)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tensor-paralel-size: 8", ["engine.config-keys"]),
        ("tp_size: 8", ["engine.config-keys"]),
        ("tp-size: eight", ["engine.values"]),
        ("tp-size: 8\nmax-runing-requests: 4", ["engine.config-keys"]),
        ("tp-size: 8", []),
        ("tp-size: 4", ["parallelism.gpus-match"]),
    ],
)
def test_a_key_of_a_file_that_is_misspelt(tmp_path: Path, text: str, expected: list[str]) -> None:
    sglang: dict[str, Any] = {
        "image": "nvcr.io/nvidia/ai-dynamo/sglang-runtime:1.3.0",
        "module": "dynamo.sglang",
    }
    worker = engine("--config", "/etc/c/c.yaml", gpus=8, model=LARGE, **sglang, **mount_config("c", "/etc/c"))
    given = deploy(tmp_path, graph(worker), config_map("c", c=text))
    assert list_tellers((*FLAGS, gpu_counts.gpus_match), given) == expected


@pytest.mark.parametrize("args", ["", "--enforce-eagr", "--seed x", "--tensor-parallel-size 4"])
def test_another_mistake_hides_nothing(tmp_path: Path, args: str) -> None:
    assert "parallelism.gpus-match" in list_tellers((*FLAGS, *SPLIT), load(tmp_path, args))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model-cache", []),
        ("model-cahce", ["storage.claim-declared"]),
        ("other", ["storage.model-path"]),  # which the recipe declares too
    ],
)
def test_a_claim_that_is_misspelt(tmp_path: Path, name: str, expected: list[str]) -> None:
    mounted = {"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}
    loading = engine(env={"HF_HOME": "/cache"}, main=mounted, pod={"volumes": [CLAIM]})
    volume = {**CLAIM, "persistentVolumeClaim": {"claimName": name}}
    get = job("hf download Qwen/Qwen3-32B", env={"HF_HOME": "/models"}, pod={"volumes": [volume]})
    claims = claim("ReadWriteMany"), claim("ReadWriteMany", name="other")
    given = deploy(tmp_path, graph(loading), get, *claims)
    assert list_tellers((classes.claim_declared, weight_paths.model_path), given) == expected
