"""Defects put into our own recipes, one at a time: the right check notices, on the right line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dynocheck import Finding, Skip
from dynocheck.checks.gaie import endpoint_pickers, recipe_routes
from dynocheck.checks.graph import components, images, placement, probes
from dynocheck.checks.model import sources
from dynocheck.checks.network import transport
from dynocheck.checks.perf import runs, targets
from dynocheck.checks.storage import recipe_claims, weight_paths
from dynocheck.facts import Recipes, Settings
from dynocheck.recipe.discover import load_recipes

ROOT = Path(__file__).parents[2] / "recipes"
SHA = "0123456789abcdef0123456789abcdef01234567"


class Seed(NamedTuple):
    """A text of a file, what takes its place, who is to notice, and what stands on the line it tells."""

    check: Any
    file: str
    old: str
    new: str
    on: str


LLAMA, QWEN, R1 = "llama-3-70b", "qwen3-32b", "deepseek-r1"
MULTI, SINGLE = f"{LLAMA}/vllm/disagg-multi-node/deploy.yaml", f"{LLAMA}/vllm/disagg-single-node/deploy.yaml"
AGG, PERF = f"{LLAMA}/vllm/agg/deploy.yaml", f"{LLAMA}/vllm/agg/perf.yaml"
FETCH, CACHE = f"{LLAMA}/model-cache/model-download.yaml", f"{LLAMA}/model-cache/model-cache.yaml"
GAIE, ROUTE = f"{LLAMA}/vllm/agg/gaie/deploy.yaml", f"{LLAMA}/vllm/agg/gaie/http-route.yaml"
SGL, TRT = f"{R1}/sglang/disagg-16gpu/deploy.yaml", f"{R1}/trtllm/disagg/wide_ep/gb200/deploy.yaml"
FLAG = "          - --disaggregation-mode\n"
IMAGE = "vllm-runtime:1.3.0"
NAME = "nvidia.com/dynamo-graph-deployment-name: llama3-70b-disagg-sn"

SEEDS = [
    Seed(
        components.roles,
        MULTI,
        f"{FLAG}          - prefill\n",
        f"{FLAG}          - decode\n",
        "--disaggregation",
    ),
    Seed(components.roles, MULTI, f"{FLAG}          - prefill\n", "", "dynamo.vllm"),
    Seed(
        components.roles,
        SGL,
        f"{FLAG}          - decode\n",
        f"{FLAG}          - prefill\n",
        "--disaggregation",
    ),
    Seed(components.roles, TRT, f"{FLAG}          - decode\n", "", "dynamo.trtllm"),
    Seed(
        components.both_sides, SGL, f"{FLAG}          - decode\n", f"{FLAG}          - prefill\n", "--disagg"
    ),
    Seed(images.engine_agrees, AGG, "backendFramework: vllm", "backendFramework: trtllm", "trtllm"),
    Seed(images.engine_agrees, AGG, "- dynamo.vllm", "- dynamo.sglang", "vllm"),
    Seed(images.engine_agrees, SGL, "sglang-runtime", "vllm-runtime", "vllm-runtime"),
    Seed(images.images_pinned, AGG, IMAGE, "vllm-runtime", "image:"),
    Seed(images.images_pinned, AGG, IMAGE, "vllm-runtime:latest", ":latest"),
    Seed(images.images_pinned, AGG, IMAGE, "vllm-runtime:mine", ":mine"),
    Seed(images.one_release, GAIE, "dynamo-frontend:1.3.0", "dynamo-frontend:1.1.1", "image:"),
    Seed(probes.probes, MULTI, "port: 9090", "port: 8000", "port: 8000"),
    Seed(probes.probes, MULTI, "path: /live", "path: /alive", "path: /alive"),
    Seed(probes.startup_budget, MULTI, "failureThreshold: 180", "failureThreshold: 3", "Threshold: 3"),
    Seed(placement.placement, SINGLE, NAME, f"{NAME}-prefill", "labelSelector"),
    Seed(
        placement.placement,
        SINGLE,
        "                  - prefill\n                  - decode\n",
        "                  - prefil\n",
        "labelSelector",
    ),
    Seed(transport.rdma_requested, SGL, 'rdma/ib: "8"', 'cpu: "8"', "name: "),
    Seed(transport.ipc_lock, MULTI, "- IPC_LOCK", "- SYS_PTRACE", "name: "),
    Seed(
        transport.transport,
        MULTI,
        "          - name: HF_HOME\n",
        "          - {name: UCX_TLS, value: tcp}\n          - name: HF_HOME\n",
        "UCX_TLS",
    ),
    Seed(
        transport.transport,
        SGL,
        "          env:\n",
        "          env:\n          - {name: NCCL_IB_DISABLE, value: '1'}\n",
        "NCCL_IB_DISABLE",
    ),
    Seed(targets.gpu_count, PERF, 'value: "4"', 'value: "8"', 'value: "8"'),
    Seed(
        targets.tokenizer,
        PERF,
        "- name: TOKENIZER\n          value: RedHatAI/Llama-3.3",
        "- name: TOKENIZER\n          value: RedHatAI/Llama-3.1",
        "--tokenizer",
    ),
    Seed(targets.tokenizer, PERF, '"$TOKENIZER"', "/tokenizers/llama", "/tokenizers/llama"),
    Seed(runs.tool_pinned, PERF, "aiperf==0.10.0", "aiperf", "pip install"),
    Seed(runs.artifacts, PERF, '"$HF_HOME/perf/$POD_NAME"', "/tmp/perf", "/tmp/perf"),
    Seed(runs.bounded, PERF, "set -eu", "until curl $ENDPOINT; do sleep 5; done", "until curl"),
    Seed(recipe_routes.recipe_route, ROUTE, "llama3-70b-gaie-pool", "llama3-70b-pool", "llama3-70b-pool"),
    Seed(
        recipe_routes.recipe_route,
        ROUTE,
        "inference.networking.k8s.io",
        "inference.networking.x-k8s.io",
        "x-k8s.io",
    ),
    Seed(recipe_routes.recipe_route, ROUTE, "port: 8000", "port: 9002", "port: 9002"),
    Seed(recipe_routes.recipe_route, ROUTE, "    timeouts:\n      request: 300s\n", "", "matches:"),
    Seed(recipe_routes.recipe_route, ROUTE, "request: 300s", "request: 10s", "request: 10s"),
    Seed(endpoint_pickers.picker, GAIE, "pluginRef: best", "pluginRef: better", "pluginRef: better"),
    Seed(endpoint_pickers.picker, GAIE, "            - worker\n", "            - decode\n", "validValues"),
    Seed(endpoint_pickers.picker, GAIE, 'value: "128"', 'value: "64"', 'value: "64"'),
    Seed(
        endpoint_pickers.picker,
        GAIE,
        "DYN_MODEL_NAME\n            value: RedHatAI/Llama-3.3",
        "DYN_MODEL_NAME\n            value: RedHatAI/Llama-3.1",
        "Llama-3.1",
    ),
    Seed(recipe_claims.access_mode, CACHE, "ReadWriteMany", "ReadWriteOnce", "accessModes"),
    Seed(recipe_claims.size, CACHE, "storage: 150Gi", "storage: 20Gi", "storage: 20Gi"),
    Seed(weight_paths.model_path, MULTI, "value: /opt/models", "value: /root/models", "/root/models"),
    Seed(weight_paths.model_path, TRT, "- nvidia/DeepSeek-R1-FP4", "- /models/r1", "--model-path"),
    Seed(
        weight_paths.read_only,
        FETCH,
        "mountPath: /opt/models",
        "mountPath: /opt/models\n          readOnly: true",
        "mountPath: /opt/models",
    ),
    Seed(
        sources.revision,
        FETCH,
        'hf download "$MODEL"',
        f'hf download "$MODEL" --revision {SHA}',
        "hf download",
    ),
    Seed(sources.token, FETCH, "name: hf-token-secret", "name: hf-secret", "hf-"),
]


def told(check: Any, recipes: Recipes) -> set[tuple[str, str, str]]:
    """The message and the line of each finding, and whose file it is."""
    given = {Recipes: recipes, Settings: Settings()}
    try:
        results = check(**{need.parameter: given.get(need.fact) for need in check.needs}) or ()
        findings = [result for result in results if isinstance(result, Finding)]
    except Skip:
        return set()
    places = [(finding.message, finding.location) for finding in findings if finding.location]
    return {
        (message, Path(place.file).name, Path(place.file).read_text().splitlines()[(place.line or 1) - 1])
        for message, place in places
    }


@pytest.fixture(scope="module")
def ours() -> Recipes:
    return Recipes(load_recipes([str(ROOT)]))


def _without_end(text: str) -> str:
    return text.replace("activeDeadlineSeconds", "# activeDeadlineSeconds")


ALSO = {runs.bounded: _without_end}


@pytest.mark.parametrize("check", {seed.check.id: seed.check for seed in SEEDS}.values(), ids=lambda c: c.id)
def test_our_recipes_have_no_such_defect(check: Any, ours: Recipes) -> None:
    assert told(check, ours) == set()


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.check.id}-{seed.new[:24].strip()!r}")
def test_a_seeded_defect_is_noticed(tmp_path: Path, seed: Seed) -> None:
    model, _, rest = seed.file.partition("/")
    folder = tmp_path / model
    shutil.copytree(ROOT / model, folder)
    text = (folder / rest).read_text()
    assert seed.old in text
    also = ALSO.get(seed.check, str)
    (folder / rest).write_text(also(text.replace(seed.old, seed.new)))
    found = told(seed.check, Recipes(load_recipes([str(folder)])))
    assert found
    assert all(name == Path(rest).name and seed.on in line for _, name, line in found), found
