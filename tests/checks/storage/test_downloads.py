"""Where downloads go, and whether they fit there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.storage import downloads
from tests.checks.judging import get_skip_reason, list_messages, recipes, run_check
from tests.checks.manifests import MODEL, dump_objects, job

SCRATCH = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
NOTHING: dict[str, Any] = {"volumeMounts": []}
GET = f"hf download {MODEL}"


def scratch(**empty: str) -> dict[str, Any]:
    return {"volumes": [{"name": "scratch", "emptyDir": empty}]}


def limited(**limits: str) -> dict[str, Any]:
    return {"resources": {"limits": limits}}


def outcomes(check: Any, folder: Path, one: dict[str, Any]) -> list[str]:
    return [outcome for outcome, _ in list_messages(check, recipes(folder, download=dump_objects(one)))]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (job(GET, env={"HF_HOME": "/models"}), []),
        (job(GET, env={"HF_HOME": "/model"}), ["warn"]),
        (job(f"{GET} --local-dir /models/x"), []),
        (job(f"{GET} --local-dir /opt/x"), ["warn"]),
        (job(f"{GET} --local-dir models/x"), []),  # relative to what is not known
        (job(f"cd /models\n{GET} --local-dir ./x"), []),
        (job(f"{GET} --local-dir $DIR"), []),
        (job(GET), []),  # the cache of whoever the image runs as
        (job(GET, main=NOTHING), ["warn"]),
        (job(f"{GET} --local-dir $DIR", main=NOTHING), ["warn"]),
        (job(f"export HF_HOME=/models\n{GET}", env={"HF_HOME": "/opt"}), []),
        (job(GET, env={"HF_HOME": "/scratch"}, main=SCRATCH, pod=scratch()), ["warn"]),
        (job(f"{GET} --local-dir /opt/x\ncp -r /opt/x /models"), []),
        (job(f"{GET} --local-dir /opt/x\naws s3 sync /opt/x s3://b", main=NOTHING), []),
        (job(f"{GET} --local-dir /t\naiperf profile --tokenizer /t", main=NOTHING), []),
        (
            job(
                GET,
                env={"HF_HOME": "/data"},
                main={"volumeMounts": [{"name": "node", "mountPath": "/data"}]},
                pod={"volumes": [{"name": "node", "hostPath": {"path": "/data"}}]},
            ),
            [],
        ),
    ],
)
def test_what_goes_with_the_pod(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(downloads.download, tmp_path, one) == expected


def test_an_init_container_downloads_for_the_others(tmp_path: Path) -> None:
    one = job("python3 use.py", main=SCRATCH, pod=scratch())
    pod = one["spec"]["template"]["spec"]
    getting = {"name": "get", "image": "i", "command": ["hf", "download", MODEL, "--local-dir", "/scratch"]}
    pod["initContainers"] = [{**getting, **SCRATCH}]
    assert outcomes(downloads.download, tmp_path, one) == []
    pod["volumes"] = scratch(sizeLimit="60Gi")["volumes"]
    assert outcomes(downloads.download, tmp_path / "small", one) == ["fail"]


@pytest.mark.parametrize(
    ("main", "pod", "expected"),
    [
        ({**SCRATCH}, scratch(sizeLimit="70Gi"), ["warn"]),
        ({**SCRATCH}, scratch(sizeLimit="60Gi"), ["fail"]),
        ({**SCRATCH}, scratch(sizeLimit="nonsense"), ["warn"]),
        ({**SCRATCH, **limited(**{"ephemeral-storage": "10Gi"})}, scratch(), ["fail"]),
        ({**SCRATCH, **limited(**{"ephemeral-storage": "100Gi"})}, scratch(), ["warn"]),
        ({**SCRATCH, **limited(**{"ephemeral-storage": "10Gi"})}, scratch(medium="Memory"), ["warn"]),
        ({**NOTHING, **limited(**{"ephemeral-storage": "10Gi"})}, {}, ["fail"]),
        (limited(**{"ephemeral-storage": "10Gi"}), {}, ["fail"]),
    ],
)
def test_limits_of_the_kubelet(
    tmp_path: Path, main: dict[str, Any], pod: dict[str, Any], expected: list[str]
) -> None:
    """Qwen3-32B is 65.5 GB, which is 61 GiB."""
    one = job(f"{GET} --local-dir /scratch/x", main=main, pod=pod)
    assert outcomes(downloads.download, tmp_path, one) == expected


def test_a_claim_knows_no_limit_of_the_container(tmp_path: Path) -> None:
    one = job(f"{GET} --local-dir /models/x", main=limited(**{"ephemeral-storage": "1Gi"}))
    assert outcomes(downloads.download, tmp_path, one) == []


def test_a_model_of_unknown_size_is_not_measured(tmp_path: Path) -> None:
    main = {**SCRATCH, **limited(**{"ephemeral-storage": "1Gi", "memory": "1Gi"})}
    one = job("hf download a/b --local-dir /scratch/x", main=main, pod=scratch(medium="Memory"))
    assert outcomes(downloads.download, tmp_path, one) == ["warn"]
    assert get_skip_reason(downloads.memory_download, recipes(tmp_path))


# memory.download


@pytest.mark.parametrize(("memory", "expected"), [("64Gi", []), ("60Gi", ["fail"]), ("16G", ["fail"])])
def test_a_download_to_memory(tmp_path: Path, memory: str, expected: list[str]) -> None:
    main = {**SCRATCH, **limited(memory=memory)}
    one = job(f"{GET} --local-dir /scratch/x", main=main, pod=scratch(medium="Memory"))
    assert outcomes(downloads.memory_download, tmp_path, one) == expected


@pytest.mark.parametrize(
    ("install", "env", "memory", "expected"),
    [
        ("pip install huggingface_hub hf_xet==1.5.2", {}, "4Gi", ["warn"]),
        ("pip install huggingface_hub 'hf-xet == 1.6.0'", {}, "4Gi", ["warn"]),
        ("pip install huggingface_hub hf_xet==1.5.2", {}, "6Gi", []),
        ("pip install huggingface_hub hf_xet==1.5.2", {"HF_XET_HIGH_PERFORMANCE": "1"}, "16Gi", ["warn"]),
        ("pip install huggingface_hub hf_xet==1.5.2", {"HF_XET_HIGH_PERFORMANCE": "1"}, "32Gi", []),
        ("pip install huggingface_hub hf_xet==1.5.2", {"HF_XET_HIGH_PERFORMANCE": "0"}, "16Gi", []),
        ("pip install huggingface_hub hf_xet==1.5.2", {"HF_HUB_DISABLE_XET": "1"}, "1Gi", None),
        (
            "pip install huggingface_hub hf_xet==1.5.2",
            {"HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_LIMIT": "1gb"},
            "4Gi",
            None,
        ),
        ("pip install huggingface_hub hf_xet==1.7.0", {}, "1Gi", None),
        ("pip install huggingface_hub==1.16.4", {"HF_XET_HIGH_PERFORMANCE": "1"}, "1Gi", None),
    ],
)
def test_buffers_of_a_fixed_size(
    tmp_path: Path, install: str, env: dict[str, str], memory: str, expected: list[str] | None
) -> None:
    one = job(f"{install}\n{GET}", env={"HF_HOME": "/models", **env}, main=limited(memory=memory))
    given = recipes(tmp_path, download=dump_objects(one))
    if expected is None:
        assert "none that pins" in get_skip_reason(downloads.memory_download, given)
    else:
        assert [outcome for outcome, _ in list_messages(downloads.memory_download, given)] == expected


def test_a_finding_stands_at_the_limit(tmp_path: Path) -> None:
    one = job(f"pip install hf_xet==1.5.2\n{GET}", main=limited(memory="4Gi"))
    given = recipes(tmp_path, download=dump_objects(one))
    (finding,) = run_check(downloads.memory_download, given)
    lines = (tmp_path / "download.yaml").read_text().splitlines()
    assert finding.location is not None
    assert "memory: 4Gi" in lines[(finding.location.line or 0) - 1]


def test_without_a_download_there_is_nothing_to_judge(tmp_path: Path) -> None:
    assert "no workload" in get_skip_reason(
        downloads.download, recipes(tmp_path, perf=dump_objects(job("aiperf")))
    )
