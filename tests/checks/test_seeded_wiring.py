"""Defects that tests/mutations has no kind or place for, put into our own recipes: who notices, and where."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dynocheck import Finding
from dynocheck.checks.gaie.endpoint_pickers import picker
from dynocheck.checks.gaie.recipe_routes import recipe_route
from dynocheck.checks.graph.placement import placement
from dynocheck.checks.network.transport import transport
from dynocheck.checks.perf.targets import tokenizer
from dynocheck.checks.storage.weight_paths import model_path
from dynocheck.facts import Recipes
from dynocheck.recipe.discover import load_recipes

ROOT = Path(__file__).parents[2] / "recipes"


class Seed(NamedTuple):
    """A text of a file, what takes its place, who is to notice, and what stands on the line it tells."""

    check: Any
    file: str
    old: str
    new: str
    on: str = ""  # if it is not the new text


AGG, SINGLE = "llama-3-70b/vllm/agg", "llama-3-70b/vllm/disagg-single-node/deploy.yaml"
GAIE, ROUTE, PERF = f"{AGG}/gaie/deploy.yaml", f"{AGG}/gaie/http-route.yaml", f"{AGG}/perf.yaml"
R1, MULTI = "deepseek-r1", "llama-3-70b/vllm/disagg-multi-node/deploy.yaml"
SGL, TRT = f"{R1}/sglang/disagg-16gpu/deploy.yaml", f"{R1}/trtllm/disagg/wide_ep/gb200/deploy.yaml"
NAME = "nvidia.com/dynamo-graph-deployment-name: llama3-70b-disagg-sn"
BOTH, TYPO = "prefill\n                  - decode\n", "prefil\n"
HOME, ENV = "          - name: HF_HOME\n", "          env:\n"
TCP, NO_IB = "{name: UCX_TLS, value: tcp}", "{name: NCCL_IB_DISABLE, value: '1'}"
NAMED = "DYN_MODEL_NAME\n            value: RedHatAI/Llama-3."

SEEDS = [
    Seed(placement, SINGLE, NAME, f"{NAME}-prefill", "labelSelector"),
    Seed(placement, SINGLE, BOTH, TYPO, "labelSelector"),
    Seed(transport, MULTI, HOME, f"          - {TCP}\n{HOME}", "UCX_TLS"),
    Seed(transport, SGL, ENV, f"{ENV}          - {NO_IB}\n", "NCCL_IB_DISABLE"),
    Seed(tokenizer, PERF, '"$TOKENIZER"', "/tokenizers/llama"),
    Seed(recipe_route, ROUTE, "    timeouts:\n      request: 300s\n", "", "matches:"),
    Seed(recipe_route, ROUTE, "request: 300s", "request: 10s"),
    Seed(picker, GAIE, "            - worker\n", "            - decode\n", "validValues"),
    Seed(picker, GAIE, 'value: "128"', 'value: "64"'),
    Seed(picker, GAIE, f"{NAMED}3", f"{NAMED}1", "Llama-3.1"),
    Seed(model_path, TRT, "- nvidia/DeepSeek-R1-FP4", "- /models/r1", "--model-path"),
]


def read_places(check: Any, recipes: Recipes) -> set[tuple[str, str]]:
    """The file of each finding, and the line in it."""
    facts = {need.parameter: recipes if need.fact is Recipes else None for need in check.needs}
    places = [each.location for each in check(**facts) or () if isinstance(each, Finding)]
    paths = [(Path(place.file), place.line or 1) for place in places if place]
    return {(path.name, path.read_text().splitlines()[line - 1]) for path, line in paths}


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.check.id}-{seed.new[:24].strip()!r}")
def test_a_seeded_defect_is_noticed(tmp_path: Path, seed: Seed) -> None:
    model, _, rest = seed.file.partition("/")
    folder = tmp_path / model
    shutil.copytree(ROOT / model, folder)
    assert read_places(seed.check, Recipes(load_recipes([str(folder)]))) == set()
    text = (folder / rest).read_text()
    assert seed.old in text
    (folder / rest).write_text(text.replace(seed.old, seed.new))
    found = read_places(seed.check, Recipes(load_recipes([str(folder)])))
    assert found
    on = seed.on or seed.new
    assert all(name == Path(rest).name and on in line for name, line in found), found
