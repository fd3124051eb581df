"""Defects put into our own recipes, one at a time: the right check notices, on the right line."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dynocheck import Finding, Skip
from dynocheck.checks.gaie.endpoint_pickers import picker
from dynocheck.checks.gaie.recipe_routes import recipe_route
from dynocheck.checks.graph.components import both_sides, roles
from dynocheck.checks.graph.images import engine_agrees, images_pinned, one_release
from dynocheck.checks.graph.placement import placement
from dynocheck.checks.graph.probes import probes, startup_budget
from dynocheck.checks.model.sources import revision, token
from dynocheck.checks.network.transport import ipc_lock, rdma_requested, transport
from dynocheck.checks.perf.runs import artifacts, bounded, tool_pinned
from dynocheck.checks.perf.targets import gpu_count, tokenizer
from dynocheck.checks.storage.recipe_claims import access_mode, size
from dynocheck.checks.storage.weight_paths import model_path, read_only
from dynocheck.facts import Recipes, Settings
from dynocheck.recipe.discover import load_recipes

ROOT = Path(__file__).parents[2] / "recipes"


class Seed(NamedTuple):
    """A text of a file, what takes its place, who is to notice, and what stands on the line it tells."""

    check: Any
    file: str
    old: str
    new: str
    on: str = ""  # if it is not the new text


LLAMA, QWEN, R1 = "llama-3-70b", "qwen3-32b", "deepseek-r1"
MULTI, SINGLE = f"{LLAMA}/vllm/disagg-multi-node/deploy.yaml", f"{LLAMA}/vllm/disagg-single-node/deploy.yaml"
AGG, PERF = f"{LLAMA}/vllm/agg/deploy.yaml", f"{LLAMA}/vllm/agg/perf.yaml"
FETCH, CACHE = f"{LLAMA}/model-cache/model-download.yaml", f"{LLAMA}/model-cache/model-cache.yaml"
GAIE, ROUTE = f"{LLAMA}/vllm/agg/gaie/deploy.yaml", f"{LLAMA}/vllm/agg/gaie/http-route.yaml"
SGL, TRT = f"{R1}/sglang/disagg-16gpu/deploy.yaml", f"{R1}/trtllm/disagg/wide_ep/gb200/deploy.yaml"
IMAGE = "vllm-runtime:1.3.0"
PREFILL, DECODE = (f"--disaggregation-mode\n          - {mode}\n" for mode in ("prefill", "decode"))
NAME = "nvidia.com/dynamo-graph-deployment-name: llama3-70b-disagg-sn"
BOTH, TYPO = "prefill\n                  - decode\n", "prefil\n"
HOME, ENV = "          - name: HF_HOME\n", "          env:\n"
TCP, NO_IB = "{name: UCX_TLS, value: tcp}", "{name: NCCL_IB_DISABLE, value: '1'}"
TOKENIZER, NAMED = (
    "TOKENIZER\n          value: RedHatAI/Llama-3.",
    "DYN_MODEL_NAME\n            value: RedHatAI/Llama-3.",
)
MODELS, REVISION = "mountPath: /opt/models", "--revision 0123456789abcdef0123456789abcdef01234567"

SEEDS = [
    Seed(roles, MULTI, PREFILL, DECODE, "--disaggregation"),
    Seed(roles, MULTI, f"          - {PREFILL}", "", "dynamo.vllm"),
    Seed(roles, SGL, DECODE, PREFILL, "--disaggregation"),
    Seed(roles, TRT, f"          - {DECODE}", "", "dynamo.trtllm"),
    Seed(both_sides, SGL, DECODE, PREFILL, "--disagg"),
    Seed(engine_agrees, AGG, "backendFramework: vllm", "backendFramework: trtllm"),
    Seed(engine_agrees, AGG, "- dynamo.vllm", "- dynamo.sglang", "vllm"),
    Seed(engine_agrees, SGL, "sglang-runtime", "vllm-runtime"),
    Seed(images_pinned, AGG, IMAGE, "vllm-runtime", "image:"),
    Seed(images_pinned, AGG, IMAGE, "vllm-runtime:latest"),
    Seed(images_pinned, AGG, IMAGE, "vllm-runtime:mine"),
    Seed(one_release, GAIE, "dynamo-frontend:1.3.0", "dynamo-frontend:1.1.1", "image:"),
    Seed(probes, MULTI, "port: 9090", "port: 8000"),
    Seed(probes, MULTI, "path: /live", "path: /alive"),
    Seed(startup_budget, MULTI, "failureThreshold: 180", "failureThreshold: 3"),
    Seed(placement, SINGLE, NAME, f"{NAME}-prefill", "labelSelector"),
    Seed(placement, SINGLE, BOTH, TYPO, "labelSelector"),
    Seed(rdma_requested, SGL, 'rdma/ib: "8"', 'cpu: "8"', "name: "),
    Seed(ipc_lock, MULTI, "- IPC_LOCK", "- SYS_PTRACE", "name: "),
    Seed(transport, MULTI, HOME, f"          - {TCP}\n{HOME}", "UCX_TLS"),
    Seed(transport, SGL, ENV, f"{ENV}          - {NO_IB}\n", "NCCL_IB_DISABLE"),
    Seed(gpu_count, PERF, 'value: "4"', 'value: "8"'),
    Seed(tokenizer, PERF, f"{TOKENIZER}3", f"{TOKENIZER}1", "--tokenizer"),
    Seed(tokenizer, PERF, '"$TOKENIZER"', "/tokenizers/llama"),
    Seed(tool_pinned, PERF, "aiperf==0.10.0", "aiperf", "pip install"),
    Seed(artifacts, PERF, '"$HF_HOME/perf/$POD_NAME"', "/tmp/perf"),
    Seed(bounded, PERF, "set -eu", "until curl $ENDPOINT; do sleep 5; done"),
    Seed(recipe_route, ROUTE, "llama3-70b-gaie-pool", "llama3-70b-pool"),
    Seed(recipe_route, ROUTE, "inference.networking.k8s.io", "inference.networking.x-k8s.io"),
    Seed(recipe_route, ROUTE, "port: 8000", "port: 9002"),
    Seed(recipe_route, ROUTE, "    timeouts:\n      request: 300s\n", "", "matches:"),
    Seed(recipe_route, ROUTE, "request: 300s", "request: 10s"),
    Seed(picker, GAIE, "pluginRef: best", "pluginRef: better"),
    Seed(picker, GAIE, "            - worker\n", "            - decode\n", "validValues"),
    Seed(picker, GAIE, 'value: "128"', 'value: "64"'),
    Seed(picker, GAIE, f"{NAMED}3", f"{NAMED}1", "Llama-3.1"),
    Seed(access_mode, CACHE, "ReadWriteMany", "ReadWriteOnce", "accessModes"),
    Seed(size, CACHE, "storage: 150Gi", "storage: 20Gi"),
    Seed(model_path, MULTI, "value: /opt/models", "value: /root/models"),
    Seed(model_path, TRT, "- nvidia/DeepSeek-R1-FP4", "- /models/r1", "--model-path"),
    Seed(read_only, FETCH, MODELS, f"{MODELS}\n          readOnly: true", MODELS),
    Seed(revision, FETCH, 'hf download "$MODEL"', f'hf download "$MODEL" {REVISION}', "hf download"),
    Seed(token, FETCH, "name: hf-token-secret", "name: hf-secret", "hf-"),
]


def read_places(check: Any, recipes: Recipes) -> set[tuple[str, str]]:
    """The file of each finding, and the line in it."""
    given = {Recipes: recipes, Settings: Settings()}
    facts = {need.parameter: given.get(need.fact) for need in check.needs}
    try:
        places = [each.location for each in check(**facts) or () if isinstance(each, Finding)]
    except Skip:
        return set()
    paths = [(Path(place.file), place.line or 1) for place in places if place]
    return {(path.name, path.read_text().splitlines()[line - 1]) for path, line in paths}


@pytest.fixture(scope="module")
def ours() -> Recipes:
    return Recipes(load_recipes([str(ROOT)]))


@pytest.mark.parametrize("check", {seed.check.id: seed.check for seed in SEEDS}.values(), ids=lambda c: c.id)
def test_our_recipes_have_no_such_defect(check: Any, ours: Recipes) -> None:
    assert read_places(check, ours) == set()


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.check.id}-{seed.new[:24].strip()!r}")
def test_a_seeded_defect_is_noticed(tmp_path: Path, seed: Seed) -> None:
    model, _, rest = seed.file.partition("/")
    folder = tmp_path / model
    shutil.copytree(ROOT / model, folder)
    text = (folder / rest).read_text()
    assert seed.old in text
    if seed.check is bounded:
        text = text.replace("activeDeadlineSeconds", "# activeDeadlineSeconds")
    (folder / rest).write_text(text.replace(seed.old, seed.new))
    found = read_places(seed.check, Recipes(load_recipes([str(folder)])))
    assert found
    on = seed.on or seed.new
    assert all(name == Path(rest).name and on in line for name, line in found), found
