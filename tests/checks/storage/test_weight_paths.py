from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.storage import weight_paths
from tests.checks.judging import deploy, judge, recipes
from tests.checks.manifests import CLAIM, MODEL, dump_objects, engine, graph, job
from tests.checks.storage.manifests import download, loading
from tests.checks.test_servers import serve

TEAM = {"volumeMounts": [{"name": "cache", "mountPath": "/models", "subPath": "team"}]}


def shell(script: str) -> dict[str, Any]:
    return {"command": ["bash", "-c"], "args": [script]}


def scripted(home: str, env: dict[str, str]) -> dict[str, Any]:
    script = f"export HF_HOME={home}\nexec python3 -m dynamo.vllm --model {MODEL}"
    mounts = [{"name": "cache", "mountPath": "/cache"}]
    return engine(env=env, main={**shell(script), "volumeMounts": mounts}, pod={"volumes": [CLAIM]})


# storage.model-path


@pytest.mark.parametrize(
    ("worker", "fetch", "expected"),
    [
        (loading(), download(), []),
        (loading(home="/cache/hf"), download(), ["warn"]),
        (loading(home="/cache/hf"), download(home="/models/hf"), []),
        (loading(home="/root/hf"), download(), ["warn"]),
        (loading(home=None), download(), ["unjudged"]),
        (loading(), download(home=None), ["unjudged"]),
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
        # Scripts set the cache.
        (scripted("/cache", {"HF_HOME": "/root/hf"}), download(), []),
        (scripted("/cache/other", {}), download(), ["warn"]),
        (loading(home="/cache/hf"), download(main=shell(f"HF_HOME=/models/hf hf download {MODEL}")), []),
        (loading(), download(main=shell(f"export HF_HOME=/models/hf\nhf download {MODEL}")), ["warn"]),
        # Workers that bypass the cache.
        (engine("--download-dir", "/cache", env={"HF_HOME": "/root/hf"}), download(), []),
        (engine(env={"HF_HOME": "/root/hf", "MODEL_EXPRESS_URL": "http://mx:8001"}), download(), []),
        # Sub-paths are folders of the claim.
        (loading(mount={"subPath": "team"}), download(), ["warn"]),
        (loading(mount={"subPath": "team"}), download(main=TEAM), []),
    ],
)
def test_model_path(
    tmp_path: Path, worker: dict[str, Any], fetch: dict[str, Any], expected: list[str]
) -> None:
    assert judge(weight_paths.model_path, deploy(tmp_path, graph(worker), fetch)) == expected


@pytest.mark.parametrize(
    ("home", "expected"), [("/root/hf", ["warn"]), ("/cache/hf", ["skip"]), (None, ["skip"])]
)
def test_a_cache_beside_the_claim(tmp_path: Path, home: str | None, expected: list[str]) -> None:
    assert judge(weight_paths.model_path, deploy(tmp_path, graph(loading(home=home)))) == expected


@pytest.mark.parametrize(
    ("path", "env", "expected"),
    [
        ("/root/.cache/huggingface", {"HUGGINGFACE_HUB_CACHE": "/tmp/hf"}, ["warn"]),
        ("/root/.cache/huggingface", {"HF_HOME": "/tmp/hf", "TRANSFORMERS_CACHE": "/tmp/hf"}, ["warn"]),
        ("/root/.cache/huggingface", {"HUGGINGFACE_HUB_CACHE": "/root/.cache/huggingface/hub"}, ["skip"]),
        ("/root/.cache/huggingface", {}, ["skip"]),
        ("/models-cache", {"HUGGINGFACE_HUB_CACHE": "/models-cache"}, ["skip"]),
        ("/data", {"HF_HOME": "/tmp/hf"}, ["skip"]),  # which may be for anything
    ],
)
def test_a_server_whose_claim_is_not_its_cache(
    tmp_path: Path, path: str, env: dict[str, str], expected: list[str]
) -> None:
    pod = {"volumes": [{"name": "c", "persistentVolumeClaim": {"claimName": "cache"}}]}
    mounts = [{"name": "c", "mountPath": path}]
    variables = [{"name": name, "value": value} for name, value in env.items()]
    one = serve("vllm/vllm-openai:v0.11.0", "--model", MODEL, pod=pod, volumeMounts=mounts, env=variables)
    assert judge(weight_paths.model_path, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    "writers",
    [
        [job(f"hf download {MODEL}; mv /models/hub/x /models/made", env={"HF_HOME": "/models"})],
        [download(), job("python3 convert.py", name="convert")],
    ],
)
def test_claim_with_another_writer_is_not_checked(tmp_path: Path, writers: list[dict[str, Any]]) -> None:
    files = {f"job{number}": dump_objects(writer) for number, writer in enumerate(writers)}
    recipe = recipes(tmp_path, deploy=dump_objects(graph(loading("/cache/made"))), **files)
    assert judge(weight_paths.model_path, recipe) == []


def test_worker_may_download_its_own_model(tmp_path: Path) -> None:
    assert judge(weight_paths.model_path, deploy(tmp_path, graph(loading()))) == ["skip"]
    for fetch, expected in [(f"hf download {MODEL} --local-dir /tmp/m && ", []), ("", ["fail"])]:
        worker = engine(main=shell(f"{fetch}python3 -m dynamo.vllm --model /tmp/m"))
        assert judge(weight_paths.model_path, deploy(tmp_path, graph(worker))) == expected


# storage.read-only


def test_another_claim_may_be_read_only(tmp_path: Path) -> None:
    both = [{"name": "cache", "mountPath": "/models"}, {"name": "x", "mountPath": "/x", "readOnly": True}]
    volumes = [CLAIM, {"name": "x", "persistentVolumeClaim": {"claimName": "other"}}]
    fetch = download(main={"volumeMounts": both}, pod={"volumes": volumes})
    assert judge(weight_paths.read_only, deploy(tmp_path, fetch)) == []


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
    assert judge(weight_paths.read_only, deploy(tmp_path, graph(worker), fetch)) == expected


@pytest.mark.parametrize(
    ("path", "image", "expected"),
    [
        ("/models/a", "vllm-runtime:1.3.0", []),
        ("/other/a", "vllm-runtime:1.3.0", ["fail"]),
        ("/other/a", "registry.example/baked:1.0.0", []),
        ("Qwen/Qwen3-0.6B", "registry.example/baked:1.0.0", ["fail"]),  # which is no folder in any image
        ("./local/model", "vllm-runtime:1.3.0", ["skip"]),
    ],
)
@pytest.mark.parametrize("joined", [True, False])
def test_a_frontend_reads_the_folder_that_it_is_told(
    tmp_path: Path, path: str, image: str, expected: list[str], *, joined: bool
) -> None:
    flag = [f"--model-path={path}"] if joined else ["--model-path", path]
    front = engine(
        *flag,
        name="f",
        role="frontend",
        module="dynamo.frontend",
        model=None,
        image=image,
        main={"volumeMounts": [{"name": "cache", "mountPath": "/models"}]},
        pod={"volumes": [CLAIM]},
    )
    assert judge(weight_paths.model_path, deploy(tmp_path, graph(front, loading()))) == expected
