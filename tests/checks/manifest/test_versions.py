"""Kinds and versions of them that a release serves no more."""

from pathlib import Path

import pytest

from dynocheck.checks.manifest.versions import api_version
from tests.checks.judging import deploy, outcomes
from tests.checks.manifests import engine, graph

CHECKPOINT = {
    "apiVersion": "nvidia.com/v1alpha1",
    "kind": "DynamoCheckpoint",
    "metadata": {"name": "c"},
    "spec": {},
}


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("1.4.2", []), ("1.5.0", ["fail"]), ("1.7.0", ["fail"]), ("1.6.0-mine-dev.1", ["fail"]), ("mine", [])],
)
def test_a_kind_that_a_release_dropped(tmp_path: Path, tag: str, expected: list[str]) -> None:
    worker = engine(image=f"nvcr.io/nvidia/ai-dynamo/vllm-runtime:{tag}")
    assert outcomes(api_version, deploy(tmp_path, graph(worker), CHECKPOINT)) == expected
