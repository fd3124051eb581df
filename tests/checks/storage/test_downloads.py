from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.memory import downloads as memory_downloads
from dynocheck.checks.storage import downloads
from tests.checks.judging import deploy, judge
from tests.checks.manifests import MODEL, job
from tests.checks.test_servers import VLLM, serve

SCRATCH = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
NOTHING: dict[str, Any] = {"volumeMounts": []}
NODE_FOLDER = {"volumeMounts": [{"name": "node", "mountPath": "/data"}]}
NODE_VOLUME = {"volumes": [{"name": "node", "hostPath": {"path": "/data"}}]}
GET = f"hf download {MODEL}"


def scratch(**empty: str) -> dict[str, Any]:
    return {"volumes": [{"name": "scratch", "emptyDir": empty}]}


def limited(**limits: str) -> dict[str, Any]:
    return {"resources": {"limits": limits}}


def disk(size: str) -> dict[str, Any]:
    return limited(**{"ephemeral-storage": size})


@pytest.mark.parametrize(
    ("download", "expected"),
    [
        (job(GET, env={"HF_HOME": "/models"}), []),
        (job(GET, env={"HF_HOME": "/model"}), ["warn"]),
        (job(f"{GET} --local-dir /models/x"), []),
        (job(GET, env={"HF_HOME": "/models", "HF_HUB_OFFLINE": "1"}), ["fail"]),
        (job(GET, env={"HF_HOME": "/models", "HF_HUB_OFFLINE": "0"}), []),
        (job(f"HF_HUB_OFFLINE=0 {GET}", env={"HF_HOME": "/models", "HF_HUB_OFFLINE": "1"}), []),
        (job(f"{GET} --local-dir /opt/x"), ["warn"]),
        (job(f"{GET} --local-dir models/x"), []),  # relative to an unknown folder
        (job(f"cd /models\n{GET} --local-dir ./x"), []),
        (job(f"{GET} --local-dir $DIR"), []),
        (job(GET), []),  # the cache of the image's user
        (job(GET, main=NOTHING), ["warn"]),
        (job(f"{GET} --local-dir $DIR", main=NOTHING), ["warn"]),
        (job(f"export HF_HOME=/models\n{GET}", env={"HF_HOME": "/opt"}), []),
        (job(GET, env={"HF_HOME": "/scratch"}, main=SCRATCH, pod=scratch()), ["warn"]),
        (job(f"{GET} --local-dir /opt/x\ncp -r /opt/x /models"), []),
        (job(f"{GET} --local-dir /opt/x\naws s3 sync /opt/x s3://b", main=NOTHING), []),
        (job(f"{GET} --local-dir /t\naiperf profile --tokenizer /t", main=NOTHING), []),
        (job(GET, env={"HF_HOME": "/data"}, main=NODE_FOLDER, pod=NODE_VOLUME), []),
        (job("aiperf"), ["skip"]),
    ],
)
def test_files_that_are_deleted_with_the_pod(
    tmp_path: Path, download: dict[str, Any], expected: list[str]
) -> None:
    assert judge(downloads.download, deploy(tmp_path, download)) == expected


def test_init_container_downloads_for_the_others(tmp_path: Path) -> None:
    using = job("python3 use.py", main=SCRATCH, pod=scratch())
    pod = using["spec"]["template"]["spec"]
    getting = {"name": "get", "image": "i", "command": ["hf", "download", MODEL, "--local-dir", "/scratch"]}
    pod["initContainers"] = [{**getting, **SCRATCH}]
    assert judge(downloads.download, deploy(tmp_path, using)) == []
    pod["volumes"] = scratch(sizeLimit="60Gi")["volumes"]
    assert judge(downloads.download, deploy(tmp_path / "small", using)) == ["fail"]


