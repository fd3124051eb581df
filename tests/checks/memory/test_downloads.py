from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.memory.downloads import download
from tests.checks.judging import deploy, get_skip_reason, outcomes, places
from tests.checks.manifests import job
from tests.checks.storage.test_downloads import GET, SCRATCH, limited, scratch


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
        ("hf_xet==1.5.2", {"HF_XET_HIGH_PERFORMANCE": "1"}, "16Gi", ["warn"]),
        ("hf_xet==1.5.2", {"HF_XET_HIGH_PERFORMANCE": "1"}, "32Gi", []),
        ("hf_xet==1.5.2", {"HF_XET_HIGH_PERFORMANCE": "0"}, "16Gi", []),
        ("hf_xet==1.5.2", {"HF_HUB_DISABLE_XET": "1"}, "1Gi", None),
        ("hf_xet==1.5.2", {"HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_LIMIT": "1gb"}, "4Gi", None),
        ("hf_xet==1.7.0", {}, "1Gi", None),
        ("huggingface_hub==1.16.4", {"HF_XET_HIGH_PERFORMANCE": "1"}, "1Gi", None),
    ],
)
def test_fixed_buffers_of_hf_xet(
    tmp_path: Path, packages: str, env: dict[str, str], memory: str, expected: list[str] | None
) -> None:
    script = f"pip install huggingface_hub {packages}\n{GET}"
    recipe = deploy(tmp_path, job(script, env={"HF_HOME": "/models", **env}, main=limited(memory=memory)))
    if expected is None:
        assert get_skip_reason(download, recipe)
    else:
        assert outcomes(download, recipe) == expected


def test_finding_is_located_at_the_limit(tmp_path: Path) -> None:
    recipe = deploy(tmp_path, job(f"pip install hf_xet==1.5.2\n{GET}", main=limited(memory="4Gi")))
    lines = (tmp_path / "deploy.yaml").read_text().splitlines()
    (line,) = (number for number, text in enumerate(lines, 1) if "memory: 4Gi" in text)
    assert places(download, recipe) == [("warn", f"deploy.yaml:{line}")]
