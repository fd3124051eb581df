"""Whether workers load the revision that was downloaded, and whoever fetches a gated model may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.model import names, sources
from tests.checks.judging import get_coverage, get_skip_reason, list_messages, outcomes, recipes, run_check
from tests.checks.manifests import CLAIM, MODEL, dump_objects, engine, graph, job

SHA, OTHER = "a" * 40, "b" * 40
OFFLINE = {"HF_HUB_OFFLINE": "1"}
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
        (engine(), "", None),
        (engine(), f"--revision {SHA} --local-dir /models/x", None),
        (engine(model="/models/x"), f"--revision {SHA}", None),
        (engine(model="Qwen/Qwen3-8B"), f"--revision {SHA}", None),
    ],
)
def test_revision(tmp_path: Path, worker: dict[str, Any], options: str, expected: list[str] | None) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(worker), fetch(options)))
    if expected is None:
        assert "no worker loads" in get_skip_reason(sources.revision, given)
    else:
        assert outcomes(sources.revision, given) == expected


def test_one_download_is_one_cause(tmp_path: Path) -> None:
    text = dump_objects(graph(engine(name="a"), engine(name="b")), fetch(f"--revision {SHA}"))
    (finding,) = run_check(sources.revision, recipes(tmp_path, deploy=text))
    assert finding.evidence == {"workers": 2}
    assert finding.location is not None
    assert "hf download" in text.splitlines()[(finding.location.line or 0) - 1]


# model.token


FROM = {"envFrom": [{"secretRef": {"name": "hf-token-secret"}}]}
KEY = {"valueFrom": {"secretKeyRef": {"name": "hf-token-secret", "key": "HF_TOKEN"}}}


@pytest.mark.parametrize(
    ("model", "main", "expected"),
    [
        (GATED, {}, ["fail"]),
        (GATED, FROM, []),
        (GATED, {"env": [{"name": "HF_TOKEN", **KEY}]}, []),
        (GATED, {"env": [{"name": "HF_HOME", "value": "/models"}]}, ["fail"]),
        (GATED, {"env": [{"name": "HF_ENDPOINT", "value": "http://mirror"}]}, []),
        (GATED, {"args": [f"export HF_TOKEN=$(cat /t); hf download {GATED}"]}, []),
        ("google/gemma-3-27b-it", {}, ["fail"]),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", {}, None),
        (MODEL, {}, None),
        ("org/unheard-of", {}, ["unjudged"]),  # which may be gated
        ("org/unheard-of", FROM, []),
    ],
)
def test_token(tmp_path: Path, model: str, main: dict[str, Any], expected: list[str] | None) -> None:
    given = recipes(tmp_path, deploy=dump_objects(fetch(model=model, main=main)))
    if expected is None:
        assert "no download of a gated model" in get_skip_reason(sources.token, given)
    else:
        assert outcomes(sources.token, given) == expected


def test_workers_that_fetch_for_themselves_need_one(tmp_path: Path) -> None:
    alone = graph(engine(model=GATED))
    assert [
        o for o, _ in list_messages(sources.token, recipes(tmp_path / "a", deploy=dump_objects(alone)))
    ] == ["fail"]
    told = graph(engine(model=GATED, main=FROM))
    assert list_messages(sources.token, recipes(tmp_path / "b", deploy=dump_objects(told))) == []
    fetched = dump_objects(alone, fetch(model=GATED, main=FROM))
    assert list_messages(sources.token, recipes(tmp_path / "c", deploy=fetched)) == []


EMPTY = {"env": [{"name": "HF_TOKEN", "value": ""}]}
SETTINGS = {"envFrom": [{"configMapRef": {"name": "settings"}}]}


@pytest.mark.parametrize(
    ("args", "main", "data", "expected"),
    [
        (["--max-num-batched-tokens", "8192", "--tokenizer", GATED], {}, {}, ["fail"]),
        ([], EMPTY, {}, ["fail"]),
        ([], SETTINGS, {}, ["fail"]),
        ([], SETTINGS, {"HF_ENDPOINT": "http://mirror"}, []),
        ([], SETTINGS, None, []),  # which may hold one
        (["--hf-token", "$(TOKEN)"], {}, {}, []),
    ],
)
def test_what_is_no_token(
    tmp_path: Path, args: list[str], main: dict[str, Any], data: dict[str, str] | None, expected: list[str]
) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}
    objects = [graph(engine(*args, model=GATED, main=main)), *([settings] if data is not None else [])]
    given = recipes(tmp_path, deploy=dump_objects(*objects))
    assert outcomes(sources.token, given) == expected


def test_a_worker_of_another_model_than_the_download_needs_one(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(engine(model=GATED)), fetch()))
    assert outcomes(sources.token, given) == ["fail"]


def test_a_claim_that_may_hold_the_model_already_needs_none(tmp_path: Path) -> None:
    mounts = {"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}
    kept = engine(model=GATED, env={"HF_HOME": "/cache"}, main=mounts, pod={"volumes": [CLAIM]})
    given = recipes(tmp_path, deploy=dump_objects(graph(kept)))
    assert "no download of a gated model" in get_skip_reason(sources.token, given)


def test_a_token_of_the_old_api(tmp_path: Path) -> None:
    main = {"image": "i:1.0.0", "command": ["python3", "-m", "dynamo.vllm"], "args": ["--model", GATED]}
    service = {"componentType": "worker", "extraPodSpec": {"mainContainer": main}}
    for number, (more, expected) in enumerate([({}, ["fail"]), ({"envFromSecret": "hf-token-secret"}, [])]):
        services = {"W": service | more, "F": {"componentType": "frontend"}}
        old = graph() | {"apiVersion": "nvidia.com/v1alpha1", "spec": {"services": services}}
        given = recipes(tmp_path / str(number), deploy=dump_objects(old))
        assert outcomes(sources.token, given) == expected


def test_the_token_has_one_name(tmp_path: Path) -> None:
    other = {"envFrom": [{"secretRef": {"name": "my-hf-secret"}}]}
    same = dump_objects(graph(engine(main=FROM)), fetch(main=FROM))
    assert list_messages(sources.token, recipes(tmp_path / "a", deploy=same)) == []
    apart = recipes(
        tmp_path / "b", deploy=dump_objects(graph(engine(main=FROM), engine(main=FROM)), fetch(main=other))
    )
    (finding,) = run_check(sources.token, apart)
    assert finding.message == "the token comes from 2 Secrets: hf-token-secret, my-hf-secret"
    assert finding.fix == "use hf-token-secret everywhere"
    unrelated = {"envFrom": [{"secretRef": {"name": "s3-credentials"}}]}
    mixed = dump_objects(graph(engine(main=FROM)), fetch(main=unrelated))
    assert list_messages(sources.token, recipes(tmp_path / "c", deploy=mixed)) == []


# model.same-everywhere


def test_models_that_cannot_be_read_are_not_judged(tmp_path: Path) -> None:
    hidden = {"env": [{"name": "M", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}
    worker = engine("--model", "$(M)", model=None, main=hidden)
    given = recipes(tmp_path, deploy=dump_objects(graph(worker, engine(name="known"))))
    assert get_coverage(names.same_everywhere, given) == (1, ["w: model"])