@pytest.mark.parametrize(
    ("folder", "main", "pod", "expected"),
    [
        ("/scratch", SCRATCH, scratch(sizeLimit="70Gi"), ["warn"]),
        ("/scratch", SCRATCH, scratch(sizeLimit="60Gi"), ["fail"]),
        ("/scratch", SCRATCH, scratch(sizeLimit="nonsense"), ["warn"]),
        ("/scratch", {**SCRATCH, **disk("10Gi")}, scratch(), ["fail"]),
        ("/scratch", {**SCRATCH, **disk("100Gi")}, scratch(), ["warn"]),
        ("/scratch", {**SCRATCH, **disk("10Gi")}, scratch(medium="Memory"), ["warn"]),
        ("/scratch", {**NOTHING, **disk("10Gi")}, {}, ["fail"]),
        ("/scratch", disk("10Gi"), {}, ["fail"]),
        ("/models", disk("1Gi"), {}, []),  # on a claim
    ],
)
def test_kubelet_limits(
    tmp_path: Path, folder: str, main: dict[str, Any], pod: dict[str, Any], expected: list[str]
) -> None:
    """Qwen3-32B is 65.5 GB, which is 61 GiB."""
    download = job(f"{GET} --local-dir {folder}/x", main=main, pod=pod)
    assert judge(downloads.download, deploy(tmp_path, download)) == expected


def test_model_of_unknown_size_is_not_compared(tmp_path: Path) -> None:
    main = {**SCRATCH, **limited(**{"ephemeral-storage": "1Gi", "memory": "1Gi"})}
    download = job("hf download a/b --local-dir /scratch/x", main=main, pod=scratch(medium="Memory"))
    recipe = deploy(tmp_path, download)
    assert judge(downloads.download, recipe) == ["warn"]
    assert judge(memory_downloads.download, recipe) == ["unjudged"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("kubectl wait --for=condition=complete job/perf --timeout=60s", ["warn"]),
        ("kubectl wait --for=condition=complete job/perf --timeout 1m", ["warn"]),
        ("kubectl wait --for=condition=complete job/perf --timeout=3600s", []),
        ("kubectl wait --for=condition=complete job/other --timeout=60s", []),
        ("kubectl wait --for=condition=complete job/perf --timeout=$LONG", []),
    ],
)
def test_a_page_waits_for_the_download(tmp_path: Path, command: str, expected: list[str]) -> None:
    (tmp_path / "README.md").write_text(f"# Use\n\n```bash\n{command}\n```\n")
    given = deploy(tmp_path, job(GET, env={"HF_HOME": "/models"}))
    assert judge(downloads.download, given) == expected


CACHE = {"volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}]}
AT_MODELS = {"volumeMounts": [{"name": "cache", "mountPath": "/models"}]}


@pytest.mark.parametrize(
    ("kind", "replicas", "script", "expected"),
    [
        ("Deployment", 4, f"{GET} --local-dir /models/x", ["warn"]),
        ("Deployment", 1, f"{GET} --local-dir /models/x", []),
        ("Deployment", 4, f"[ -d /models/x ] || {GET} --local-dir /models/x", []),
        ("Deployment", 4, f"{GET} --local-dir /opt/x", []),  # each has its own
        ("StatefulSet", 4, f"{GET} --local-dir /models/x", []),  # which start one after the other
    ],
)
def test_replicas_that_download_together(
    tmp_path: Path, kind: str, replicas: int, script: str, expected: list[str]
) -> None:
    getting = {"name": "get", "image": "i", "command": ["sh", "-c", script], **AT_MODELS}
    serving = serve(VLLM, "--model", "/models/x", kind=kind, pod={**CACHE, "initContainers": [getting]})
    serving["spec"]["replicas"] = replicas
    assert judge(downloads.download, deploy(tmp_path, serving)) == expected


@pytest.mark.parametrize(
    ("script", "gpus", "expected"),
    [
        (f"{GET} --local-dir /models/x; python3 convert.py", "4", ["warn"]),
        (f"{GET} --local-dir /models/x; python3 convert.py", "0", []),
        (f"{GET} --include 'tok*' --local-dir /models/x; python3 use.py", "4", []),
    ],
)
def test_gpus_wait_for_a_download(tmp_path: Path, script: str, gpus: str, expected: list[str]) -> None:
    one = job(script, main=limited(**{"nvidia.com/gpu": gpus}))
    assert judge(downloads.download, deploy(tmp_path, one)) == expected
