"""`dynocheck preflight` on healthy clusters of every kind: nothing is wrong, and nothing stays unknown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.server import ControlPlane
from tests.kinds import Kind, claimed, managed, operated
from tests.situations.test_situations import preflight

KINDS = [*operated.KINDS, *managed.KINDS, *claimed.KINDS]
AREAS = ("access", "gpu", "platform", "rdma", "storage")


@pytest.fixture(scope="module")
def types(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    """Dynamo's types and those of NVIDIA's operators, for the tests of this module."""
    start = controlplane.snapshot()
    controlplane.load_crds(*(crds / folder for folder in ("dynamo", "gpu-operator", "network-operator")))
    controlplane.snapshot()
    yield
    controlplane.reset(start)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_healthy_cluster_is_found_healthy(
    types: None, cluster: ControlPlane, tmp_path: Path, kind: Kind
) -> None:
    kind.build(cluster)
    verdicts = [v for v in preflight(cluster, tmp_path) if v["area"] in AREAS]
    outcomes = {v["check"]: v["outcome"] for v in verdicts}
    assert outcomes == kind.outcomes, [
        (v["check"], v["outcome"], v["message"])
        for v in verdicts
        if v["outcome"] != kind.outcomes.get(v["check"])
    ]
    assert not {"fail", "unknown", "error"} & set(outcomes.values())
