"""Whether weights are put where workers look for them, on claims that let everybody in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.storage import recipe_claims, weight_paths
from tests.checks.judging import get_skip_reason, list_messages, recipes, run_check
from tests.checks.manifests import CLAIM, MODEL, claim, dump_objects, engine, graph, job

NODE = "kubernetes.io/hostname"


def outcomes(check: Any, folder: Path, *objects: dict[str, Any]) -> list[str]:
    return [outcome for outcome, _ in list_messages(check, recipes(folder, deploy=dump_objects(*objects)))]


def loading(
    model: str = MODEL,
    home: str | None = "/cache",
    at: str = "/cache",
    mount: dict[str, Any] | None = None,
    pod: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A worker with the claim at /cache."""
    mounts = {"volumeMounts": [{"name": "cache", "mountPath": at, **(mount or {})}]}
    env = {"HF_HOME": home} if home else {}
    return engine(model=model, env=env, main=mounts, pod={"volumes": [CLAIM], **(pod or {})}, **more)


def download(
    options: str = "", model: str = MODEL, home: str | None = "/models", **more: Any
) -> dict[str, Any]:
    env = {"HF_HOME": home} if home else {}
    return job(f"hf download {model} {options}", name="get", env=env, **more)


# storage.model-path


@pytest.mark.parametrize(
    ("worker", "fetch", "expected"),
    [
        (loading(), download(), []),
        (loading(home="/cache/hf"), download(), ["warn"]),
        (loading(home="/cache/hf"), download(home="/models/hf"), []),
        (loading(home="/root/hf"), download(), ["warn"]),
        (loading(home=None), download(), []),
        (loading(), download(home=None), []),
        (loading(), download("--local-dir /models/qwen"), ["warn"]),
        (loading("/cache/qwen"), download("--local-dir /models/qwen"), []),
        (loading("/cache/qwen/"), download("--local-dir /models/qwen"), []),
        (loading("/cache/qwen"), download("--local-dir /models/qwen3"), ["fail"]),
        (loading("/cache/hub/models--Qwen--Qwen3-32B/snapshots/x"), download(), []),
        (loading("/opt/qwen"), download(), ["fail"]),
        (loading("/opt/qwen", image="registry.example/baked:1.0.0"), download(), []),
        (loading("/cache/qwen"), download("--local-dir $(mktemp)"), []),
        (loading(), download("--local-dir $(mktemp)"), []),
        (loading(), download("--cache-dir /models/other"), []),
        (loading("/cache/qwen"), download(), ["fail"]),
        (loading(), download(model="Qwen/Qwen3-8B"), []),
    ],
)
def test_model_path(
    tmp_path: Path, worker: dict[str, Any], fetch: dict[str, Any], expected: list[str]
) -> None:
    assert outcomes(weight_paths.model_path, tmp_path, graph(worker), fetch) == expected


def scripted(home: str, container: str | None) -> dict[str, Any]:
    script = f"export HF_HOME={home}\nexec python3 -m dynamo.vllm --model {MODEL}"
    one = loading(home=container)
    main = one["podTemplate"]["spec"]["containers"][0]
    return {**one, "podTemplate": {"spec": {"volumes": [CLAIM], "containers": [{**main, **shell(script)}]}}}


def shell(script: str) -> dict[str, Any]:
    return {"command": ["bash", "-c"], "args": [script]}


@pytest.mark.parametrize(
    ("worker", "fetch", "expected"),
    [
        (scripted("/cache", "/root/hf"), download(), []),
        (scripted("/cache/other", None), download(), ["warn"]),
        (loading(home="/cache/hf"), download(main=shell(f"HF_HOME=/models/hf hf download {MODEL}")), []),
        (loading(), download(main=shell(f"export HF_HOME=/models/hf\nhf download {MODEL}")), ["warn"]),
    ],
)
def test_a_script_says_where_its_cache_is(
    tmp_path: Path, worker: dict[str, Any], fetch: dict[str, Any], expected: list[str]
) -> None:
    assert outcomes(weight_paths.model_path, tmp_path, graph(worker), fetch) == expected


