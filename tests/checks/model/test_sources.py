"""Whether workers load the revision that was downloaded, and whoever fetches a gated model may."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.model import sources
from tests.checks.judging import deploy, judge, read_lines, run_check
from tests.checks.manifests import CLAIM, MODEL, config_map, engine, graph, job

SHA, OTHER = "a" * 40, "b" * 40
OFFLINE = {"HF_HUB_OFFLINE": "1"}
SNAPSHOTS = f"/models/hub/models--{MODEL.replace('/', '--')}/snapshots"
GATED = "meta-llama/Llama-3.3-70B-Instruct"


def fetch(options: str = "", model: str = MODEL, **more: Any) -> dict[str, Any]:
    return job(f"hf download {model} {options}", name="get", **more)


# model.revision


@pytest.mark.parametrize(
    ("worker", "options", "expected"),
    [
        (engine(), f"--revision {SHA}", ["warn"]),
        (engine(env=OFFLINE), f"--revision {SHA}", ["fail"]),
        (engine("--revision", SHA), f"--revision {SHA}", []),
        (engine("--revision", SHA, env=OFFLINE), f"--revision {SHA}", []),
        (engine("--revision", OTHER), f"--revision {SHA}", ["warn"]),
        (engine("--revision", OTHER, env=OFFLINE), f"--revision {SHA}", ["fail"]),
        (engine("--revision", "$(DYN_REVISION)"), f"--revision {SHA}", ["unjudged"]),
        (engine(), "--revision main", []),
        (engine("--revision", SHA), "", ["unjudged"]),  # main may be that commit
        (engine("--revision", "main"), "", ["skip"]),
        (engine(model=f"{SNAPSHOTS}/{SHA}"), f"--revision {SHA}", []),
        (engine(model=f"{SNAPSHOTS}/{OTHER}"), f"--revision {SHA}", ["warn"]),  # others may fill a claim
        (engine(model=f"{SNAPSHOTS}/{OTHER}"), "", ["unjudged"]),
        (engine(model=f"{SNAPSHOTS}/<commit>"), f"--revision {SHA}", ["skip"]),
        (engine(), "", ["skip"]),
        (engine(), f"--revision {SHA} --local-dir /models/x", ["skip"]),
        (engine(model="/models/x"), f"--revision {SHA}", ["skip"]),
        (engine(model="Qwen/Qwen3-8B"), f"--revision {SHA}", ["skip"]),
    ],
)
def test_revision(tmp_path: Path, worker: dict[str, Any], options: str, expected: list[str]) -> None:
    assert judge(sources.revision, deploy(tmp_path, graph(worker), fetch(options))) == expected


def test_one_download_is_one_cause(tmp_path: Path) -> None:
    both = graph(engine(name="a"), engine(name="b"))
    given = deploy(tmp_path, both, fetch(f"--revision {SHA}"))
    (finding,) = run_check(sources.revision, given)
    assert finding.evidence == {"workers": 2}
    assert "hf download" in read_lines(sources.revision, given)[0]


# model.token

FROM: dict[str, Any] = {"envFrom": [{"secretRef": {"name": "hf-token-secret"}}]}
OTHER_SECRET = {"envFrom": [{"secretRef": {"name": "my-hf-secret"}}]}
UNRELATED = {"envFrom": [{"secretRef": {"name": "s3-credentials"}}]}
KEY = {"valueFrom": {"secretKeyRef": {"name": "hf-token-secret", "key": "HF_TOKEN"}}}
SETTINGS = {"envFrom": [{"configMapRef": {"name": "settings"}}]}
CACHE = {"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}
KEPT = engine(model=GATED, env={"HF_HOME": "/cache"}, main=CACHE, pod={"volumes": [CLAIM]})


def gated(*args: str, **main: Any) -> dict[str, Any]:
    """A graph that loads a gated model."""
    return graph(engine(*args, model=GATED, main=main))


def get(model: str = GATED, **main: Any) -> dict[str, Any]:
    return fetch(model=model, main=main)


def variable(name: str, value: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value}]


def settings(**data: str) -> dict[str, Any]:
    return config_map("settings") | {"data": data}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([get()], ["fail"]),
        ([get(**FROM)], []),
        ([get(env=[{"name": "HF_TOKEN", **KEY}])], []),
        ([get(env=variable("HF_HOME", "/models"))], ["fail"]),
        ([get(env=variable("HF_ENDPOINT", "http://mirror"))], []),
        ([get(args=[f"export HF_TOKEN=$(cat /t); hf download {GATED}"])], []),
        ([get("google/gemma-3-27b-it")], ["fail"]),
        ([get("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic")], ["skip"]),
        ([get(MODEL)], ["skip"]),
        ([get("org/unheard-of")], ["unjudged"]),  # which may be gated
        ([get("mistralai/Mistral-7B-Instruct-v0.3")], ["unjudged"]),
        ([get("google/gemma-1.1-7b-it")], ["fail"]),
        ([get("google/codegemma-7b-it")], ["fail"]),
        ([get("org/unheard-of", **FROM)], []),
        # workers that fetch for themselves need one
        ([get("google/gemma-4-31B-it")], ["unjudged"]),  # not said of it, and its elders are
        ([get("google/gemma-3n-E4B-it")], ["fail"]),
        ([get("Meta-Llama/llama-3.1-8b")], ["fail"]),
        ([gated()], ["fail"]),
        ([gated(**FROM)], []),
        ([gated(), get(**FROM)], []),
        ([gated(), fetch()], ["fail"]),  # a download of another model
        ([graph(KEPT)], ["skip"]),  # a claim that may hold the model already
        ([gated("--max-num-batched-tokens", "8192", "--tokenizer", GATED)], ["fail"]),
        ([gated("--hf-token", "$(TOKEN)")], []),
        ([gated(env=variable("HF_TOKEN", ""))], ["fail"]),
        ([gated(**SETTINGS), settings()], ["fail"]),
        ([gated(**SETTINGS), settings(HF_ENDPOINT="http://mirror")], []),
        ([gated(**SETTINGS)], []),  # which may hold one
        # one name for all
        ([graph(engine(main=FROM)), fetch(main=FROM)], []),
        ([graph(engine(main=FROM)), fetch(main=UNRELATED)], []),
    ],
)
def test_token(tmp_path: Path, objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert judge(sources.token, deploy(tmp_path, *objects)) == expected


def test_the_token_has_one_name(tmp_path: Path) -> None:
    both = graph(engine(main=FROM), engine(main=FROM))
    (finding,) = run_check(sources.token, deploy(tmp_path, both, fetch(main=OTHER_SECRET)))
    assert (finding.outcome, finding.fix) == ("warn", "replace my-hf-secret with hf-token-secret")


@pytest.mark.parametrize(("more", "expected"), [({}, ["fail"]), ({"envFromSecret": "hf-token-secret"}, [])])
def test_a_token_of_the_old_api(tmp_path: Path, more: dict[str, str], expected: list[str]) -> None:
    main = {"image": "i:1.0.0", "command": ["python3", "-m", "dynamo.vllm"], "args": ["--model", GATED]}
    worker = {"componentType": "worker", "extraPodSpec": {"mainContainer": main}, **more}
    services = {"W": worker, "F": {"componentType": "frontend"}}
    old = graph() | {"apiVersion": "nvidia.com/v1alpha1", "spec": {"services": services}}
    assert judge(sources.token, deploy(tmp_path, old)) == expected
