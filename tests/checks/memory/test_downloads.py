from pathlib import Path

import pytest

from dynocheck.checks.memory.downloads import download
from tests.checks.judging import deploy, outcomes, read_lines
from tests.checks.manifests import job
from tests.checks.storage.test_downloads import GET, SCRATCH, limited, scratch

HIGH, LOW = {"HF_XET_HIGH_PERFORMANCE": "1"}, {"HF_XET_HIGH_PERFORMANCE": "0"}
LIMIT = {"HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_LIMIT": "1gb"}


@pytest.mark.parametrize(("memory", "expected"), [("64Gi", []), ("60Gi", ["fail"]), ("16G", ["fail"])])
def test_download_to_memory(tmp_path: Path, memory: str, expected: list[str]) -> None:
    main = {**SCRATCH, **limited(memory=memory)}
    fetch = job(f"{GET} --local-dir /scratch/x", main=main, pod=scratch(medium="Memory"))
    assert outcomes(download, deploy(tmp_path, fetch)) == expected


@pytest.mark.parametrize(
    ("packages", "env", "memory", "expected"),
    [
        ("hf_xet==1.5.2", {}, "4Gi", ["warn"]),
        ("'hf-xet == 1.6.0'", {}, "4Gi", ["warn"]),
        ("hf_xet==1.5.2", {}, "6Gi", []),
        ("hf_xet==1.5.2", HIGH, "16Gi", ["warn"]),
        ("hf_xet==1.5.2", HIGH, "32Gi", []),
        ("hf_xet==1.5.2", LOW, "16Gi", []),
        ("hf_xet==1.5.2", {"HF_HUB_DISABLE_XET": "1"}, "1Gi", ["skip"]),
        ("hf_xet==1.5.2", LIMIT, "4Gi", ["skip"]),
        ("hf_xet==1.7.0", {}, "1Gi", ["skip"]),
        ("huggingface_hub==1.16.4", HIGH, "1Gi", ["skip"]),
    ],
)
def test_hf_xet(tmp_path: Path, packages: str, env: dict[str, str], memory: str, expected: list[str]) -> None:
    script = f"pip install huggingface_hub {packages}\n{GET}"
    recipe = deploy(tmp_path, job(script, env={"HF_HOME": "/models", **env}, main=limited(memory=memory)))
    assert outcomes(download, recipe) == expected
    if expected == ["warn"]:
        assert read_lines(download, recipe) == [f"memory: {memory}"]
