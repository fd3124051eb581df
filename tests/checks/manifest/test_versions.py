"""Kinds and versions of them that a release serves no more."""

from pathlib import Path

import pytest

from dynocheck.checks.manifest.versions import api_version
from tests.checks.judging import deploy, outcomes, run_check
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


@pytest.mark.parametrize(
    ("version", "kind", "fix"),
    [
        ("autoscaling/v2beta2", "HorizontalPodAutoscaler", ["set apiVersion: autoscaling/v2"]),
        ("autoscaling/v1", "HorizontalPodAutoscaler", []),
        ("policy/v1beta1", "PodDisruptionBudget", ["set apiVersion: policy/v1"]),
        ("extensions/v1beta1", "Ingress", ["set apiVersion: networking.k8s.io/v1"]),
        ("v1", "ServiceMonitor", ["set apiVersion: monitoring.coreos.com/v1"]),
        ("monitoring.coreos.com/v1", "ServiceMonitor", []),
        ("apps/v1", "ScaledObject", ["set apiVersion: keda.sh/v1alpha1"]),
        ("v1", "Profile", []),  # somebody's own
    ],
)
def test_a_kind_of_another_version(tmp_path: Path, version: str, kind: str, fix: list[str]) -> None:
    made = {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": {}}
    assert [finding.fix for finding in run_check(api_version, deploy(tmp_path, made))] == fix
