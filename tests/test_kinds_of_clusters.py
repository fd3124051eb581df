"""`dynocheck preflight` on healthy clusters of every kind: nothing is wrong, and nothing stays unknown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import outcomes
from tests.clusters import gpu, platform, rdma, storage
from tests.clusters.objects import read_pairs
from tests.controlplane.server import ControlPlane
from tests.kinds import ClusterKind, claimed, managed, operated
from tests.situations.test_situations import preflight

KINDS = [*operated.KINDS, *managed.KINDS, *claimed.KINDS]
AREAS = ("access", "gpu", "platform", "rdma", "storage")


@pytest.fixture(scope="module")
def types(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    """Dynamo's platform and the types of NVIDIA's operators, for the tests of this module."""
    folders = (crds / folder for area in (platform, gpu, rdma) for folder in area.CRDS)
    yield from controlplane.share(*folders, furnish=platform.furnish)


def register_drivers(cluster: ControlPlane) -> None:
    """Add what the installation of the CSI drivers adds; a name with a slash is no CSI driver's."""
    classes = cluster.get("/apis/storage.k8s.io/v1/storageclasses")["items"]
    names = {found["provisioner"] for found in classes} | {"pd.csi.storage.gke.io", "ebs.csi.aws.com"}
    cluster.apply(*(storage.csi_driver(name) for name in names if "/" not in name))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_healthy_cluster_is_found_healthy(
    types: None, cluster: ControlPlane, tmp_path: Path, kind: ClusterKind
) -> None:
    kind.build(cluster)
    register_drivers(cluster)
    verdicts = [v for v in preflight(cluster, tmp_path) if v["area"] in AREAS]
    found = {v["check"]: v["outcome"] for v in verdicts}
    assert not {"fail", "unknown", "error"} & set(found.values())
    outcomes.compare("kinds", found, read_pairs(kind.differs))


@pytest.mark.parametrize(
    ("kind", "outcome", "says"),
    [
        ("GPU Operator by Helm", "fail", "rdma/rdma_shared_device_a"),
        ("AKS with managed GPUs", "fail", "2 rdma/ib, "),
        ("GKE with managed GPUs", "fail", "networking.gke.io.networks/rdma-0, "),
        ("EKS with device plugins only", "fail", "vpc.amazonaws.com/efa"),
        ("CoreWeave", "pass", ""),
        ("DRA only", "fail", "DRA"),
    ],
)
def test_a_recipe_written_for_one_kind(
    types: None, cluster: ControlPlane, tmp_path: Path, kind: str, outcome: str, says: str
) -> None:
    {str(each): each for each in KINDS}[kind].build(cluster)
    found = preflight(cluster, tmp_path, "recipes/qwen3-32b/vllm/disagg-kv-router")
    verdicts = {v["check"]: v for v in found}
    judged = verdicts["rdma.required-by-recipe"]
    assert judged["outcome"] == outcome
    assert not says or any(says in finding["message"] for finding in judged["findings"])
    assert verdicts["rdma.topology"]["outcome"] in ("pass", "skip", "unjudged")