def test_without_a_download_there_is_nothing_to_compare(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(loading())))
    assert "no Job downloads" in get_skip_reason(weight_paths.model_path, given)


def test_what_others_write_is_not_judged(tmp_path: Path) -> None:
    elsewhere = graph(loading("/cache/made"))
    moves = job(f"hf download {MODEL}; mv /models/hub/x /models/made", name="get", env={"HF_HOME": "/models"})
    convert = job("python3 convert.py", name="convert")
    assert outcomes(weight_paths.model_path, tmp_path / "a", elsewhere, moves) == []
    given = recipes(
        tmp_path / "b",
        deploy=dump_objects(elsewhere),
        get=dump_objects(download()),
        convert=dump_objects(convert),
    )
    assert list_messages(weight_paths.model_path, given) == []


def test_a_cache_that_is_told_otherwise_is_not_judged(tmp_path: Path) -> None:
    told = engine("--download-dir", "/cache", env={"HF_HOME": "/root/hf"})
    server = engine(env={"HF_HOME": "/root/hf", "MODEL_EXPRESS_URL": "http://mx:8001"})
    for number, one in enumerate((told, server)):
        folder = tmp_path / str(number)
        assert outcomes(weight_paths.model_path, folder, graph(one), download()) == []


def test_a_worker_may_fetch_its_own_model(tmp_path: Path) -> None:
    script = f"hf download {MODEL} --local-dir /tmp/m && python3 -m dynamo.vllm --model /tmp/m"
    own = engine(main={"command": ["sh", "-c"], "args": [script]})
    assert outcomes(weight_paths.model_path, tmp_path / "a", graph(own)) == []
    lacking = engine(main={"command": ["sh", "-c"], "args": ["python3 -m dynamo.vllm --model /tmp/m"]})
    assert outcomes(weight_paths.model_path, tmp_path / "b", graph(lacking)) == ["fail"]


def test_another_claim_may_be_read_only(tmp_path: Path) -> None:
    both = [{"name": "cache", "mountPath": "/models"}, {"name": "x", "mountPath": "/x", "readOnly": True}]
    volumes = [CLAIM, {"name": "x", "persistentVolumeClaim": {"claimName": "other"}}]
    fetch = download(main={"volumeMounts": both}, pod={"volumes": volumes})
    assert outcomes(weight_paths.read_only, tmp_path, fetch) == []


def test_sub_paths_are_folders_of_the_claim(tmp_path: Path) -> None:
    apart = loading(mount={"subPath": "team"})
    assert outcomes(weight_paths.model_path, tmp_path / "a", graph(apart), download()) == ["warn"]
    same = download(main={"volumeMounts": [{"name": "cache", "mountPath": "/models", "subPath": "team"}]})
    assert outcomes(weight_paths.model_path, tmp_path / "b", graph(apart), same) == []


def test_both_places_are_told(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(loading(home="/cache/hf")), download()))
    (finding,) = run_check(weight_paths.model_path, given)
    assert finding.message == (
        f"w loads {MODEL}, and its hub cache is model-cache:hf; the recipe downloads it to model-cache:.: "
        "each pod fetches its own"
    )


# storage.read-only


FIXED = {"volumeMounts": [{"name": "cache", "mountPath": "/models", "readOnly": True}]}
FIXED_CLAIM = {"name": "cache", "persistentVolumeClaim": {"claimName": "model-cache", "readOnly": True}}


