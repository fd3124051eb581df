"""Models that only the hub, or its cache on this machine, describes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynocheck.checks.memory.gpu_memory import weights_fit
from dynocheck.core import snapshot
from dynocheck.core.knowledge import Knowledge
from dynocheck.facts import HubModel, HubModels, ModelConfig, Recipes
from dynocheck.recipe.discover import load_recipes
from tests.checks.judging import outcomes
from tests.checks.manifests import dump_objects, engine, graph, job
from tests.checks.model.llama import H100, LLAMA_70B, OWN
from tests.command import CommandResult, dynocheck, usage_error
from tests.hub import COMMIT, TOKEN, HostedModel, Hub, serve_hub

WEIGHTS = {f"model-0000{n}-of-00002.safetensors": 70_500_000_000 for n in (1, 2)}
FILES = {"config.json": LLAMA_70B, **WEIGHTS, "original/consolidated.00.pth": 141_000_000_000}
MODELS = {
    OWN: HostedModel(FILES),
    "house/gated": HostedModel(FILES, gated="manual", allowed=(TOKEN,)),
    "house/old": HostedModel(renamed=OWN),
    "house/other": HostedModel(
        {"config.json": LLAMA_70B | {"architectures": ["OtherForCausalLM"]}, **WEIGHTS}
    ),
    "house/half": HostedModel(
        {"config.json": LLAMA_70B, "hf_quant_config.json": {"quantization": {"quant_algo": "FP8"}}}
    ),
    "house/bare": HostedModel({"README.md": "none"}),
}
REASONS = "memory.weights-fit"


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serve_hub(MODELS) as running:
        yield running


def ask(
    folder: Path, hub: Hub, model: str, *args: str, more: tuple[str, ...] = ("--hub",), **env: str
) -> CommandResult:
    """Judge a recipe that loads a model on one H100."""
    folder.joinpath("deploy.yaml").write_text(dump_objects(graph(engine(*args, model=model, pod=H100))))
    here = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "HF_TOKEN": "", **env}
    return dynocheck("recipe", folder, "-o", "json", *more, env=here)


def explain(result: CommandResult, check: str = REASONS) -> list[str]:
    """Why a check judged less than everything."""
    (verdict,) = [v for v in result.report["verdicts"] if v["check"] == check]
    return [each["why"] for each in verdict["unjudged"]]


def test_the_hub_describes_models(tmp_path: Path, hub: Hub) -> None:
    models = [*MODELS, "house/none"]
    for number, model in enumerate(models):
        manifest = dump_objects(graph(engine(model=model, pod=H100), name=f"g{number}"))
        tmp_path.joinpath(f"{model.partition('/')[2]}.yaml").write_text(manifest)
    env = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": ""}
    result = dynocheck("recipe", tmp_path, "--hub", "-o", "json", env=env)
    assert _list_places(result, REASONS) == {"own-70b": "fail", "old": "fail", "other": "fail"}
    assert _list_places(result, "model.hub") == {"old": "warn", "none": "warn"}
    whys = explain(result)
    assert len(whys) == 3
    for why in ("no token here", "no such model", "no config.json"):
        assert any(why in each for each in whys)


def _list_places(result: CommandResult, check: str) -> dict[str, str]:
    """The outcome of each finding of a check, by the file that it is about."""
    return {Path(each["location"]["file"]).stem: each["outcome"] for each in result.findings(check)}


def test_its_heads_and_its_size_are_known(tmp_path: Path, hub: Hub) -> None:
    result = ask(tmp_path, hub, OWN, "--tensor-parallel-size", "3")
    found = result.finding("parallelism.heads-divide")
    assert found["evidence"]["source"] == f"{hub.url}/{OWN}/blob/{COMMIT}/config.json"
    other = ask(tmp_path, hub, "house/other")
    assert other.finding(REASONS)["evidence"]["weights_gib"] == round(141e9 / 2**30, 1)


def test_a_gated_model_is_read_with_a_token_that_has_access(tmp_path: Path, hub: Hub) -> None:
    assert "no token here" in explain(ask(tmp_path, hub, "house/gated"))[0]
    assert "has no access" in explain(ask(tmp_path, hub, "house/gated", HF_TOKEN="hf_" + "Y" * 34))[0]
    allowed = ask(tmp_path, hub, "house/gated", HF_TOKEN=TOKEN)
    assert allowed.outcomes[REASONS] == "fail"
    assert TOKEN not in allowed.out + allowed.err


def test_a_gated_model_needs_a_token_in_the_recipe(tmp_path: Path, hub: Hub) -> None:
    gated, free = (ask(tmp_path, hub, model) for model in ("house/gated", OWN))
    assert gated.finding("model.token")["evidence"]["source"] == f"{hub.url}/house/gated"
    assert free.outcomes["model.token"] == "skip"
    assert ask(tmp_path, hub, OWN, more=()).outcomes["model.token"] == "unjudged"


def test_a_model_that_a_token_does_not_see_fails(tmp_path: Path, hub: Hub) -> None:
    assert ask(tmp_path, hub, "house/none", HF_TOKEN=TOKEN).outcomes["model.hub"] == "fail"


@pytest.mark.parametrize(("revision", "expected"), [("v9", "fail"), (COMMIT, "pass")])
def test_the_revision_is_the_recipes(tmp_path: Path, hub: Hub, revision: str, expected: str) -> None:
    result = ask(tmp_path, hub, OWN, "--revision", revision)
    assert result.outcomes["model.hub"] == expected
    assert result.outcomes[REASONS] == ("unjudged" if expected == "fail" else "fail")


def test_a_download_is_asked_for_too(tmp_path: Path, hub: Hub) -> None:
    tmp_path.joinpath("download.yaml").write_text(dump_objects(job("hf download house/none", name="d")))
    found = ask(tmp_path, hub, OWN).finding("model.hub")
    assert (found["outcome"], Path(found["location"]["file"]).name) == ("warn", "download.yaml")


def test_nothing_is_asked_without_the_flag(tmp_path: Path, hub: Hub) -> None:
    hub.asked.clear()
    result = ask(tmp_path, hub, OWN, more=())
    assert (hub.asked, result.outcomes[REASONS], result.outcomes["model.hub"]) == ([], "unjudged", "skip")


def test_the_recipes_own_config_counts_more(tmp_path: Path, hub: Hub) -> None:
    small = LLAMA_70B | {"num_hidden_layers": 8}
    tmp_path.joinpath("config.json").write_text(json.dumps(small))
    assert ask(tmp_path, hub, OWN).outcomes[REASONS] == "pass"


def test_a_hub_that_is_away_is_unknown(tmp_path: Path) -> None:
    gone = Hub({}, url="http://127.0.0.1:9")
    assert ask(tmp_path, gone, OWN).outcomes["model.hub"] == "unknown"
    assert ask(tmp_path, gone, OWN, HF_HUB_OFFLINE="1").outcomes["model.hub"] == "unknown"


def test_a_hub_that_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    with serve_hub({OWN: HostedModel(silent=True)}) as hub:
        result = ask(tmp_path, hub, OWN)
    assert (result.outcomes["model.hub"], result.outcomes[REASONS]) == ("unknown", "unjudged")


def test_a_snapshot_keeps_what_the_hub_said(tmp_path: Path) -> None:
    tmp_path.joinpath("deploy.yaml").write_text(dump_objects(graph(engine(model=OWN, pod=H100))))
    recipes = Recipes(load_recipes([str(tmp_path)]))
    described = ModelConfig(file="x", scope="", config=LLAMA_70B, checkpoint=141_000_000_000)
    said = HubModels((HubModel(name=OWN, revision=None, state="found", current=OWN, config=described),))
    file = tmp_path / "facts.json"
    file.write_bytes(snapshot.encode(Knowledge({Recipes: recipes, HubModels: said}), {}))
    facts = snapshot.read(file, [Recipes, HubModels])[0].facts
    assert outcomes(weights_fit, facts[Recipes], None, None, facts[HubModels]) == ["fail"]


def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynocheck.commands._run.find_spec", lambda name: None)
    assert "pip install 'dynocheck[hub]'" in usage_error("recipe", tmp_path, "--hub")


# The cache


def cache(home: Path, *, model: str = OWN, ref: str = "main", commit: str = COMMIT) -> Path:
    """A cache of huggingface_hub with a model; the folder of its files."""
    folder = home / "hub" / f"models--{model.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / ref).write_text(commit)
    (snapshot / "config.json").write_text(json.dumps(LLAMA_70B))
    return snapshot


def test_the_cache_describes_a_model(tmp_path: Path, hub: Hub) -> None:
    snapshot = cache(tmp_path / "home")
    found = ask(tmp_path, hub, OWN, more=()).finding(REASONS)
    assert found["evidence"]["source"] == str(snapshot / "config.json")
    elsewhere = ask(tmp_path, hub, OWN, more=(), HF_HUB_CACHE=str(tmp_path / "empty"))
    assert elsewhere.outcomes[REASONS] == "unjudged"


def test_the_cache_is_used_when_the_hub_is_away(tmp_path: Path) -> None:
    cache(tmp_path / "home")
    result = ask(tmp_path, Hub({}, url="http://127.0.0.1:9"), OWN)
    assert (result.outcomes["model.hub"], result.outcomes[REASONS]) == ("unknown", "fail")


@pytest.mark.parametrize(
    ("revision", "expected"), [(COMMIT, "fail"), ("v2", "fail"), ("main", "unjudged"), ("../v2", "unjudged")]
)
def test_the_cache_has_revisions(tmp_path: Path, hub: Hub, revision: str, expected: str) -> None:
    cache(tmp_path / "home", ref="v2")
    result = ask(tmp_path, hub, OWN, "--revision", revision, more=())
    assert result.outcomes[REASONS] == expected