@pytest.mark.parametrize(
    ("worker", "fetch", "expected"),
    [
        (loading(), download(), []),
        (loading(mount={"readOnly": True}), download(), []),
        (loading(), download(main=FIXED), ["fail"]),
        (loading(), download(pod={"volumes": [FIXED_CLAIM]}), ["fail"]),
        (loading("Qwen/Qwen3-8B", mount={"readOnly": True}), download(), ["fail"]),
        (loading("Qwen/Qwen3-8B"), download(), []),
        (loading("/cache/x", mount={"readOnly": True}), download(), []),
    ],
)
def test_read_only(
    tmp_path: Path, worker: dict[str, Any], fetch: dict[str, Any], expected: list[str]
) -> None:
    assert outcomes(weight_paths.read_only, tmp_path, graph(worker), fetch) == expected


# storage.access-mode


@pytest.mark.parametrize(
    ("modes", "worker", "expected"),
    [
        (("ReadWriteMany",), loading(replicas=4), []),
        (("ReadWriteOnce",), loading(), []),
        (("ReadWriteOnce",), loading(replicas=4), ["warn"]),
        (("ReadWriteOnce",), loading(multinode={"nodeCount": 2}), ["fail"]),
        (("ReadWriteOnce", "ReadWriteMany"), loading(multinode={"nodeCount": 2}), []),
        (("ReadWriteOncePod",), loading(replicas=2), ["fail"]),
        (("ReadWriteOnce",), loading(replicas=4, pod={"nodeSelector": {NODE: "n"}}), []),
    ],
)
def test_access_mode(
    tmp_path: Path, modes: tuple[str, ...], worker: dict[str, Any], expected: list[str]
) -> None:
    assert outcomes(recipe_claims.access_mode, tmp_path, graph(worker), claim(*modes)) == expected


def test_pods_that_must_share_a_node_share_a_volume(tmp_path: Path) -> None:
    rule = [{"topologyKey": NODE, "labelSelector": {}}]
    near = {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": rule}}}
    together = graph(loading(replicas=4, pod=near))
    assert outcomes(recipe_claims.access_mode, tmp_path, together, claim("ReadWriteOnce")) == []


def test_a_claim_that_nobody_may_write_is_not_filled(tmp_path: Path) -> None:
    fixed = claim("ReadOnlyMany")
    assert outcomes(recipe_claims.access_mode, tmp_path, graph(loading()), fixed, download()) == ["fail"]


def test_claims_of_others_are_not_judged(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(loading(replicas=4))))
    assert "no graph mounts" in get_skip_reason(recipe_claims.access_mode, given)


# storage.size


@pytest.mark.parametrize(
    ("size", "script", "expected"),
    [
        ("100Gi", f"hf download {MODEL}", []),
        ("50Gi", f"hf download {MODEL}", ["warn"]),
        ("50G", f"hf download {MODEL}", ["warn"]),
        ("100Gi", f"hf download {MODEL}; hf download openai/gpt-oss-120b", ["warn"]),
        ("1Gi", "hf download org/unheard-of", None),
        ("1e99999999999999999999", f"hf download {MODEL}", None),
        ("1Gi", f"hf download {MODEL} --local-dir /tmp", None),
    ],
)
def test_size(tmp_path: Path, size: str, script: str, expected: list[str] | None) -> None:
    """Qwen3-32B is 61 Gi, gpt-oss-120b 57 Gi."""
    home = {"HF_HOME": "/tmp" if "/tmp" in script else "/models"}
    objects = claim("ReadWriteMany", size=size), job(script, name="get", env=home)
    given = recipes(tmp_path, deploy=dump_objects(*objects))
    if expected is None:
        assert "no model of known size" in get_skip_reason(recipe_claims.size, given)
    else:
        assert [outcome for outcome, _ in list_messages(recipe_claims.size, given)] == expected


def test_files_that_download_are_alternatives(tmp_path: Path) -> None:
    given = recipes(
        tmp_path,
        cache=dump_objects(claim("ReadWriteMany", size="100Gi")),
        one=dump_objects(download()),
        other=dump_objects(download(model="openai/gpt-oss-120b")),
    )
    assert list_messages(recipe_claims.size, given) == []
